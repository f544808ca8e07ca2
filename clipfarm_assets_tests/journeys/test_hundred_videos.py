"""A hundred videos of which three fail, through the sensor, the UI's backfill and the command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
import pytest

from clipfarm_assets_tests.journeys.deployment import (
    Deployment,
    Web,
    counts,
    failures,
    free_port,
    materializations,
    runs_of,
    statuses,
    until,
)

pytestmark = pytest.mark.slow

HUNDRED = [f"v{number:03}" for number in range(100)]
BAD = ["v007", "v042", "v099"]
GOOD = [video_id for video_id in HUNDRED if video_id not in BAD]
SENSORS = ("new_metadata", "due_videos", "fan_in_due")


@pytest.fixture
def hundred(deployment: Deployment) -> Deployment:
    """A hundred rows and 97 files."""
    deployment.add_videos(HUNDRED, without_file=BAD)
    return deployment


def _is_97_to_3(instance: dg.DagsterInstance) -> bool:
    return counts(instance, "raw_video") == {"Materialized": 97, "Failed": 3}


def _errors_are_told(instance: dg.DagsterInstance) -> None:
    assert {video_id for video_id, status in statuses(instance, "raw_video").items() if status == "Failed"} == set(BAD)
    found = failures(instance, "raw_video")
    assert set(found) == set(BAD)
    for video_id, (status, error) in found.items():
        assert status == "source_unavailable"
        assert f"{video_id}.mp4" in error
    first = runs_of(instance, "raw_video")[0]
    run = instance.get_run_by_id(first.run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE


@contextmanager
def _served(deployment: Deployment, *, sensors_on: bool) -> Iterator[tuple[Web, Callable[[], str]]]:
    """The web server, then the daemon; the sensors may be switched off in between, as a person does in the UI."""
    web, workspace = Web(free_port()), str(deployment.folder / "workspace.yaml")
    with deployment.instance():
        pass
    with deployment.program("dagster-webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(web.port)) as web_log:
        until(web.is_up, "the web server", 90, web_log)
        if not sensors_on:
            for name in SENSORS:
                web.set_sensor(name, on=False)
        with deployment.program("dagster-daemon", "run", "-w", workspace) as daemon_log:
            yield web, lambda: web_log() + daemon_log()


def test_the_sensor_leaves_97_materialized_and_3_failed_and_its_retry_takes_only_the_3(hundred: Deployment) -> None:
    with _served(hundred, sensors_on=True) as (web, logs), hundred.instance() as instance:
        until(lambda: _is_97_to_3(instance), "97 Materialized and 3 Failed", 150, logs)
        _errors_are_told(instance)
        assert web.partition_stats("raw_video")["numMaterialized"] == 97
        assert web.partition_stats("raw_video")["numFailed"] == 3
        before = hundred.made_at("raw_video")
        hundred.add_files(BAD)
        until(lambda: counts(instance, "raw_video") == {"Materialized": 100}, "100 Materialized", 150, logs)
        after = hundred.made_at("raw_video")
        assert {video_id: after[video_id] for video_id in GOOD} == before
        assert materializations(instance, "raw_video") == dict.fromkeys(HUNDRED, 1)
        runs = runs_of(instance, "raw_video")
        assert [run.tags["clipfarm/videos"] for run in runs] == ["100", "3"]


def test_a_backfill_of_the_ui_leaves_97_materialized_and_3_failed_and_one_of_the_failed_takes_only_the_3(
    hundred: Deployment,
) -> None:
    read = ("dagster", "asset", "materialize", "--select", "video_metadata", "-m", "clipfarm_assets.definitions")
    assert hundred.command(*read).code == 0
    with hundred.instance() as instance:
        with _served(hundred, sensors_on=False) as (web, logs):
            backfill = web.backfill("raw_video", HUNDRED)
            until(lambda: _is_97_to_3(instance), "97 Materialized and 3 Failed", 150, logs)
            _errors_are_told(instance)
            stats = web.partition_stats("raw_video")
            assert (stats["numMaterialized"], stats["numFailed"], stats["numPartitions"]) == (97, 3, 100)
            ended = ("COMPLETED", "COMPLETED_FAILED", "FAILED")
            until(lambda: web.backfill_status(backfill) in ended, "the backfill's end", 60, logs)
            assert len(runs_of(instance, "raw_video")) == 1
            before = hundred.made_at("raw_video")
            hundred.add_files(BAD)
            assert hundred.command(*read).code == 0
            web.backfill("raw_video", BAD)
            until(lambda: counts(instance, "raw_video") == {"Materialized": 100}, "100 Materialized", 150, logs)
            after = hundred.made_at("raw_video")
            assert {video_id: after[video_id] for video_id in GOOD} == before
            assert materializations(instance, "raw_video") == dict.fromkeys(HUNDRED, 1)
            assert web.partition_stats("raw_video")["numMaterialized"] == 100


def test_the_command_line_leaves_97_materialized_and_3_failed_and_a_retry_makes_only_the_3(
    hundred: Deployment,
) -> None:
    def materialize(select: str, *which: str) -> int:
        arguments = ("--select", select, *which, "-m", "clipfarm_assets.definitions")
        return hundred.command("dagster", "asset", "materialize", *arguments).code

    assert materialize("video_metadata") == 0
    with hundred.instance() as instance:
        assert instance.get_dynamic_partitions("videos") == HUNDRED
        assert materialize("raw_video", "--partition-range", "v000...v099") == 1
        assert _is_97_to_3(instance)
        _errors_are_told(instance)
        before = hundred.made_at("raw_video")
        hundred.add_files(BAD)
        assert materialize("raw_video", "--partition", "v007") == 0
        assert counts(instance, "raw_video") == {"Materialized": 98, "Failed": 2}
        assert materialize("raw_video", "--partition-range", "v000...v099") == 0
        assert counts(instance, "raw_video") == {"Materialized": 100}
        after = hundred.made_at("raw_video")
        assert {video_id: after[video_id] for video_id in GOOD} == before


def test_dg_launch_leaves_97_materialized_and_3_failed(hundred: Deployment) -> None:
    def launch(*arguments: str) -> int:
        return hundred.command("dg", "launch", "--assets", *arguments, "-m", "clipfarm_assets.definitions").code

    assert launch("video_metadata") == 0
    with hundred.instance() as instance:
        assert launch("raw_video", "--partition-range", "v000...v099") == 1
        assert _is_97_to_3(instance)
        _errors_are_told(instance)
        hundred.add_files(BAD)
        assert launch("raw_video", "--partition", "v007") == 0
        assert counts(instance, "raw_video") == {"Materialized": 98, "Failed": 2}
