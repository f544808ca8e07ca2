"""What the sensors ask for, and when they ask for nothing."""

import time
from datetime import datetime, timedelta

import dagster as dg
import pyarrow.parquet as pq
import pytest

from clipfarm_assets.definitions import build
from clipfarm_assets.graph import in_flight, sensors
from clipfarm_assets.settings import load_settings
from clipfarm_assets_tests.journeys.deployment import (
    Deployment,
    Graph,
    counts,
    ledger,
    ledger_statuses,
    materializations,
    statuses,
    until,
)

CHEAP = ("raw_video", "raw_audio")


@pytest.fixture
def read(here: Deployment, graph: Graph) -> Deployment:
    """Three videos whose rows have been read."""
    here.add_videos(["v1", "v2", "v3"])
    graph.materialize("video_metadata")
    return here


class TestWhileARunIsInFlight:
    @pytest.mark.parametrize(
        "status",
        [
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.CANCELING,
        ],
    )
    def test_its_videos_are_not_asked_for_again(
        self, read: Deployment, graph: Graph, status: dg.DagsterRunStatus
    ) -> None:
        asked = graph.tick("due_videos")
        assert asked.videos == [["v1", "v2", "v3"]]
        graph.queue(asked.runs[0], status)
        again = graph.tick("due_videos")
        assert not again.runs
        assert "3 videos are in flight" in again.skipped

    def test_a_run_that_was_never_submitted_does_not_hold_its_videos_for_ever(
        self, read: Deployment, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = graph.tick("due_videos")
        graph.queue(asked.runs[0], dg.DagsterRunStatus.NOT_STARTED)
        assert not graph.tick("due_videos").runs
        monkeypatch.setattr(in_flight, "_SUBMITTED_WITHIN", timedelta(0))
        graph.cursors.clear()
        assert graph.tick("due_videos").videos == [["v1", "v2", "v3"]]

    def test_a_new_video_is_asked_for_by_itself(self, read: Deployment, graph: Graph) -> None:
        asked = graph.tick("due_videos")
        graph.queue(asked.runs[0], dg.DagsterRunStatus.STARTED)
        read.add_videos(["v0"])
        graph.obey(graph.tick("new_metadata"))
        assert graph.tick("due_videos").videos == [["v0"]]

    def test_what_a_ranged_run_of_a_person_works_on_is_left_alone(self, read: Deployment, graph: Graph) -> None:
        tags = {"dagster/asset_partition_range_start": "v1", "dagster/asset_partition_range_end": "v2"}
        graph.instance.add_run(dg.DagsterRun("__ASSET_JOB", tags=tags, status=dg.DagsterRunStatus.STARTED))
        assert graph.tick("due_videos").videos == [["v3"]]

    def test_a_run_that_ended_without_doing_anything_is_asked_for_again(self, read: Deployment, graph: Graph) -> None:
        asked = graph.tick("due_videos")
        run = graph.queue(asked.runs[0], dg.DagsterRunStatus.STARTED)
        assert not graph.tick("due_videos").runs
        graph.instance.report_run_failed(run)
        assert graph.tick("due_videos").videos == [["v1", "v2", "v3"]]

    def test_a_run_whose_process_is_gone_is_reported_and_asked_for_again(self, read: Deployment, graph: Graph) -> None:
        from clipfarm_assets.graph.in_flight import PROCESS, this_process

        asked = graph.tick("due_videos")
        run = graph.queue(asked.runs[0], dg.DagsterRunStatus.STARTED)
        graph.instance.add_run_tags(run.run_id, {PROCESS: this_process().rpartition(":")[0] + ":1"})
        assert graph.tick("due_videos").videos == [["v1", "v2", "v3"]]
        found = graph.instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE


def test_a_tick_at_which_nothing_moved_reads_neither_the_store_nor_the_events(
    read: Deployment, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = graph.tick("due_videos")
    graph.queue(asked.runs[0], dg.DagsterRunStatus.STARTED)
    assert "in flight" in graph.tick("due_videos").skipped

    def refuse(*_: object) -> None:
        raise AssertionError("A tick at which nothing moved looks at everything.")

    monkeypatch.setattr(sensors.AGENDA, "look", refuse)
    assert "Nothing has happened" in graph.tick("due_videos").skipped


def test_the_metadata_is_asked_for_once_and_then_only_when_it_changes(here: Deployment, graph: Graph) -> None:
    here.add_videos(["v1"])
    asked = graph.tick("new_metadata")
    assert len(asked.runs) == 1
    assert not graph.tick("new_metadata").runs  # the run has not been started yet
    graph.obey(asked)
    assert not graph.tick("new_metadata").runs
    here.add_videos(["v2"])
    assert len(graph.tick("new_metadata").runs) == 1


def test_reading_the_metadata_adds_the_partitions_of_the_videos_that_are_to_be_made(
    here: Deployment, graph: Graph
) -> None:
    here.add_videos(["v1", "v2"])
    here.add_rows(["v2"], removed=True)
    here.add_rows(["../bad"])
    assert graph.materialize("video_metadata").success
    assert graph.instance.get_dynamic_partitions("videos") == ["v1"]


def test_a_partition_that_is_not_there_is_asked_for_with_the_runs(read: Deployment, graph: Graph) -> None:
    graph.instance.delete_dynamic_partition("videos", "v2")
    asked = graph.tick("due_videos")
    assert asked.partitions == ["v2"]
    assert asked.videos == [["v1", "v2", "v3"]]


def test_videos_whose_order_is_not_that_of_their_partitions_go_in_one_run(read: Deployment, graph: Graph) -> None:
    graph.settle(*CHEAP)
    read.add_videos(["v0"])  # sorts before all, its partition comes after all
    read.media("v2").write_bytes(read.clip.read_bytes() + b"\0\0\0\x08free")
    graph.obey(graph.tick("new_metadata"))
    asked = graph.tick("due_videos")
    graph.obey(asked, *CHEAP)
    graph.settle(*CHEAP)
    assert counts(graph.instance, "raw_audio") == {"Materialized": 4}
    assert set(ledger_statuses(graph.instance, "raw_audio").values()) == {"success"}


class TestTheFanIn:
    def test_waits_for_runs_and_quiet_and_is_then_asked_for_once(
        self, read: Deployment, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLIPFARM_FAN_IN_QUIET_SEC", "600")
        graph.settle(*CHEAP)
        run = graph.instance.add_run(dg.DagsterRun("process_videos", status=dg.DagsterRunStatus.STARTED))
        assert "still working" in graph.tick("fan_in_due").skipped
        graph.instance.report_run_canceled(run)
        assert "quiet" in graph.tick("fan_in_due").skipped
        monkeypatch.setenv("CLIPFARM_FAN_IN_QUIET_SEC", "0.5")
        asked = until(lambda: (found := graph.tick("fan_in_due")).runs and found, "a request for the fan-in", 10)
        assert asked is not None
        assert len(asked.runs) == 1
        assert not graph.tick("fan_in_due").runs
        result = graph.definitions.resolve_job_def("fan_in").execute_in_process(instance=graph.instance)
        assert result.success
        assert "newer than every stage" in graph.tick("fan_in_due").skipped

    def test_is_asked_for_again_after_the_next_change(
        self, read: Deployment, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLIPFARM_FAN_IN_QUIET_SEC", "0")
        graph.settle(*CHEAP)
        assert len(graph.tick("fan_in_due").runs) == 1
        graph.definitions.resolve_job_def("fan_in").execute_in_process(instance=graph.instance)
        read.add_videos(["v4"])
        graph.settle(*CHEAP)
        assert len(graph.tick("fan_in_due").runs) == 1


class TestRetries:
    PAUSE = 0.4

    @pytest.fixture
    def failing(self, here: Deployment, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Deployment:
        """One video of two has no file."""
        monkeypatch.setenv("CLIPFARM_RETRY_PAUSE_SEC", str(self.PAUSE))
        graph.definitions = build(load_settings())
        here.add_videos(["good", "bad"], without_file=["bad"])
        graph.obey(graph.tick("new_metadata"))
        graph.obey(graph.tick("due_videos"), "raw_video")
        return here

    def test_three_failing_tries_exhaust_a_video_after_pauses_that_grow(
        self, failing: Deployment, graph: Graph
    ) -> None:
        failed_at = []
        for tries in (1, 2):
            row = ledger(graph.instance, "raw_video")["bad"]
            assert (row["status"], row["retry_count"]) == ("source_unavailable", tries)
            failed_at.append(datetime.fromisoformat(row["processed_at"]).timestamp())
            assert until(lambda: self._retry(graph), "a request for the next try", 20) == ["bad"]
        row = ledger(graph.instance, "raw_video")["bad"]
        failed_at.append(datetime.fromisoformat(row["processed_at"]).timestamp())
        assert (row["status"], row["retry_count"]) == ("fail_exhausted", 3)
        assert "bad.mp4" in row["error"]
        assert failed_at[1] - failed_at[0] >= self.PAUSE
        assert failed_at[2] - failed_at[1] >= 5 * self.PAUSE
        assert statuses(graph.instance, "raw_video") == {"bad": "Failed", "good": "Materialized"}
        deadline = time.monotonic() + self.PAUSE
        while time.monotonic() < deadline:
            assert self._retry(graph) == []

    def _retry(self, graph: Graph) -> list[str]:
        """The videos of which a tick asks for raw_video again; the request is done."""
        asked = graph.tick("due_videos")
        retries = [request for request in asked.runs if request.tags["clipfarm/kind"] == "retry"]
        for request in retries:
            graph.execute(request, ["raw_video"])
        return [video for r in retries for video in r.run_config["resources"]["chunk"]["config"]["videos"]]

    def test_a_changed_row_reopens_an_exhausted_video(self, failing: Deployment, graph: Graph) -> None:
        for _ in (2, 3):
            until(lambda: self._retry(graph), "a request for the next try", 20)
        failing.add_rows(["bad"], url="good.mp4")
        graph.settle("raw_video")
        assert statuses(graph.instance, "raw_video") == {"bad": "Materialized", "good": "Materialized"}
        assert ledger(graph.instance, "raw_video")["bad"]["retry_count"] == 0

    def test_a_changed_row_that_fails_as_well_has_three_new_tries(self, failing: Deployment, graph: Graph) -> None:
        for _ in (2, 3):
            until(lambda: self._retry(graph), "a request for the next try", 20)
        failing.add_rows(["bad"], url="nowhere.mp4")
        graph.obey(graph.tick("new_metadata"))
        graph.obey(graph.tick("due_videos"), "raw_video")
        row = ledger(graph.instance, "raw_video")["bad"]
        assert (row["status"], row["retry_count"]) == ("source_unavailable", 1)

    def test_a_person_may_have_an_exhausted_video_tried_again(self, failing: Deployment, graph: Graph) -> None:
        for _ in (2, 3):
            until(lambda: self._retry(graph), "a request for the next try", 20)
        failing.add_files(["bad"])
        assert graph.materialize("raw_video", "bad").success
        assert statuses(graph.instance, "raw_video")["bad"] == "Materialized"


class TestRemoval:
    def test_a_row_that_says_removed_deletes_artifacts_and_partition_and_leaves_a_tombstone(
        self, read: Deployment, graph: Graph
    ) -> None:
        graph.settle(*CHEAP)
        kept = read.made_at("raw_video")
        read.add_rows(["v2"], removed=True)
        graph.settle(*CHEAP)
        assert list(statuses(graph.instance, "raw_video")) == ["v1", "v3"]
        for stage in CHEAP:
            assert not read.artifact(stage, "v2").exists()
            assert read.artifact(stage, "v1").is_file()
            assert set(read.made_at(stage)) == {"v1", "v3"}
            assert ledger_statuses(graph.instance, stage) == {"v1": "success", "v2": "removed", "v3": "success"}
        assert {v: made for v, made in kept.items() if v != "v2"} == read.made_at("raw_video")
        graph.definitions.resolve_job_def("fan_in").execute_in_process(instance=graph.instance)
        manifest = pq.read_table(read.store / "clipfarm/fused/concat/fused_manifest.parquet")
        assert "v2" not in manifest["video_id"].to_pylist()

    def test_a_removed_video_whose_row_comes_back_is_made_again(self, read: Deployment, graph: Graph) -> None:
        graph.settle(*CHEAP)
        read.add_rows(["v2"], removed=True)
        graph.settle(*CHEAP)
        read.add_rows(["v2"])
        graph.settle(*CHEAP)
        assert statuses(graph.instance, "raw_audio")["v2"] == "Materialized"
        assert read.artifact("raw_audio", "v2").is_file()
        assert ledger_statuses(graph.instance, "raw_audio")["v2"] == "success"

    def test_a_row_that_vanished_destroys_nothing(self, read: Deployment, graph: Graph) -> None:
        graph.settle(*CHEAP)
        made = read.made_at("raw_video")
        read.drop_rows("v2")
        graph.settle(*CHEAP)
        assert ledger_statuses(graph.instance, "raw_video") == {
            "v1": "success",
            "v2": "missing_from_metadata",
            "v3": "success",
        }
        assert read.made_at("raw_video") == made
        assert statuses(graph.instance, "raw_video")["v2"] == "Materialized"

    def test_a_row_that_came_back_makes_nothing_again(self, read: Deployment, graph: Graph) -> None:
        graph.settle(*CHEAP)
        whole = read.csv.read_text()
        read.drop_rows("v2")
        graph.settle(*CHEAP)
        read.csv.write_text(whole)
        graph.settle(*CHEAP)
        assert set(ledger_statuses(graph.instance, "raw_video").values()) == {"success"}
        assert materializations(graph.instance, "raw_video") == {"v1": 1, "v2": 1, "v3": 1}
