"""Ranges and single partitions, as `dagster asset materialize` and the UI run them."""

from typing import Any

import dagster as dg
import pytest

from clipfarm_assets.graph.events import EventGroup
from clipfarm_assets_tests.journeys.deployment import (
    Deployment,
    Graph,
    counts,
    failures,
    ledger,
    ledger_statuses,
    materializations,
    statuses,
)

TEN = [f"v{number}" for number in range(10)]
BAD = ["v3", "v9"]
GOOD = [video_id for video_id in TEN if video_id not in BAD]
CHAIN = "raw_video,raw_audio,audio_embedding"


@pytest.fixture
def ten(here: Deployment, graph: Graph) -> Deployment:
    """Ten videos with partitions; the files of two are not there."""
    here.add_videos(TEN, without_file=BAD)
    graph.materialize("video_metadata")
    return here


def test_a_range_leaves_the_good_materialized_and_the_bad_failed_with_their_errors(
    ten: Deployment, graph: Graph
) -> None:
    result = graph.materialize("raw_video", TEN[0], TEN[-1])
    assert not result.success
    assert statuses(graph.instance, "raw_video") == {v: "Failed" if v in BAD else "Materialized" for v in TEN}
    assert set(failures(graph.instance, "raw_video")) == set(BAD)
    for video_id, (status, error) in failures(graph.instance, "raw_video").items():
        assert status == "source_unavailable"
        assert f"{video_id}.mp4" in error
    assert set(ten.made_at("raw_video")) == set(GOOD)


def test_a_range_again_makes_only_what_failed(ten: Deployment, graph: Graph) -> None:
    graph.materialize("raw_video", TEN[0], TEN[-1])
    before = ten.made_at("raw_video")
    ten.add_files(BAD)
    assert graph.materialize("raw_video", TEN[0], TEN[-1]).success
    assert counts(graph.instance, "raw_video") == {"Materialized": 10}
    after = ten.made_at("raw_video")
    assert {video_id: after[video_id] for video_id in GOOD} == before
    assert set(after) == set(TEN)


def test_a_look_at_the_ui_at_the_wrong_moment_of_a_run_hides_no_video_for_good(
    ten: Deployment, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, looked = type(graph.instance).get_latest_planned_materialization_info, []

    def find_late(instance: dg.DagsterInstance, *arguments: Any, **named: Any) -> Any:
        looked.append("the newest materialization has been read, the newest plan has not")
        return find(instance, *arguments, **named) and replace_id(find(instance, *arguments, **named))

    def replace_id(info: Any) -> Any:
        return type(info)(storage_id=10**9, run_id=info.run_id)

    started = EventGroup.started

    def look_and_start(events: EventGroup, video_ids: Any) -> None:
        started(events, video_ids)
        with monkeypatch.context() as patch:
            patch.setattr(type(graph.instance), "get_latest_planned_materialization_info", find_late)
            statuses(graph.instance, "raw_video")

    monkeypatch.setattr(EventGroup, "started", look_and_start)
    graph.materialize("raw_video", TEN[0], TEN[-1])
    assert looked
    assert counts(graph.instance, "raw_video") == {"Materialized": 8, "Failed": 2}


def test_where_the_first_of_three_stages_fails_the_next_tick_takes_the_good_videos_through(
    ten: Deployment, graph: Graph
) -> None:
    result = graph.materialize(CHAIN, TEN[0], TEN[-1])
    assert not result.success
    assert counts(graph.instance, "raw_video") == {"Materialized": 8, "Failed": 2}
    assert not materializations(graph.instance, "raw_audio")
    graph.settle("raw_audio", "audio_embedding")
    for stage in ("raw_audio", "audio_embedding"):
        assert {v: s for v, s in statuses(graph.instance, stage).items() if v in GOOD} == dict.fromkeys(
            GOOD, "Materialized"
        )
        assert ledger_statuses(graph.instance, stage) == {v: "upstream_failed" if v in BAD else "success" for v in TEN}
        assert materializations(graph.instance, stage) == dict.fromkeys(GOOD, 1)
    assert materializations(graph.instance, "raw_video") == dict.fromkeys(GOOD, 1)


def test_an_unpartitioned_tail_of_a_single_partition_has_its_own_materialization(ten: Deployment, graph: Graph) -> None:
    assert graph.materialize("raw_video,embedding_manifest,fused_manifest", "v1").success
    assert materializations(graph.instance, "raw_video") == {"v1": 1}
    assert materializations(graph.instance, "embedding_manifest") == {None: 1}
    assert materializations(graph.instance, "fused_manifest") == {None: 1}
    assert statuses(graph.instance, "raw_video")["v1"] == "Materialized"
    assert (ten.store / "clipfarm/fused/concat/fused_manifest.parquet").is_file()


def test_an_unpartitioned_tail_of_a_range_has_its_own_materialization(ten: Deployment, graph: Graph) -> None:
    assert graph.materialize("raw_video,raw_audio,embedding_manifest,ledger", "v0", "v2").success
    for stage in ("raw_video", "raw_audio"):
        assert materializations(graph.instance, stage) == {"v0": 1, "v1": 1, "v2": 1}
    assert materializations(graph.instance, "embedding_manifest") == {None: 1}
    assert materializations(graph.instance, "ledger") == {None: 1}


def test_a_single_partition_that_fails_fails_alone(ten: Deployment, graph: Graph) -> None:
    assert graph.materialize("raw_video", "v1").success
    assert not graph.materialize("raw_video", "v3").success
    assert counts(graph.instance, "raw_video") == {"Materialized": 1, "Failed": 1, "Missing": 8}


class TestAVideoThatWasMaterializedAndNowFails:
    """Its file is replaced by garbage, then by the good one again."""

    STAGES = ("raw_video", "raw_audio", "audio_embedding")

    @pytest.fixture(autouse=True)
    def once_good(self, here: Deployment, graph: Graph) -> None:
        self.graph, self.deployment = graph, here
        here.add_videos(TEN[:5])
        graph.materialize("video_metadata")
        assert graph.materialize(CHAIN, "v0", "v4").success
        for stage in self.STAGES:
            assert counts(graph.instance, stage) == {"Materialized": 5}
        self.before = here.made_at("raw_video")
        here.media("v2").write_bytes(b"this is no video " * 100)
        graph.materialize("video_metadata")

    def test_is_failed_after_a_range_over_all_and_the_others_stay_materialized(self) -> None:
        assert not self.graph.materialize("raw_video", "v0", "v4").success
        assert statuses(self.graph.instance, "raw_video") == {
            f"v{n}": "Failed" if n == 2 else "Materialized" for n in range(5)
        }
        assert failures(self.graph.instance, "raw_video")["v2"][0] == "unsupported_media"
        made = self.deployment.made_at("raw_video")
        assert {v: made[v] for v in made if v != "v2"} == {v: self.before[v] for v in self.before if v != "v2"}

    def test_is_failed_after_the_tick_of_the_sensor_which_touches_no_other(self) -> None:
        self.graph.settle(*self.STAGES)
        assert statuses(self.graph.instance, "raw_video") == {
            f"v{n}": "Failed" if n == 2 else "Materialized" for n in range(5)
        }
        assert materializations(self.graph.instance, "raw_video") == {f"v{n}": 1 for n in range(5)}
        assert ledger(self.graph.instance, "raw_audio")["v2"]["status"] == "upstream_failed"

    def test_leaves_no_later_stage_of_the_others_failed_once_the_sensor_has_ticked(self) -> None:
        assert not self.graph.materialize(CHAIN, "v0", "v4").success
        self.graph.settle(*self.STAGES)
        for stage in self.STAGES:
            found = statuses(self.graph.instance, stage)
            assert {v: s for v, s in found.items() if v != "v2"} == {f"v{n}": "Materialized" for n in (0, 1, 3, 4)}
        assert ledger(self.graph.instance, "audio_embedding")["v2"]["status"] == "upstream_failed"

    def test_is_materialized_in_every_stage_when_its_file_is_good_again(self) -> None:
        self.graph.materialize(CHAIN, "v0", "v4")
        self.graph.settle(*self.STAGES)
        self.deployment.add_files(["v2"])
        self.graph.materialize("video_metadata")
        self.graph.settle(*self.STAGES)
        for stage in self.STAGES:
            assert counts(self.graph.instance, stage) == {"Materialized": 5}
            assert set(ledger_statuses(self.graph.instance, stage).values()) == {"success"}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_both_executors_leave_the_same_outcomes_of_a_chain_with_an_unpartitioned_tail(
    executor: str, ten: Deployment, graph: Graph
) -> None:
    def materialize(select: str, *which: str) -> int:
        arguments = ["--select", select, *which, "-m", "clipfarm_assets.definitions"]
        return ten.command("dagster", "asset", "materialize", *arguments, CLIPFARM_EXECUTOR=executor).code

    assert materialize("raw_video,raw_audio", "--partition-range", "v0...v9") == 1
    assert counts(graph.instance, "raw_video") == {"Materialized": 8, "Failed": 2}
    assert not materializations(graph.instance, "raw_audio")
    assert materialize("raw_audio,embedding_manifest,ledger", "--partition", "v1") == 0
    assert materializations(graph.instance, "raw_audio") == {"v1": 1}
    assert materializations(graph.instance, "embedding_manifest") == {None: 1}
    assert materializations(graph.instance, "ledger") == {None: 1}
    assert materialize("raw_video,raw_audio", "--partition-range", "v0...v2") == 0
    found = statuses(graph.instance, "raw_audio")
    assert [found[video_id] for video_id in ("v0", "v1", "v2")] == ["Materialized"] * 3
    graph.settle("raw_audio")
    assert materializations(graph.instance, "raw_audio").keys() == set(GOOD)
    assert ledger_statuses(graph.instance, "raw_audio") == {
        v: "upstream_failed" if v in BAD else "success" for v in TEN
    }
