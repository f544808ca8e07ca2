"""What a user loses outside the platform: a store, an object, a manifest, the disk that the videos came from."""

import shutil

import pytest

from clipfarm_assets.embeddings.manifest import manifest_key, read_manifest
from clipfarm_assets.fusion.fused_manifest import fused_counts
from clipfarm_assets.graph.run import Runner
from clipfarm_assets.graph.stages import STAGES, VIDEO_EMBEDDING
from clipfarm_assets_tests.graph.deployment import Deployment

pytestmark = pytest.mark.slow


@pytest.fixture
def finished(deployment: Deployment) -> Deployment:
    deployment.add("a")
    deployment.run()
    assert _present(deployment) == {stage.name for stage in STAGES}
    return deployment


def _present(deployment: Deployment) -> set[str]:
    return {stage.name for stage in STAGES if deployment.artifacts.present(stage.key("a")) is not None}


def test_an_emptied_store_is_made_again_and_not_called_finished(finished: Deployment) -> None:
    shutil.rmtree(finished.folder / "store")
    finished.run()
    assert _present(finished) == {stage.name for stage in STAGES}
    assert fused_counts(finished.workshop.store, "concat") == {"success": 1}


def test_a_copied_store_is_the_same_store_and_nothing_is_made_again(finished: Deployment) -> None:
    before = {stage.name: finished.identity("a", stage.name) for stage in STAGES}
    shutil.copytree(finished.folder / "store", finished.folder / "copy")
    finished.set("CLIPFARM_STORE", (finished.folder / "copy").as_uri())
    finished.run()
    assert {stage.name: finished.identity("a", stage.name) for stage in STAGES} == before


def test_a_lost_object_is_made_again_where_verification_is_asked_for(finished: Deployment) -> None:
    finished.workshop.store.delete(VIDEO_EMBEDDING.key("a"))
    Runner(finished.definitions, finished.instance, finished.workshop, lambda text: None).run(verify=True)
    assert _present(finished) == {stage.name for stage in STAGES}
    assert fused_counts(finished.workshop.store, "concat") == {"success": 1}


def test_a_fan_in_that_failed_is_done_at_the_next_run(finished: Deployment) -> None:
    manifest = finished.folder / "store" / manifest_key("video")
    manifest.unlink()
    manifest.mkdir()  # a folder stands where the manifest should be written
    (manifest / "in the way").touch()
    finished.add("late", 1)
    finished.run()
    assert finished.reports[-1].errors
    shutil.rmtree(manifest)
    finished.run()
    assert read_manifest(finished.workshop.store, "video")["video_id"].to_pylist() == ["a", "late"]
    assert fused_counts(finished.workshop.store, "concat") == {"success": 2}
    finished.run()
    assert finished.reports[-1].runs == 0


def test_a_source_that_is_away_takes_nothing_from_a_finished_video(finished: Deployment) -> None:
    (finished.media / "a.mp4").rename(finished.folder / "a.mp4")
    (finished.media / "a.srt").rename(finished.folder / "a.srt")
    finished.change("a", captured_at="2026-02-01T00:00:00Z", view_count="5")
    state = finished.run()
    assert all(verdict.finished for verdict in state.verdicts["a"].values())
    assert fused_counts(finished.workshop.store, "concat") == {"success": 1}
    shutil.copy(finished.tiny.make(1), finished.media / "a.mp4")
    before = finished.identity("a", "raw_video")
    finished.run()
    after = finished.identity("a", "raw_video")
    assert before is not None
    assert after is not None
    assert before.sha256 != after.sha256
