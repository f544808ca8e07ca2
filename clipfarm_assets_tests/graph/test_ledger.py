"""The ledger's contract: every row in one state per stage, each status where it belongs, in Dagster's terms too."""

from collections import Counter
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from clipfarm_assets.graph.ledger import CSV_KEY, METADATA_STAGE, PARQUET_KEY
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.videos import videos
from clipfarm_assets.statuses import Status
from clipfarm_assets_tests.graph.deployment import Deployment, expect, expect_failed

NAMES = tuple(stage.name for stage in STAGES)

EXPECTED = {
    "good": expect(),
    "silent": expect(raw_audio="no_audio_track", audio_embedding="no_audio_track"),
    "speechless": expect(raw_text="empty_transcript", text_embedding="empty_transcript"),
    "broken": expect_failed("raw_video", "unsupported_media"),
    "empty": expect_failed("raw_video", "unsupported_media"),
    "absent": expect_failed("raw_video", "fail_exhausted"),
    "no-sidecar": expect_failed("raw_text", "fail_exhausted"),
    "gone": dict.fromkeys(NAMES, "removed"),
    "vanished": dict.fromkeys(NAMES, "missing_from_metadata"),
    "new": dict.fromkeys(NAMES, "pending"),
    "../bad": {METADATA_STAGE: "quarantined"},
}
BAD_LINE = "../bad,x.mp4\n"

Ledger = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def world(module_deployment: Deployment) -> Deployment:
    """One deployment that has seen everything of the contract's table."""
    it = module_deployment
    it.set("CLIPFARM_RETRY_PAUSE_SEC", 3600)
    for video_id in ("good", "gone", "vanished"):
        it.add(video_id)
    it.add("silent", sound=False)
    it.add("speechless", said=None)
    for video_id in ("broken", "empty", "absent", "no-sidecar"):
        it.add(video_id)
    (it.media / "broken.mp4").write_text("<html><body>404 Not Found</body></html>")
    (it.media / "empty.mp4").write_bytes(b"")
    (it.media / "absent.mp4").unlink()
    (it.media / "no-sidecar.srt").unlink()
    it.lines.append(BAD_LINE)
    it.run(fan_in=False)
    return it


@pytest.fixture(scope="module")
def first(world: Deployment) -> Ledger:
    return world.ledger()


@pytest.fixture(scope="module")
def last(world: Deployment, first: Ledger) -> Ledger:
    """After two more tries, a removal, a vanished row, and a new row that no run has taken up."""
    world.set("CLIPFARM_RETRY_PAUSE_SEC", 0)
    world.change("gone", removed="true", captured_at="2026-03-01T00:00:00Z")
    vanished = world.rows.pop("vanished")
    world.run(fan_in=False)
    world.run(fan_in=False)
    world.add("new")
    world.read_metadata()
    found = world.ledger()
    world.rows["vanished"] = vanished
    return found


def test_a_source_that_is_not_there_is_tried_again_before_it_is_exhausted(first: Ledger, last: Ledger) -> None:
    row = first["absent", "raw_video"]
    assert (row["status"], row["retry_count"]) == ("source_unavailable", 1)
    row = last["absent", "raw_video"]
    assert (row["status"], row["retry_count"]) == ("fail_exhausted", 3)
    assert row["error"].startswith("source_unavailable: ")


@pytest.mark.parametrize("video_id", EXPECTED)
def test_each_kind_of_video_has_its_statuses(last: Ledger, video_id: str) -> None:
    found = {stage: row["status"] for (video, stage), row in last.items() if video in {video_id, ""} and (
        video == video_id or (stage == METADATA_STAGE and video_id == "../bad")
    )}  # fmt: skip
    assert found == EXPECTED[video_id]


def test_every_video_is_in_exactly_one_state_per_stage(last: Ledger) -> None:
    stages = Counter(stage for _, stage in last)
    assert stages == Counter(dict.fromkeys(NAMES, len(EXPECTED) - 1) | {METADATA_STAGE: 1})


def test_the_rows_carry_what_the_contract_names(world: Deployment, last: Ledger) -> None:
    row = last["good", "video_embedding"]
    identity = world.identity("good", "video_embedding")
    assert identity is not None
    assert row["artifact_key"] == "clipfarm/embeddings/video/good.npy"
    assert row["vector_id"] == "good"
    assert row["source_hash"] == identity.source_hash
    assert row["processed_at"] == identity.made_at
    assert (row["model_name"], row["model_version"]) == (identity.versions.model_name, identity.versions.model_version)
    assert row["preprocess_version"].startswith("videomae-v1;frames=16")
    assert row["duration"] > 0
    assert world.instance.get_run_by_id(row["run_id"]) is not None
    assert last["silent", "audio_embedding"]["artifact_key"] is None
    assert last["speechless", "raw_text"]["artifact_key"] == "clipfarm/raw/text/speechless.json"
    assert "line " in last["", METADATA_STAGE]["error"]


def test_dagsters_partition_statuses_are_those_of_the_contracts_table(world: Deployment, last: Ledger) -> None:
    for stage in NAMES:
        value = get_and_update_asset_status_cache_value(world.instance, dg.AssetKey(stage), videos)
        assert value is not None
        failed = set(value.deserialize_failed_partition_subsets(videos).get_partition_keys())
        materialized = set(value.deserialize_materialized_partition_subsets(videos).get_partition_keys()) - failed
        for video_id in world.instance.get_dynamic_partitions("videos"):
            status = Status(last[video_id, stage]["status"])
            if status is Status.MISSING_FROM_METADATA:
                assert video_id in materialized  # as before
                continue
            found = "Failed" if video_id in failed else "Materialized" if video_id in materialized else None
            assert found == status.meaning.partition, (video_id, stage, status)


def test_a_removed_video_is_gone_from_the_store_and_has_no_partition(world: Deployment, last: Ledger) -> None:
    assert [info.key for info in world.workshop.store.list("clipfarm") if "gone" in info.key.split("/")[-1]] == []
    assert "gone" not in world.instance.get_dynamic_partitions("videos")
    kept = [info.key for info in world.workshop.store.list("clipfarm/raw") if "vanished" in info.key]
    assert len(kept) == 6


def test_the_checks_pass_or_warn_as_they_should_with_every_state_present(world: Deployment, last: Ledger) -> None:
    job = world.definitions.resolve_job_def("fan_in")
    result = job.execute_in_process(instance=world.instance)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["conservation"].passed, checks["conservation"].metadata
    assert checks["manifest_agrees_with_npy"].passed
    assert not checks["coverage"].passed and checks["coverage"].severity is dg.AssetCheckSeverity.WARN
    assert world.workshop.store.get(PARQUET_KEY) and world.workshop.store.get(CSV_KEY)


def test_a_vector_that_was_tampered_with_fails_the_check(deployment: Deployment) -> None:
    deployment.add("a")
    deployment.add("b", 1)
    deployment.run()
    job = deployment.definitions.resolve_job_def("fan_in")

    def passed() -> dict[str, bool]:
        result = job.execute_in_process(instance=deployment.instance)
        return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}

    assert all(passed().values())
    key = "clipfarm/embeddings/audio/a.npy"
    content = deployment.workshop.store.get(key)
    assert content is not None
    deployment.workshop.store.put(key, content[:-1] + bytes([content[-1] ^ 1]))
    assert not passed()["manifest_agrees_with_npy"]


def test_a_raw_object_that_vanished_or_was_tampered_with_is_missing_and_the_next_run_repairs_it(
    deployment: Deployment,
) -> None:
    deployment.set("CLIPFARM_RETRY_PAUSE_SEC", 3600)
    for video_id in ("vanished", "tampered", "whole"):
        deployment.add(video_id)
    deployment.run(fan_in=False)
    before = deployment.snapshot()
    store, wav = deployment.workshop.store, "clipfarm/raw/audio/tampered.wav"
    store.delete("clipfarm/raw/video/vanished.mp4")
    store.put(wav, (store.get(wav) or b"")[:-2] + b"\x01\x01")
    deployment.set("CLIPFARM_POOLING", "mean")
    deployment.set("CLIPFARM_MAX_AUDIO_SECONDS", 0.3)
    deployment.run(fan_in=False)
    ledger = deployment.ledger()
    for key in (("vanished", "video_embedding"), ("tampered", "audio_embedding")):
        assert (ledger[key]["status"], ledger[key]["retry_count"]) == ("missing_raw_object", 1)
    assert deployment.statuses("whole") == expect()
    deployment.set("CLIPFARM_RETRY_PAUSE_SEC", 0)
    deployment.run(fan_in=False)
    embeddings = {"video_embedding", "audio_embedding"}
    for video_id, repaired in (("vanished", {"raw_video"}), ("tampered", {"raw_audio"}), ("whole", set())):
        assert deployment.statuses(video_id) == expect()
        assert deployment.remade_since(before, video_id) == embeddings | repaired
    assert deployment.artifacts.present("clipfarm/raw/video/vanished.mp4")
    assert deployment.artifacts.present(wav)
