"""Speech recognition in the graph: whom it reaches, whom it leaves alone, and what becomes of those it cannot hear."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clipfarm_assets.transcription import videos
from clipfarm_assets_tests.graph.conftest import NewDeployment
from clipfarm_assets_tests.graph.deployment import Deployment, files_below
from clipfarm_assets_tests.models.weights import lock_weights
from clipfarm_assets_tests.transcription import tiny_whisper
from clipfarm_assets_tests.transcription.speech_server import SpeechServer, Turn, serving

KEY = "sk-very-secret-key"
HEARD = {
    "text": "Ships are late.", "language": "english", "duration": 0.5,
    "words": [{"start": n / 10, "end": n / 10 + 0.1, "word": w} for n, w in enumerate(["Ships", "are", "late"])],
}  # fmt: skip
READ = ("raw_video", "raw_text")


@pytest.fixture
def server(new_deployment: NewDeployment) -> Iterator[SpeechServer]:
    with serving() as running:
        running.turns = [Turn(HEARD)]
        yield running


def configure(deployment: Deployment, server: SpeechServer, model: str = "whisper-1") -> None:
    deployment.set("CLIPFARM_SPEECH_RECOGNISER", "openai")
    deployment.set("CLIPFARM_SPEECH_API_MODEL", model)
    deployment.set("CLIPFARM_LLM_RETRIES", 0)
    deployment.set("OPENAI_BASE_URL", server.url)
    deployment.set("OPENAI_API_KEY", KEY)


def transcript(deployment: Deployment, video_id: str) -> dict[str, Any]:
    content = deployment.workshop.store.get(f"clipfarm/raw/text/{video_id}.json")
    assert content is not None
    found: dict[str, Any] = json.loads(content)
    return found


def due(deployment: Deployment) -> dict[str, tuple[str, ...]]:
    """What the sensor would ask for: by video, the stages."""
    return {work.video_id: work.stages for work in deployment.state().agenda.work if "raw_text" in work.stages}


def test_a_recogniser_reopens_the_videos_without_a_transcript_and_no_others(
    deployment: Deployment, server: SpeechServer
) -> None:
    deployment.add("told", 0)
    deployment.add("untold", 1, said=None)
    deployment.add("silent", 2, said=None, sound=False)
    deployment.read_metadata()
    videos = list(deployment.rows)
    assert deployment.materialize(READ, videos).success
    assert deployment.statuses("untold")["raw_text"] == "empty_transcript" and due(deployment) == {}

    configure(deployment, server)
    reached = due(deployment)
    assert set(reached) == {"untold", "silent"}
    assert {"text_embedding", "segments", "segment_embedding", "scored_clips"} <= set(reached["untold"])
    before = deployment.snapshot()
    assert deployment.materialize(READ, videos).success
    assert deployment.remade_since(before, "told") == set()
    assert deployment.materialize(["raw_text"], ["told"], force=True).success  # made with a recogniser there, not by it
    assert len(server.requests) == 1 and server.requests[0]["model"] == "whisper-1"
    said = transcript(deployment, "untold")
    assert (said["transcript"], said["language"], said["source"]) == ("Ships are late.", "en", "recognition")
    assert said["model"] == "whisper-1" and said["cues"][0]["words"][1]["word"] == "are"
    rows = {video_id: deployment.ledger()[video_id, "raw_text"] for video_id in videos}
    assert [rows[v]["status"] for v in videos] == ["success", "success", "empty_transcript"]
    assert [rows[v]["model_name"] for v in videos] == [None, "whisper-1", "whisper-1"]
    assert due(deployment) == {}

    configure(deployment, server, "another-model")  # hears again what a model has heard
    assert set(due(deployment)) == {"untold", "silent"}
    deployment.set("CLIPFARM_SPEECH_RECOGNISER", "off")  # takes no transcript away
    assert due(deployment) == {} and len(server.requests) == 1


def test_while_the_api_is_out_of_reach_a_video_waits_with_the_cause_and_nothing_else_does(
    deployment: Deployment, server: SpeechServer
) -> None:
    configure(deployment, server)
    server.turns = [Turn(status=503)]
    deployment.add("told", 0)
    deployment.add("untold", 1, said=None)
    deployment.read_metadata()
    assert deployment.materialize(READ, ["told", "untold"]).success
    row = deployment.ledger()["untold", "raw_text"]
    assert (row["status"], row["retry_count"]) == ("not_transcribed", 0)
    assert row["error"] == "unavailable: The API is in trouble (503). (at 0 s of the sound)"
    assert transcript(deployment, "untold")["transcript"] == ""
    assert deployment.statuses("told")["raw_text"] == "success" and due(deployment) == {}

    server.turns = [Turn(HEARD)]
    deployment.set("CLIPFARM_RETRY_PAUSE_SEC", 0)
    assert set(due(deployment)) == {"untold"}
    deployment.materialize(READ, ["told", "untold"])
    assert transcript(deployment, "untold")["transcript"] == "Ships are late."
    assert deployment.statuses("untold")["raw_text"] == "success"
    files = [path for path in files_below([deployment.folder]) if path.is_file()]
    assert files and not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_clipfarm_run_takes_a_new_transcript_through_to_vectors_segments_and_clips(
    deployment: Deployment, server: SpeechServer
) -> None:
    deployment.add("told", 0)
    deployment.add("untold", 1, said=None)
    deployment.run(fan_in=False)
    configure(deployment, server)
    before = deployment.snapshot()
    deployment.run(fan_in=False)
    assert deployment.remade_since(before, "told") == set() and len(server.requests) == 1
    later = {"text_embedding", "segments", "segment_embedding", "scored_clips"}
    assert {"raw_text"} | later <= deployment.remade_since(before, "untold")
    assert all(deployment.statuses("untold")[stage] == "success" for stage in ("raw_text", *later))
    deployment.run(fan_in=False)
    assert deployment.reports[-1].runs == 0 and len(server.requests) == 1


@pytest.mark.slow
def test_whisper_hears_in_the_workers_once_its_weights_lie_there(deployment: Deployment) -> None:
    deployment.add("told", 0)
    deployment.add("untold", 1, said=None)
    deployment.read_metadata()
    assert deployment.materialize(READ, ["told", "untold"]).success
    name = "openai/whisper-small"
    tiny_whisper.save(deployment.folder / "models" / name.replace("/", "--"))
    lock_weights(deployment.workshop.settings, name)
    assert due(deployment) == {}
    deployment.set("CLIPFARM_SPEECH_RECOGNISER", "whisper")
    assert set(due(deployment)) == {"untold"}
    assert deployment.materialize(READ, ["told", "untold"]).success
    said = transcript(deployment, "untold")
    assert (said["transcript"], said["language"]) == ("Hello world, here we are.", "en")
    assert said["model"] == f"{name}@973afd24965f" and due(deployment) == {}

    deployment.monkeypatch.setattr(videos, "device_of", lambda settings: "cuda")  # the step infers, here on a CPU
    assert deployment.materialize(["raw_text"], ["told", "untold"], force=True).success
    assert transcript(deployment, "untold") == said and transcript(deployment, "told")["model"] is None
