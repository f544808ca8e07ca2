"""Which videos runs are working on now, and which runs have died without saying so.

A run that the command line started has nobody who notices when it is killed. Every step therefore notes host, process
and start time of its run's process as run tags, and a run whose process is gone is reported as failed.
"""

import json
import multiprocessing
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import dagster as dg
import psutil
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    GRPC_INFO_TAG,
    PARTITION_NAME_TAG,
)

from clipfarm_assets.errors import ClipfarmError

VIDEOS = "videos"
DEFER_EVENTS = "dagster/defer_asset_events"  # a run with this tag speaks for its assets itself
PROCESS = "clipfarm/process"
_PROCESS_A_STEP = "multiprocess"  # the executor's name
STALLED = "clipfarm/stalled"  # the platform, not a video, stopped the run: the error's name
_LONGEST_PAUSE_SEC = 1800.0
_CLOCK_DRIFT_SEC = 5.0  # a process's start is told relative to the machine's, which clocks correct
_SUBMITTED_WITHIN = timedelta(minutes=10)
_STARTS_WITHIN = timedelta(minutes=1)
_LEAVES_WITHIN_SEC = 90.0  # a run worker whose run is over
_LOOK_BACK = timedelta(hours=1)


def chunk_videos(run: dg.DagsterRun) -> list[str]:
    """The videos that the run's `chunk` config names."""
    resources = cast("Mapping[str, Any]", run.run_config.get("resources", {}))
    return list(dict.fromkeys(resources.get("chunk", {}).get("config", {}).get("videos", [])))


def run_videos(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The videos of a run: those that its `chunk` config names, else its partition or range of partitions."""
    if named := chunk_videos(run):
        return named
    if PARTITION_NAME_TAG in run.tags:
        return [run.tags[PARTITION_NAME_TAG]]
    if ASSET_PARTITION_RANGE_START_TAG in run.tags:
        keys = list(instance.get_dynamic_partitions(VIDEOS))
        first, last = run.tags[ASSET_PARTITION_RANGE_START_TAG], run.tags[ASSET_PARTITION_RANGE_END_TAG]
        if first not in keys or last not in keys:
            return []
        return keys[keys.index(first) : keys.index(last) + 1]
    return []


def videos_in_flight(instance: dg.DagsterInstance) -> set[str]:
    """Every video that an unfinished run may be working on."""
    return {video_id for run in unfinished_runs(instance) for video_id in run_videos(instance, run)}


def unfinished_runs(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Runs that wait in the queue, start, or work.

    A run that was written down and never submitted, since its process was killed right then, counts for some minutes.
    """
    return [record.dagster_run for record in _unfinished(instance)]


def _unfinished(instance: dg.DagsterInstance) -> Sequence[dg.RunRecord]:
    records = instance.get_run_records(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    oldest = datetime.now(UTC) - _SUBMITTED_WITHIN
    return [
        record
        for record in records
        if record.dagster_run.status is not dg.DagsterRunStatus.NOT_STARTED or record.create_timestamp > oldest
    ]


def asked_for_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Videos that the run's config names and that an older unfinished run has: two asked for the same at once."""
    records = _unfinished(instance)
    own = max((record.storage_id for record in records if record.dagster_run.run_id == run.run_id), default=0)
    older = (record.dagster_run for record in records if record.storage_id < own)
    return {video_id for other in older for video_id in run_videos(instance, other)} & set(chunk_videos(run))


def mark_process(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> None:
    """Notes which process works on the run, once a run."""
    if PROCESS not in context.run.tags:
        process = this_process(is_step=context.job_def.executor_def.name == _PROCESS_A_STEP)
        context.instance.add_run_tags(context.run.run_id, {PROCESS: process})
        own_tags(context)[PROCESS] = process


def own_tags(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> dict[str, str]:
    """The tags of the run as this process holds it; a change stays in this process."""
    return cast("dict[str, str]", context.run.tags)


def this_process(*, is_step: bool = False) -> str:
    """Host, process id and start time of the process that works on the run.

    With ``is_step`` this is a step's own process, and its parent is meant. A run worker of the daemon has a parent as
    well, the code server: it may die and leave the worker at work.
    """
    parent = multiprocessing.parent_process() if is_step else None
    pid = parent.pid if parent is not None and parent.pid else os.getpid()
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.0f}"


def report_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Reports runs as failed whose process on this machine is gone; returns their ids."""
    records = _unfinished(instance)
    dead = [r.dagster_run for r in records if _is_dead(r.dagster_run.tags.get(PROCESS, "")) or _never_began(r)]
    for run in dead:
        instance.report_run_failed(run, "The process of this run is gone. Finished videos are kept; the rest resumes.")
    free_slots(instance)
    return [run.run_id for run in dead]


def free_slots(instance: dg.DagsterInstance) -> list[str]:
    """Frees the places in pools that runs hold which are over; returns their ids.

    A killed process cannot give its place back, and the next step of the pool would wait for it for ever.
    """
    storage = instance.event_log_storage
    pools = [storage.get_concurrency_info(name) for name in storage.get_concurrency_keys()]
    held = {each for pool in pools for each in pool.active_run_ids | pool.pending_run_ids | pool.assigned_run_ids}
    over = [run_id for run_id in held if (run := instance.get_run_by_id(run_id)) is None or run.is_finished]
    for run_id in over:
        storage.free_concurrency_slots_for_run(run_id)
    return over


def end_hung_workers(instance: dg.DagsterInstance, limit_sec: float) -> list[int]:
    """kill -9 for run workers on this machine that take too long, or whose run is over; returns their process ids.

    Dagster would ask them to stop. One that hangs in a decoder does not hear that, and the code server waits for its
    answer with the lock in hand that every other start of a run needs. A killed worker is noticed by the code server.
    A `clipfarm run` is left alone: a person sees it, and it goes on with other runs.
    """
    now = datetime.now(UTC)
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    over = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    ended = dg.RunsFilter(statuses=over, updated_after=now - _LOOK_BACK)
    late = [r for r in instance.get_run_records(started) if r.start_time and r.start_time < now.timestamp() - limit_sec]
    latest_end = now.timestamp() - _LEAVES_WITHIN_SEC
    late += [r for r in instance.get_run_records(ended) if r.end_time and r.end_time < latest_end]
    workers = [r.dagster_run.tags.get(PROCESS, "") for r in late if GRPC_INFO_TAG in r.dagster_run.tags]
    hung = [int(worker.rsplit(":", 2)[1]) for worker in workers if _lives_here(worker)]
    for pid in hung:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
    return hung


def mark_stalled(context: dg.AssetExecutionContext, error: ClipfarmError) -> None:
    """Notes that the platform stopped the run, so that the sensor waits before it asks for the next."""
    context.instance.add_run_tags(context.run.run_id, {STALLED: type(error).__name__})


def stalled_until(instance: dg.DagsterInstance, job_name: str, pause_sec: float) -> tuple[float, str] | None:
    """When runs of the job may be asked for again after the platform stopped the last ones, and the error's name.

    The pause grows fivefold with each run in a row that was stopped, to half an hour at most. None where the last run
    could do its work.
    """
    filters = dg.RunsFilter(job_name=job_name, statuses=FINISHED_STATUSES)
    last = instance.get_run_records(filters, limit=5)
    in_a_row = list(takewhile(lambda record: STALLED in record.dagster_run.tags, last))
    if not in_a_row:
        return None
    pause = min(pause_sec * 5 ** (len(in_a_row) - 1), _LONGEST_PAUSE_SEC)
    return (in_a_row[0].end_time or 0.0) + pause, in_a_row[0].dagster_run.tags[STALLED]


def _is_dead(process: str) -> bool:
    """Not where none is noted yet, or another machine's: its own daemon watches it."""
    return _is_of_this_machine(process) and not _lives_here(process)


def _is_of_this_machine(process: str) -> bool:
    return process.rsplit(":", 2)[0] == socket.gethostname() and process.count(":") >= 2


def _lives_here(process: str) -> bool:
    if not _is_of_this_machine(process):
        return False
    _, pid, started = process.rsplit(":", 2)
    try:
        found = psutil.Process(int(pid))
        same: bool = abs(found.create_time() - float(started)) <= _CLOCK_DRIFT_SEC
        return same and bool(found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _never_began(record: dg.RunRecord) -> bool:
    """No step has noted a process for a while, and the code server that watches over the start is dead as well.

    A server that was killed leaves its socket behind; one on another machine, or in another container, leaves none
    here, and Dagster's own time limits end the run.
    """
    tags = record.dagster_run.tags
    if PROCESS in tags or GRPC_INFO_TAG not in tags or record.update_timestamp > datetime.now(UTC) - _STARTS_WITHIN:
        return False
    path = json.loads(tags[GRPC_INFO_TAG]).get("socket") or ""
    return Path(path).is_socket() and not _answers(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
