"""The two stages that ask somebody else, through the graph: Twitch and an embedding API, with every fault they have."""

import logging
from collections.abc import Iterator, Sequence

import dagster as dg
import pytest

from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.discovery.items import ENRICHED, from_json
from clipfarm_assets_tests import embedding_server, helix_server
from clipfarm_assets_tests.embedding_server import KEY, EmbeddingServer, Fault
from clipfarm_assets_tests.graph.deployment import Deployment, files_below
from clipfarm_assets_tests.helix_server import CLIENT_ID, SECRET, TOKEN, Helix
from clipfarm_assets_tests.journeys.conftest import run_clipfarm

FAULTS = (  # what a request meets at its three attempts; the last one's words are those that could be passed on
    (Fault(0), Fault(500), Fault(429, {"Retry-After": "0"})),
    (Fault(429), Fault(408), Fault(500)),
    (Fault(409), Fault(200, raw=f'{{"object": "{KEY}"}}'.encode()), Fault(200, raw=f'{{"data": "{KEY}"'.encode())),
    (Fault(400), Fault(400), Fault(400)),  # both texts together, then each alone
    (Fault(401),),
)  # fmt: skip


@pytest.fixture
def helix(deployment: Deployment) -> Iterator[Helix]:
    with helix_server.serving() as found:
        deployment.set("TWITCH_CLIENT_ID", CLIENT_ID)
        deployment.set("TWITCH_CLIENT_SECRET", SECRET)
        deployment.set("TWITCH_API_URL", f"{found.url}/helix")
        deployment.set("TWITCH_TOKEN_URL", f"{found.url}/oauth2/token")
        yield found


@pytest.fixture
def api(deployment: Deployment) -> Iterator[EmbeddingServer]:
    with embedding_server.serving() as found:
        for name, value in {
            "EMBEDDING_PROVIDER": "openai", "EMBEDDING_ENABLED": "true", "EMBEDDING_MODEL": "text-embedding-3-small",
            "EMBEDDING_DIMENSIONS": "32", "EMBEDDING_REQUESTS_PER_MINUTE": "60000",
            "EMBEDDING_FOLDER": str(deployment.folder / "text_vectors"),
            "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": found.url,
        }.items():  # fmt: skip
            deployment.set(name, value)
        yield found


def described(deployment: Deployment, *video_ids: str) -> None:
    """Videos whose row names a clip of Twitch and little else."""
    for video_id in video_ids:
        deployment.rows[video_id] = {
            "url": "https://clips.twitch.tv/Awkward", "title": f"Title of {video_id}",
            "captured_at": "2026-01-01T00:00:00Z", "language": "en",
        }  # fmt: skip
    deployment.read_metadata()


def made(deployment: Deployment, stage: str, video_ids: Sequence[str]) -> dg.ExecuteInProcessResult:
    return deployment.materialize([stage], video_ids)


def test_twitch_fills_what_a_row_leaves_empty_and_its_troubles_have_a_status(
    deployment: Deployment, helix: Helix
) -> None:
    described(deployment, "a")

    def status() -> str:
        made(deployment, "enriched_metadata", ["a"])
        outcome = deployment.outcome("a", "enriched_metadata")
        assert outcome is not None
        return outcome.status

    helix.faults = [(503, {})] * 3
    assert status() == "not_enriched"
    before = deployment.workshop.store.get(ENRICHED.format(video_id="a"))
    assert before is not None and from_json(before).game == ""  # found by its row meanwhile

    helix.valid = "revoked"  # the token ends, and is renewed
    assert status() == "success"
    content = deployment.workshop.store.get(ENRICHED.format(video_id="a"))
    assert content is not None
    found = from_json(content)
    assert (found.title, found.game, found.broadcaster, found.tags) == (
        "Title of a",
        "Chess",
        "Nova",
        ("Chess", "Nova"),
    )

    described(deployment, "a", "b")
    helix.client_refused = True
    refused = made(deployment, "enriched_metadata", ["b"])
    error = refused.get_step_failure_events()[0].step_failure_data.error
    assert error is not None and error.cause is not None and "TWITCH_CLIENT_ID" in error.cause.message
    outcome = deployment.outcome("b", "enriched_metadata")
    assert outcome is not None and (outcome.status, outcome.retry_count) == ("pending", 0)  # no try of the video


@pytest.mark.slow
def test_neither_key_nor_secret_nor_token_is_anywhere_after_runs_with_every_fault(
    deployment: Deployment, helix: Helix, api: EmbeddingServer,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    described(deployment, "a", "b")
    said: list[str] = []
    for statuses in ([500], [401, 401], []):
        helix.faults = [(status, {}) for status in statuses]
        said += map(repr, made(deployment, "enriched_metadata", ["a", "b"]).all_events)
    for faults in FAULTS:
        waiting = list(faults)
        api.fault = lambda number, texts, waiting=waiting: waiting.pop(0)  # type: ignore[misc]
        said += map(repr, made(deployment, "discovery_embedding", ["a", "b"]).all_events)
        assert not waiting
        outcome = deployment.outcome("a", "discovery_embedding")
        assert outcome is not None and not outcome.status.materialized
    api.fault = lambda number, texts: Fault(401)
    for command in (["embeddings", "backfill"], ["search", "rebuild"], ["config"], ["ledger", "show"]):
        done = run_clipfarm(*command)
        said += [done.out, done.err]
    api.fault = lambda number, texts: None
    assert made(deployment, "discovery_embedding", ["a", "b"]).success
    assert run_clipfarm("search", "rebuild").code == 0
    api.fault = lambda number, texts: Fault(401)
    said.append(repr(meaning(deployment.workshop.discovery, "what somebody looks for")))
    files = files_below([deployment.folder])
    said += [str(capfd.readouterr()), caplog.text, *(path.read_bytes().decode("latin-1") for path in files)]

    assert len(files) > 20 and {r["key"] for r in api.requests} == {f"Bearer {KEY}"} and helix.tokens
    for secret in (KEY, SECRET, TOKEN):
        assert not [text[:200] for text in said if secret in text]
