"""What a backfill of very many partitions from the Dagster UI costs, and what the UI then costs to look at.

The web server and the daemon run as a user starts them, on SQLite; the backfill is asked for as the UI asks, over all
videos and all six stages, with doubles in place of decoding and models (see ``instant``). CPU is that of the processes
under the daemon. ``CLIPFARM_BENCHMARK_VIDEOS`` sets the number, 2,000 where it is not set.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import psutil
import requests

from benchmarks import instant
from benchmarks.measure import Row
from clipfarm_assets.graph.events import forget_cached_status
from clipfarm_assets.graph.jobs import read_metadata_job
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets_tests.journeys.deployment import Web, free_port

Usage = Callable[[], tuple[float, float]]  # CPU seconds so far, MB at most

_PATIENCE_SEC = 3600.0
_COUNTS = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    partitionStats { numMaterialized numFailed numPartitions numMaterializing } } } }"""
_BAR = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    partitionKeysByDimension { name partitionKeys }
    assetPartitionStatuses { ... on DefaultPartitionStatuses {
        materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions } } } } }"""


def run() -> list[Row]:
    n_videos = int(os.environ.get("CLIPFARM_BENCHMARK_VIDEOS", "2000"))
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder, patch.dict(os.environ):
        home = Path(folder) / "home"
        os.environ.update(instant.environment(home, n_videos))
        with dg.DagsterInstance.get() as instance:
            job = instant.definitions_with_doubles().resolve_job_def(read_metadata_job.name)
            assert job.execute_in_process(instance=instance).success
            return _measure(instance, home, n_videos)


def _measure(instance: dg.DagsterInstance, home: Path, n_videos: int) -> list[Row]:
    web, workspace = Web(free_port()), str(home / "workspace.yaml")
    served = ("dagster-webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(web.port))
    with _program(home, *served) as server, _program(home, "dagster-daemon", "run", "-w", workspace) as daemon:
        _until(web.is_up)
        idle_sec, _ = daemon()
        began = time.monotonic()
        _backfill(web, list(instance.get_dynamic_partitions("videos")))
        answered = time.monotonic() - began
        _until(lambda: _begun(instance), daemon)
        planned_at, (planned_cpu, _) = time.monotonic() - began, daemon()
        _until(lambda: all(record.dagster_run.is_finished for record in instance.get_run_records()), daemon)
        whole, (cpu, peak_mb) = time.monotonic() - began, daemon()
        runs = [
            record for record in instance.get_run_records() if record.dagster_run.job_name != read_metadata_job.name
        ]
        looks = {name: _looks(web, server, instance, query) for name, query in (("counts", _COUNTS), ("bar", _BAR))}
        stats = {stage.name: web.partition_stats(stage.name)["numMaterialized"] for stage in STAGES}
        assert stats == dict.fromkeys(stats, n_videos), stats
    each = n_videos * len(STAGES)
    return [
        Row(f"backfill of {n_videos:,}: the UI's answer, s", answered),
        Row("runs made of it", len(runs)),
        Row("until the run works, s", planned_at, note="Dagster writes a plan a partition and asset"),
        Row("CPU a planned partition and asset, ms", (planned_cpu - idle_sec) * 1000 / each),
        Row("CPU a video and stage, planning included, ms", (cpu - idle_sec) * 1000 / each),
        Row("whole backfill, s", whole),
        Row("largest process under the daemon, MB", peak_mb),
        *(Row(f"UI: partition {name}, cold, CPU s", cold, 5.0) for name, (cold, _) in looks.items()),
        *(Row(f"UI: partition {name}, again, CPU s", warm) for name, (_, warm) in looks.items()),
    ]


def _begun(instance: dg.DagsterInstance) -> bool:
    """A run of the backfill has begun its first step."""
    runs = [run for run in instance.get_runs() if "dagster/backfill" in run.tags]
    return any(run.status not in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED) for run in runs)


def _looks(web: Web, server: Usage, instance: dg.DagsterInstance, query: str) -> tuple[float, float]:
    """What the first look at an asset's partitions after a step has ended takes, and the one after that."""
    forget_cached_status(instance, STAGES[0].name)
    used = [server()[0]]
    for _ in range(2):
        _ask(web, query, key={"path": [STAGES[0].name]})
        used.append(server()[0])
    return used[1] - used[0], used[2] - used[1]


def _backfill(web: Web, partitions: list[str]) -> None:
    query = """mutation ($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
        __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
    assets = [{"path": [stage.name]} for stage in STAGES]
    params = {"assetSelection": assets, "partitionNames": partitions, "fromFailure": False}
    answer = _ask(web, query, p=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer


def _ask(web: Web, query: str, **variables: Any) -> Any:
    """As ``Web.ask``, with the patience that a benchmark has."""
    content = {"query": query, "variables": variables}
    answer = requests.post(f"http://127.0.0.1:{web.port}/graphql", json=content, timeout=_PATIENCE_SEC).json()
    assert "errors" not in answer, answer
    return answer["data"]


@contextmanager
def _program(home: Path, *arguments: str) -> Iterator[Usage]:
    """Runs a server; yields what tells the CPU seconds of it and its children so far, and the largest one's MB.

    What a child took after it was last asked for is missed, so it is to be asked often.
    """
    program = [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]]
    with (home / f"{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen(program, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    tree, cpu, peak = psutil.Process(process.pid), dict[tuple[int, float], float](), [0.0]

    def usage() -> tuple[float, float]:
        for each in (tree, *tree.children(recursive=True)):
            try:
                times, memory = each.cpu_times(), each.memory_info().rss / 1024**2
            except psutil.NoSuchProcess:
                continue
            cpu[each.pid, each.create_time()] = times.user + times.system
            peak[0] = max(peak[0], memory)
        return sum(cpu.values()), peak[0]

    try:
        yield usage
    finally:
        every = [tree, *tree.children(recursive=True)]
        for each in every:
            each.terminate()
        for each in psutil.wait_procs(every, timeout=20)[1]:
            each.kill()


def _until(found: Callable[[], object], sample: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + _PATIENCE_SEC
    while not found():
        assert time.monotonic() < deadline
        sample()
        time.sleep(0.25)
