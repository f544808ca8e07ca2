"""Enrichment through the real Helix protocol, against a server on loopback with faults."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from clipfarm_assets.enrichment.enrich import enrich
from clipfarm_assets.enrichment.twitch import Missing, Twitch, TwitchFailure, TwitchSettings
from clipfarm_assets.errors import ProviderError
from clipfarm_assets.measures import Measures
from clipfarm_assets.search.documents import Document
from clipfarm_assets_tests.helix_server import CLIENT_ID, SECRET, TOKEN, Helix, serving


@pytest.fixture
def helix() -> Iterator[Helix]:
    with serving() as found:
        yield found


@pytest.fixture
def twitch(helix: Helix, tmp_path: Path) -> Twitch:
    return Twitch(
        TwitchSettings(
            CLIENT_ID,
            SecretStr(SECRET),
            f"{helix.url}/helix",
            f"{helix.url}/oauth2/token",
            pause_sec=0.01,
            folder=tmp_path,
        )
    )


def test_empty_fields_are_filled_and_the_rows_own_words_stay(twitch: Twitch) -> None:
    documents = [
        Document("clip", "a", title="Mine", broadcaster="Own"),
        Document("video", "b", game_id="7", broadcaster_id="b9", tags=("kept",)),
        Document("video", "c", title="alone"),
    ]
    first, second, third = enrich(documents, {"clip/a": "Awkward"}, twitch)
    found = first.document
    assert (found.title, found.broadcaster, found.game, found.creator) == ("Mine", "Own", "Chess", "Cy")
    assert found.tags == ("Chess", "Own")
    assert (second.document.game, second.document.broadcaster, second.document.tags) == ("Go", "Velvet", ("kept",))
    assert (first.source, second.source, third.source) == ("twitch", "twitch", "row")
    assert (third.failure, third.hot_score, third.vote_score) == (None, 0.0, 0)


def test_every_request_is_counted_with_its_outcome(helix: Helix, tmp_path: Path) -> None:
    measures = Measures()
    settings = TwitchSettings(
        "me", SecretStr(SECRET), f"{helix.url}/helix", f"{helix.url}/oauth2/token", pause_sec=0.01, folder=tmp_path
    )
    helix.faults = [(429, {}), (503, {})]
    Twitch(settings, measures=measures).get("games", ["7"])
    requests = {dict(k.labels)["outcome"]: n for k, n in measures.totals().items() if k.name == "upstream_requests"}
    assert requests == {"ok": 2, "rate_limited": 1, "unavailable": 1}  # a token and an answer


def test_without_credentials_the_row_is_all_there_is() -> None:
    (found,) = enrich([Document("video", "v", game="Chess", broadcaster="Nova")], {}, None)
    assert (found.source, found.document.tags) == ("row", ("Chess", "Nova"))


def test_a_token_that_has_expired_is_renewed_once(twitch: Twitch, helix: Helix) -> None:
    twitch.get("games", ["33"])
    helix.valid = "revoked"
    assert twitch.get("games", ["33"])["33"] == {"id": "33", "name": "Chess"}
    assert helix.tokens == 2
    helix.faults = [(401, {})] * 5
    with pytest.raises(ProviderError, match="TWITCH_CLIENT_ID"):
        twitch.get("games", ["33"])
    assert helix.tokens == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_troubles_that_pass_are_tried_three_times(twitch: Twitch, helix: Helix, status: int) -> None:
    helix.faults = [(status, {"Ratelimit-Reset": "1"})] * 2
    assert isinstance(twitch.get("clips", ["Awkward"])["Awkward"], dict)
    assert len(helix.paths) == 3
    helix.faults = [(status, {})] * 9
    (found,) = enrich([Document("clip", "a")], {"clip/a": "Awkward"}, twitch)
    assert found.source == "row"
    assert str(status) in (found.failure or "")
    assert len(helix.paths) == 6


def test_what_twitch_does_not_have_is_an_outcome(twitch: Twitch, helix: Helix) -> None:
    assert twitch.get("users", ["nobody"]) == {"nobody": Missing()}
    helix.faults = [(404, {})]
    assert twitch.get("clips", ["gone"]) == {"gone": Missing()}
    assert len(helix.paths) == 2


def test_many_ids_go_a_hundred_a_request(twitch: Twitch, helix: Helix) -> None:
    found = twitch.get("games", [*(str(n) for n in range(250)), "33", "33"])
    assert helix.paths == ["games 100", "games 100", "games 50"]
    assert sum(isinstance(each, dict) for each in found.values()) == 2


def test_a_refused_client_is_named_and_an_unreachable_one_is_an_outcome(
    twitch: Twitch, helix: Helix, tmp_path: Path
) -> None:
    helix.client_refused = True
    with pytest.raises(ProviderError, match="refuses the client"):
        twitch.get("games", ["33"])
    away = TwitchSettings(
        "me", SecretStr(SECRET), "http://127.0.0.1:9", "http://127.0.0.1:9", pause_sec=0, folder=tmp_path
    )
    assert isinstance(Twitch(away).get("games", ["33"])["33"], TwitchFailure)


def test_the_secret_is_in_no_message(twitch: Twitch, helix: Helix, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    helix.faults = [(500, {})]
    said = [repr(twitch.get("games", ["33"])), repr(twitch), repr(TwitchSettings("me", SecretStr(SECRET)))]
    helix.client_refused = True
    helix.faults = [(401, {})]
    with pytest.raises(ProviderError) as error:
        twitch.get("games", ["33"])
    said += [str(error.value), repr(error.value), caplog.text]
    assert all(SECRET not in each and TOKEN not in each for each in said)
