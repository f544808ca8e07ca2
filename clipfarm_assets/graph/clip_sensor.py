"""What makes batches and exports go by themselves: drafts, what dead workers left, and exports that wait."""

from collections.abc import Iterator

import dagster as dg

from clipfarm_assets.clips.work import waiting_exports, waiting_thumbnails
from clipfarm_assets.graph.clip_work import has_work, now, release_dead
from clipfarm_assets.graph.in_flight import report_dead_runs, stalled_until, unfinished_runs
from clipfarm_assets.graph.jobs import TAGS, export_clips, make_clips, process_videos
from clipfarm_assets.graph.platform import Platform, Workshop


@dg.sensor(
    jobs=[make_clips, export_clips], minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the clips of batches that wait, also those whose worker died, and for waiting exports.",
)  # fmt: skip
def due_clips(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Looks at the database; a tick at which nothing waits is two queries.

    The cursor holds the thumbnails that were asked for last: those that cannot be made are asked for once.
    """
    workshop, instance = platform.open(), context.instance
    report_dead_runs(instance)
    release_dead(instance, workshop)
    runs = [run.job_name for run in unfinished_runs(instance)]
    pictures = "" if process_videos.name in runs else str(sorted(waiting_thumbnails(workshop.database)) or "")
    seen = context.cursor or ""
    due = dict(_due(instance, workshop, new_pictures=bool(pictures) and pictures != seen))
    wanted = [name for name in due if name not in runs and not _stalled(instance, workshop, name)]
    if not wanted:
        reason = f"{', '.join(due)}: at work, or pausing after trouble." if due else "No batch or export waits."
        return dg.SensorResult(skip_reason=reason, cursor=seen if due else pictures)
    requests = [dg.RunRequest(job_name=name, tags={**TAGS, "clipfarm/why": due[name]}) for name in wanted]
    return dg.SensorResult(run_requests=requests, cursor=pictures if make_clips.name in wanted else seen)


def due_jobs(instance: dg.DagsterInstance, workshop: Workshop) -> dict[str, str]:
    """The jobs that have something to do, and why; for the command line."""
    release_dead(instance, workshop)
    return dict(_due(instance, workshop, new_pictures=bool(waiting_thumbnails(workshop.database))))


def _due(instance: dg.DagsterInstance, workshop: Workshop, *, new_pictures: bool) -> Iterator[tuple[str, str]]:
    if has_work(instance, workshop):
        yield make_clips.name, "batches that wait"
    elif new_pictures:
        yield make_clips.name, "clips without thumbnails"
    if waiting_exports(workshop.database, most=1):
        yield export_clips.name, "exports that wait"


def _stalled(instance: dg.DagsterInstance, workshop: Workshop, job_name: str) -> bool:
    stall = stalled_until(instance, job_name, workshop.settings.retry_pause_sec)
    return stall is not None and stall[0] > now().timestamp()


CLIP_SENSORS = (due_clips,)
