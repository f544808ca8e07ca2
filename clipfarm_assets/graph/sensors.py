"""What makes the graph run by itself: new metadata, due videos, and the fan-in after them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.graph.agenda import Agenda
from clipfarm_assets.graph.cursor import Memory
from clipfarm_assets.graph.delta import chunks
from clipfarm_assets.graph.fan_in import newest_input, oldest_seen
from clipfarm_assets.graph.in_flight import end_hung_workers, report_dead_runs, stalled_until, unfinished_runs
from clipfarm_assets.graph.index_lag import index_lag, leave_lag
from clipfarm_assets.graph.jobs import chunk_config, chunk_request, fan_in, process_videos, read_metadata_job
from clipfarm_assets.graph.metadata import changed_files, csv_change
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.removal import forget_videos
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.videos import videos
from clipfarm_assets.graph.warm import WarmAgenda

_STALLED_PAUSE_SEC = 300.0
_LONGEST_WAIT_SEC = 1800.0
AGENDA = WarmAgenda()  # ticks are evaluated in one long-lived process of the code location


@dataclass
class _Memory(Memory):
    """What the sensors of this module keep between their ticks."""

    asked_for: str = ""
    checked_at: float = 0.0
    event_id: int = -1
    next_due: float = 0.0
    since: float = 0.0
    settled: bool = False  # all that was due at the last look has been asked for


def _now() -> float:
    return datetime.now(UTC).timestamp()


@dg.sensor(
    job=read_metadata_job, minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the metadata to be parsed when the CSV, or a local file that it names, has changed.",
)  # fmt: skip
def new_metadata(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Only looks at sizes and times; parsing happens in the run."""
    workshop, memory = platform.open(), _Memory.read(context.cursor)
    if _is_running(context.instance, read_metadata_job.name):
        return dg.SensorResult(skip_reason="The metadata is being read.")
    try:
        change = csv_change(workshop) or ""
    except MetadataFileError as error:
        return dg.SensorResult(skip_reason=str(error))
    if not change and _now() - memory.checked_at >= workshop.settings.file_check_sec:
        change, memory.checked_at = ", ".join(changed_files(workshop)), _now()
    if not change:
        return dg.SensorResult(
            skip_reason="Neither the CSV nor a file that it names has changed.", cursor=memory.write()
        )
    if change == memory.asked_for and _now() < memory.next_due:
        return dg.SensorResult(skip_reason="The last reading of this CSV failed; waiting.", cursor=memory.write())
    memory.asked_for, memory.next_due = change, _now() + _STALLED_PAUSE_SEC
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=memory.write())


@dg.sensor(
    jobs=[process_videos, forget_videos], minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for runs over the videos that are new, changed, to be tried again, or marked as removed.",
)  # fmt: skip
def due_videos(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Compares the metadata with what the event log says was made; a tick at which nothing moved is cheap."""
    workshop, instance = platform.open(), context.instance
    report_dead_runs(instance)
    end_hung_workers(instance, workshop.settings.run_timeout_sec)
    memory = _Memory.read(context.cursor)
    if memory.settled and not 0 < memory.next_due <= _now() and AGENDA.is_quiet(instance, workshop.settings):
        return dg.SensorResult(skip_reason="Nothing has happened since the last look.")
    if workshop.videos_etag() is None:
        return dg.SensorResult(skip_reason="video_metadata has not been materialized yet.")
    agenda = AGENDA.look(instance, workshop, STAGES)
    memory = _Memory(settled=True, next_due=agenda.next_due.timestamp() if agenda.next_due else 0.0)
    stall = stalled_until(instance, process_videos.name, workshop.settings.retry_pause_sec)
    if stall is not None and stall[0] > _now():
        memory.next_due = stall[0]
        when = datetime.fromtimestamp(stall[0], UTC).isoformat(timespec="seconds")
        reason = f"The last run was stopped by {stall[1]}; the next is asked for at {when}."
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())
    requests = list(_requests(agenda, workshop, len(unfinished_runs(instance))))
    if not requests:
        reason = f"Nothing is due; {len(agenda.in_flight)} videos are in flight."
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())
    memory.settled = False  # what did not fit into this tick is seen by the next
    new = [videos.build_add_request(agenda.new)] if agenda.new else []
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=new, cursor=memory.write())


def _requests(agenda: Agenda, workshop: Workshop, unfinished: int) -> Iterable[dg.RunRequest]:
    settings = workshop.settings
    if agenda.removable:
        yield dg.RunRequest(job_name=forget_videos.name, run_config=chunk_config(agenda.removable))
    room = settings.max_chunks_per_tick - unfinished
    for number, work in enumerate(chunks(agenda.work, settings.chunk_size)):
        if number >= room:
            return
        yield chunk_request(work)


@dg.sensor(
    job=fan_in, minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for manifests, fused vectors, ledger, search index and monitoring when a stage is newer.",
)  # fmt: skip
def fan_in_due(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Waits for quiet: no unfinished run, and nothing new for `CLIPFARM_FAN_IN_QUIET_SEC`; half an hour at most."""
    workshop, instance = platform.open(), context.instance
    leave_lag(index_lag(instance), workshop.database, datetime.now(UTC))
    memory = _Memory.read(context.cursor)
    newest, seen = newest_input(instance), oldest_seen(instance)
    if newest <= seen:
        return dg.SensorResult(skip_reason="The manifests are newer than every stage.", cursor=_Memory().write())
    if memory.asked_for and seen >= int(memory.asked_for):
        memory.next_due = 0.0  # what was asked for last has been done
    if newest != memory.event_id:
        memory.event_id, memory.checked_at, memory.since = newest, _now(), memory.since or _now()
    if reason := _why_wait(instance, memory, workshop.settings.fan_in_quiet_sec):
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())
    # One that fails is not asked for at every tick.
    memory.next_due, memory.since, memory.asked_for = _now() + _STALLED_PAUSE_SEC, 0.0, str(memory.event_id)
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=memory.write())


def _why_wait(instance: dg.DagsterInstance, memory: _Memory, quiet_sec: float) -> str | None:
    """Why the fan-in is not asked for yet; after the longest wait neither runs nor news hold it back."""
    if _is_running(instance, fan_in.name):
        return "The manifests are being made."
    if _now() < memory.next_due:
        return "The last fan-in failed; waiting for some minutes."
    if _now() - memory.since > _LONGEST_WAIT_SEC:
        return None
    if unfinished_runs(instance):
        return "Runs are still working."
    return "Waiting for quiet." if _now() - memory.checked_at < quiet_sec else None


def _is_running(instance: dg.DagsterInstance, job_name: str) -> bool:
    return any(run.job_name == job_name for run in unfinished_runs(instance))


SENSORS = (new_metadata, due_videos, fan_in_due)
