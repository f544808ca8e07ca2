"""Processes and runs that are out of step: a worker whose run is over, and a run whose worker never came."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from clipfarm_assets.graph import in_flight
from clipfarm_assets.graph.in_flight import PROCESS, asked_for_before, end_hung_workers, report_dead_runs
from clipfarm_assets.graph.jobs import chunk_config

LIMIT_SEC = 3600
LAUNCHED = {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": "/nowhere"})}


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(in_flight, "_LEAVES_WITHIN_SEC", -1.0)
    monkeypatch.setattr(in_flight, "_STARTS_WITHIN", timedelta(0))
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def of(process: "subprocess.Popen[bytes]") -> dict[str, str]:
    return {PROCESS: f"{socket.gethostname()}:{process.pid}:{psutil.Process(process.pid).create_time():.0f}"}


def add_run(instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun("process_videos", tags=tags, status=status))


def test_a_worker_that_hangs_after_its_run_was_ended_is_killed(
    instance: dg.DagsterInstance, worker: "subprocess.Popen[bytes]"
) -> None:
    run = add_run(instance, LAUNCHED | of(worker), dg.DagsterRunStatus.STARTED)
    assert end_hung_workers(instance, LIMIT_SEC) == []
    instance.report_run_failed(run, "It took too long.")
    assert end_hung_workers(instance, LIMIT_SEC) == [worker.pid]
    worker.wait(10)
    assert end_hung_workers(instance, LIMIT_SEC) == []


def test_a_worker_that_takes_longer_than_its_limit_is_killed(
    instance: dg.DagsterInstance, worker: "subprocess.Popen[bytes]"
) -> None:
    run = add_run(instance, LAUNCHED | of(worker), dg.DagsterRunStatus.STARTING)
    start = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
    instance.report_dagster_event(start, run.run_id)
    assert end_hung_workers(instance, LIMIT_SEC) == []
    assert end_hung_workers(instance, 0) == [worker.pid]


def test_the_process_of_the_command_line_goes_on_after_one_of_its_runs(
    instance: dg.DagsterInstance, worker: "subprocess.Popen[bytes]"
) -> None:
    instance.report_run_failed(add_run(instance, of(worker), dg.DagsterRunStatus.STARTED))
    assert end_hung_workers(instance, LIMIT_SEC) == []
    assert worker.poll() is None


def test_a_run_whose_code_server_died_before_its_first_step_is_reported(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    tags = {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": path})}
    run = add_run(instance, tags, dg.DagsterRunStatus.STARTED)
    assert report_dead_runs(instance) == []
    server.close()  # as after kill -9: the socket's file stays
    assert report_dead_runs(instance) == [run.run_id]


def test_a_run_that_another_machine_starts_is_left_alone(instance: dg.DagsterInstance) -> None:
    add_run(instance, LAUNCHED, dg.DagsterRunStatus.STARTED)
    assert report_dead_runs(instance) == []


def test_of_two_runs_with_the_same_videos_the_later_one_leaves_them_to_the_earlier(
    instance: dg.DagsterInstance,
) -> None:
    earlier, later = (
        instance.add_run(
            dg.DagsterRun("process_videos", run_config=chunk_config(videos), status=dg.DagsterRunStatus.STARTED)
        )
        for videos in (["a", "b"], ["b", "c"])
    )
    assert asked_for_before(instance, earlier) == set()
    assert asked_for_before(instance, later) == {"b"}
    instance.report_run_failed(earlier)
    assert asked_for_before(instance, later) == set()
