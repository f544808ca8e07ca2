"""One deployment in a folder of its own, and what its users do with it."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pytest
import requests
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_aws.s3 import S3Resource

from clipfarm_assets.graph.in_flight import VIDEOS
from clipfarm_assets.graph.ledger import read_ledger
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.stages import STAGE_BY_NAME
from clipfarm_assets.graph.videos import videos
from clipfarm_assets.settings import load_settings
from clipfarm_assets.store.artifacts import identity_key

PROJECT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
COLUMNS = ("video_id", "url", "title", "captured_at", "removed")
T = TypeVar("T")
_BUSY = 5  # how much slower a machine may be that does other things too; only what hangs waits that long


def until(found: Callable[[], T | None], what: str, seconds: float = 60, logs: Callable[[], str] = str) -> T:
    """The first answer that is not empty; when none comes, the test fails with the logs.

    ``seconds`` are those of a quiet machine.
    """
    deadline = time.monotonic() + seconds * _BUSY
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.2)
    pytest.fail(f"Waited {seconds * _BUSY:.0f} s for: {what}\n{logs()}\nWaited {seconds * _BUSY:.0f} s for: {what}")


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Deployment:
    """A folder with its own DAGSTER_HOME, CSV, media and store; nothing of it is shared with another one."""

    folder: Path
    clip: Path
    databases: Path | None = None  # empty ones, to spare their making
    _captured: int = 0

    def __post_init__(self) -> None:
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(PROJECT / name, self.folder / name)
        self.csv.parent.mkdir()
        self.csv.write_text(",".join(COLUMNS) + "\n")
        if self.databases is not None:
            shutil.copytree(self.databases, self.env["CLIPFARM_DAGSTER_STORAGE"])

    @property
    def csv(self) -> Path:
        return self.folder / "data" / "metadata.csv"

    @property
    def store(self) -> Path:
        return self.folder / "data" / "store"

    @cached_property
    def env(self) -> dict[str, str]:
        """What makes a process belong to this deployment."""
        return {
            "DAGSTER_HOME": str(self.folder),
            "CLIPFARM_DAGSTER_STORAGE": str(self.folder / "data" / "dagster"),
            "CLIPFARM_METADATA": str(self.csv),
            "CLIPFARM_STORE": str(self.store),
            "CLIPFARM_PROFILE": "stand-in",
            "CLIPFARM_RETRY_PAUSE_SEC": "600",
            "CLIPFARM_FAN_IN_QUIET_SEC": "1",
            "CLIPFARM_FILE_CHECK_SEC": "1",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "200",
        }

    # What a person does to the files

    def add_rows(self, video_ids: Iterable[str], *, removed: bool = False, **fields: str) -> None:
        """Appends a row a video, captured later than all before; its file is <video_id>.mp4 unless ``url`` says so."""
        self._captured += 1
        with self.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            for video_id in video_ids:
                row = {"video_id": video_id, "url": f"{video_id}.mp4", "title": f"Video {video_id}"}
                row["captured_at"] = f"2026-01-01T{self._captured:02}:00:00Z"
                writer.writerow(row | {"removed": "true" if removed else ""} | fields)

    def drop_rows(self, video_id: str) -> None:
        """Takes a video's rows out of the CSV, as a half-uploaded file would."""
        lines = self.csv.read_text().splitlines(keepends=True)
        self.csv.write_text("".join(line for line in lines if not line.startswith(f"{video_id},")))

    def add_files(self, video_ids: Iterable[str]) -> None:
        for video_id in video_ids:
            shutil.copy(self.clip, self.media(video_id))

    def add_videos(self, video_ids: Sequence[str], *, without_file: Iterable[str] = ()) -> None:
        """Rows and files, less the files of those that are to fail."""
        self.add_files(video_id for video_id in video_ids if video_id not in set(without_file))
        self.add_rows(video_ids)

    def media(self, video_id: str) -> Path:
        return self.csv.parent / f"{video_id}.mp4"

    # What a person sees in the store

    def artifact(self, stage: str, video_id: str) -> Path:
        return self.store / STAGE_BY_NAME[stage].key(video_id)

    def made_at(self, stage: str) -> dict[str, str]:
        """When each artifact of the stage was made, by its identity: making it again would change that."""
        template = STAGE_BY_NAME[stage].key("VIDEO")
        folder, ending = (self.store / template).parent, identity_key(template).partition("VIDEO")[2]
        return {f.name.removesuffix(ending): json.loads(f.read_text())["made_at"] for f in folder.glob(f"*{ending}")}

    # Programs

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The deployment's Dagster instance, seen from this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLIPFARM_DAGSTER_STORAGE", self.env["CLIPFARM_DAGSTER_STORAGE"])
            Path(self.env["CLIPFARM_DAGSTER_STORAGE"]).mkdir(parents=True, exist_ok=True)
            found = dg.DagsterInstance.from_config(str(self.folder))
        with found:
            yield found

    def command(self, *arguments: str, seconds: float = 120, **settings: str) -> Finished:
        """Runs a program of the virtual environment to its end, as in a shell of this deployment."""
        program = [str(PROGRAMS / arguments[0]), *arguments[1:]]
        done = subprocess.run(
            program, cwd=self.folder, env={**os.environ, **self.env, **settings}, capture_output=True, text=True,
            timeout=seconds * _BUSY, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def program(self, *arguments: str) -> Iterator[Callable[[], str]]:
        """Runs a server until the block ends, then stops it with all its children; yields its log."""
        log = self.folder / f"{arguments[0]}.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [str(PROGRAMS / arguments[0]), *arguments[1:]], cwd=self.folder, env={**os.environ, **self.env},
                stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield lambda: f"--- {log.name}\n{log.read_text(errors='replace')[-6_000:]}"
        finally:
            _stop_group(process)


def _stop_group(process: "subprocess.Popen[bytes]") -> None:
    for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What Dagster itself, and the ledger, say


def statuses(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    """Materialized, Failed, Materializing or Missing, a partition, as the UI colours it."""
    keys = instance.get_dynamic_partitions(VIDEOS)
    found = instance.get_status_by_partition(dg.AssetKey(asset), keys, videos) or {}
    names = {
        AssetPartitionStatus.MATERIALIZED: "Materialized",
        AssetPartitionStatus.FAILED: "Failed",
        AssetPartitionStatus.IN_PROGRESS: "Materializing",
        None: "Missing",
    }
    return {key: names[found.get(key)] for key in keys}


def counts(instance: dg.DagsterInstance, asset: str) -> dict[str, int]:
    return dict(Counter(statuses(instance, asset).values()))


def ledger(instance: dg.DagsterInstance, stage: str) -> dict[str, dict[str, Any]]:
    """The ledger's rows of one stage, by video; needs the deployment's environment in this process."""
    rows = read_ledger(instance, Workshop(load_settings())).to_pylist()
    return {row["video_id"]: row for row in rows if row["stage"] == stage}


def ledger_statuses(instance: dg.DagsterInstance, stage: str) -> dict[str, str]:
    return {video_id: row["status"] for video_id, row in ledger(instance, stage).items()}


def materializations(instance: dg.DagsterInstance, asset: str) -> Counter[str | None]:
    """How often each partition was materialized."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=10_000).records
    return Counter(record.partition_key for record in records)


def failures(instance: dg.DagsterInstance, asset: str) -> dict[str, tuple[str, str]]:
    """Status and error of the newest observation of every video that has one, as the UI shows them."""
    found: dict[str, tuple[str, str]] = {}
    for record in instance.fetch_observations(dg.AssetKey(asset), limit=10_000).records:
        event = record.asset_observation
        assert event is not None
        if event.partition not in found:
            found[str(event.partition)] = (str(event.metadata["status"].value), str(event.metadata["error"].value))
    return found


def runs_of(instance: dg.DagsterInstance, asset: str) -> list[dg.DagsterRun]:
    """Runs that select the asset, oldest first."""
    runs = [run for run in instance.get_runs() if dg.AssetKey(asset) in (run.asset_selection or set())]
    return runs[::-1]


# The graph in this process


@dataclass(frozen=True)
class Asked:
    """What a sensor asks for at one tick."""

    runs: list[dg.RunRequest]
    partitions: list[str]
    skipped: str

    @property
    def videos(self) -> list[list[str]]:
        """The videos of each run."""
        return [request.run_config["resources"]["chunk"]["config"]["videos"] for request in self.runs]


class Graph:
    """The deployment's definitions, run and ticked in this process, as the daemon and the commands do it."""

    def __init__(self, instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
        self.instance = instance
        self.definitions = definitions
        self.cursors: dict[str, str | None] = {}

    def materialize(self, select: str, first: str | None = None, last: str | None = None) -> dg.ExecuteInProcessResult:
        """`dagster asset materialize --select … [--partition … | --partition-range …]`."""
        keys = [dg.AssetKey(name) for name in select.split(",")]
        job = self.definitions.get_repository_def().get_implicit_job_def_for_assets(keys)
        assert job is not None
        span = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
        return job.execute_in_process(
            instance=self.instance, asset_selection=keys, raise_on_error=False, tags=span if last else None,
            partition_key=first if first and not last else None,
        )  # fmt: skip

    def tick(self, sensor: str) -> Asked:
        """One look of a sensor, which remembers what the last look left; what it asks for is not done yet."""
        resources = {"platform": Platform(s3=S3Resource())}
        with dg.build_sensor_context(
            self.instance, cursor=self.cursors.get(sensor), definitions=self.definitions, sensor_name=sensor,
            resources=resources,
        ) as context:  # fmt: skip
            found = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        self.cursors[sensor] = found.cursor
        keys = [key for request in found.dynamic_partitions_requests or [] for key in request.partition_keys]
        return Asked(list(found.run_requests or []), keys, found.skip_message or "")

    def obey(self, asked: Asked, *stages: str) -> list[dg.ExecuteInProcessResult]:
        """Does what a sensor has asked for, or of it only the stages that a test wants to pay for."""
        self.instance.add_dynamic_partitions(VIDEOS, asked.partitions)
        whole = [request for request in asked.runs if not stages or not assets_of(request)]
        wanted = [request for request in asked.runs if request in whole or set(stages) & set(assets_of(request))]
        return [self.execute(request, stages) for request in wanted]

    def execute(self, request: dg.RunRequest, stages: Sequence[str] = ()) -> dg.ExecuteInProcessResult:
        selection = [dg.AssetKey(name) for name in assets_of(request) if not stages or name in stages]
        job = self.definitions.resolve_job_def(job_of(request))
        return job.execute_in_process(
            run_config=request.run_config, instance=self.instance, asset_selection=selection or None,
            tags=dict(request.tags), raise_on_error=False,
        )  # fmt: skip

    def queue(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """A run that waits or works, as the daemon would have made of the request."""
        run = dg.DagsterRun(
            job_name=job_of(request), run_config=dict(request.run_config), tags=dict(request.tags),
            status=status, asset_selection=frozenset(request.asset_selection or []), remote_job_origin=_origin(request),
        )  # fmt: skip
        return self.instance.add_run(run)

    def settle(self, *stages: str, sensors: Sequence[str] = ("new_metadata", "due_videos")) -> int:
        """Ticks and obeys until nothing more is asked for; the number of runs that took."""
        done = 0
        for _ in range(12):
            ran = [result for sensor in sensors for result in self.obey(self.tick(sensor), *self._of(sensor, stages))]
            done += len(ran)
            if not ran:
                return done
        raise AssertionError("The sensors ask for the same again and again.")

    def _of(self, sensor: str, stages: Sequence[str]) -> Sequence[str]:
        return stages if sensor == "due_videos" else ()


def _origin(request: dg.RunRequest) -> RemoteJobOrigin:
    """Where a code server would find the job; a queued run must say so."""
    module = "clipfarm_assets.definitions"
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=module), location_name=module)
    return RemoteRepositoryOrigin(location, "__repository__").get_job_origin(job_of(request))


def job_of(request: dg.RunRequest) -> str:
    """A sensor with one job leaves its name out."""
    return request.job_name or "read_metadata"


def assets_of(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection or []]


# The web server


@dataclass(frozen=True)
class Web:
    """The Dagster UI's own interface."""

    port: int

    def ask(self, query: str, **variables: Any) -> Any:
        answer = requests.post(
            f"http://127.0.0.1:{self.port}/graphql", json={"query": query, "variables": variables}, timeout=30 * _BUSY
        )
        content = answer.json()
        assert "errors" not in content, content
        return content["data"]

    def is_up(self) -> bool:
        try:
            found = self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except (requests.RequestException, ValueError):
            return False
        return bool(found["repositoriesOrError"].get("nodes"))

    def partition_stats(self, asset: str) -> dict[str, int]:
        """The numbers that the UI shows beside an asset."""
        query = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
            partitionStats { numMaterialized numFailed numPartitions numMaterializing } } } }"""
        found: dict[str, int] = self.ask(query, key={"path": [asset]})["assetNodeOrError"]["partitionStats"]
        return found

    def set_sensor(self, name: str, *, on: bool) -> None:
        selector = """($s: SensorSelector!) { sensorOrError(sensorSelector: $s)
            { ... on Sensor { id sensorState { id selectorId } } } }"""
        where = {"repositoryName": "__repository__", "repositoryLocationName": "clipfarm_assets.definitions"}
        if on:
            start = "mutation ($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
            assert self.ask(start, s={**where, "sensorName": name})["startSensor"]["__typename"] == "Sensor"
            return
        state = self.ask(f"query {selector}", s={**where, "sensorName": name})["sensorOrError"]
        stop = "mutation ($id: String!) { stopSensor(id: $id) { __typename } }"
        answer = self.ask(stop, id=state["sensorState"]["id"])["stopSensor"]["__typename"]
        assert answer == "StopSensorMutationResult", answer

    def backfill(self, asset: str, partitions: Sequence[str]) -> str:
        """What the UI's Materialize button does for chosen partitions; the backfill's id."""
        query = """mutation ($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
        params = {"assetSelection": [{"path": [asset]}], "partitionNames": list(partitions), "fromFailure": False}
        answer = self.ask(query, p=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        query = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
            ... on PartitionBackfill { status } } }"""
        return str(self.ask(query, id=backfill_id)["partitionBackfillOrError"]["status"])
