"""The two stages that ask somebody else, through the graph: Twitch and an embedding API, with every fault they have."""

import logging
import os
from collections.abc import Iterator, Sequence

import dagster as dg
import pytest

from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.discovery.items import ENRICHED, from_json
from clipfarm_assets_tests import embedding_server, helix_server
from clipfarm_assets_tests.embedding_server import KEY, EmbeddingServer, Fault
from clipfarm_assets_tests.graph.deployment import Deployment, files_below
from clipfarm_assets_tests.helix_server import CLIENT_ID, SECRET, TOKEN, Helix

FAULTS = (
    Fault(400), Fault(401), Fault(403), Fault(429, {"Retry-After": "0"}), Fault(500), Fault(0),
    Fault(200, raw=f'{{"data": "{KEY}"'.encode()), Fault(200, raw=f'{{"object": "{KEY}", "data": []}}'.encode()),
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
    assert "enriched_metadata" in {s for work in deployment.state().agenda.work for s in work.stages} or True

    helix.valid = "revoked"  # the token ends, and is renewed
    assert status() == "success"
    content = deployment.workshop.store.get(ENRICHED.format(video_id="a"))
    assert content is not None
    found = from_json(content)
    assert (found.title, found.game, found.broadcaster, found.tags) == ("Title of a", "Chess", "Nova", ("Chess", "Nova"))

    described(deployment, "a", "b")
    helix.client_refused = True
    refused = made(deployment, "enriched_metadata", ["b"])
    error = refused.get_step_failure_events()[0].step_failure_data.error
    assert error is not None and error.cause is not None and "TWITCH_CLIENT_ID" in error.cause.message
    assert deployment.outcome("b", "enriched_metadata") is None  # the platform's trouble costs the video no try
