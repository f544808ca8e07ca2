"""What makes batches and exports go by themselves: drafts, what dead workers left, exports that wait, late trends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from clipfarm_assets.clips.work import waiting_exports, waiting_thumbnails
from clipfarm_assets.graph.clip_trend import vectors_etag
from clipfarm_assets.graph.clip_work import due_trends, has_work, now, release_dead
from clipfarm_assets.graph.clips import CLIP_THUMBNAILS, SCORED_CLIPS
from clipfarm_assets.graph.cursor import Memory
from clipfarm_assets.graph.delta import Work, chunks
from clipfarm_assets.graph.in_flight import report_dead_runs, stalled_until, unfinished_runs
from clipfarm_assets.graph.jobs import TAGS, chunk_request, export_clips, fan_in, make_clips, process_videos
from clipfarm_assets.graph.platform import Platform, Workshop

_CHANGE_SCORES = {process_videos.name, fan_in.name, make_clips.name}
_LOOK_AGAIN_SEC = 300.0


@dataclass
class _Memory(Memory):
    """What the sensor keeps between its ticks.

    Attributes:
        pictures: the thumbnails that were asked for last; those that cannot be made are asked for once.
        vectors: the stamp of the fused vectors at the last look for trends.
        look_again: when to look though they are the same; 0 where nothing was due.
    """

    pictures: str = ""
    vectors: str = ""
    look_again: float = 0.0


@dg.sensor(
    jobs=[make_clips, export_clips, process_videos], minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the clips of batches that wait, for exports, and for trends once there are fused vectors.",
)  # fmt: skip
def due_clips(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Looks at the database; a tick at which nothing waits is two queries, and a look at the fused vectors' stamp."""
    workshop, instance, memory = platform.open(), context.instance, _Memory.read(context.cursor)
    report_dead_runs(instance)
    release_dead(instance, workshop)
    runs = {run.job_name for run in unfinished_runs(instance)}
    pictures = "" if process_videos.name in runs else str(sorted(waiting_thumbnails(workshop.database)) or "")
    videos, batches = ([], []) if runs & _CHANGE_SCORES else _new_trends(instance, workshop, memory)
    new_pictures = bool(pictures) and pictures != memory.pictures
    due = dict(_due(instance, workshop, new_pictures=new_pictures, new_trends=bool(batches)))
    wanted = [name for name in due if name not in runs and not _stalled(instance, workshop, name)]
    requests = [dg.RunRequest(job_name=name, tags={**TAGS, "clipfarm/why": due[name]}) for name in wanted]
    if make_clips.name in wanted or not due:
        memory.pictures = pictures
    if videos and not _stalled(instance, workshop, process_videos.name):
        requests += trend_requests(videos, workshop)[: workshop.settings.max_chunks_per_tick]
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=memory.write())
    reason = f"{', '.join(due)}: at work, or pausing after trouble." if due else "No batch or export waits."
    return dg.SensorResult(skip_reason=reason, cursor=memory.write())


def due_jobs(instance: dg.DagsterInstance, workshop: Workshop) -> dict[str, str]:
    """The jobs that have something to do, and why; for the command line."""
    release_dead(instance, workshop)
    pictures, (_, batches) = waiting_thumbnails(workshop.database), due_trends(instance, workshop)
    return dict(_due(instance, workshop, new_pictures=bool(pictures), new_trends=bool(batches)))


def trend_requests(video_ids: Sequence[str], workshop: Workshop) -> list[dg.RunRequest]:
    """Runs that give the default clips of these videos their trend; forced, as nothing that they read has changed."""
    stages = (SCORED_CLIPS.name, CLIP_THUMBNAILS.name)
    work = [Work(video_id, stages, is_retry=False) for video_id in video_ids]
    return [chunk_request(chunk, force=True) for chunk in chunks(work, workshop.settings.chunk_size)]


def _new_trends(instance: dg.DagsterInstance, workshop: Workshop, memory: _Memory) -> tuple[list[str], list[str]]:
    """As ``due_trends``, looked for when the fused vectors are others, and some minutes after something was due."""
    etag = vectors_etag(workshop) or ""
    if etag == memory.vectors and not 0 < memory.look_again <= now().timestamp():
        return [], []
    videos, batches = due_trends(instance, workshop)
    memory.vectors = etag
    memory.look_again = now().timestamp() + _LOOK_AGAIN_SEC if videos or batches else 0.0
    return videos, batches


def _due(
    instance: dg.DagsterInstance, workshop: Workshop, *, new_pictures: bool, new_trends: bool
) -> Iterator[tuple[str, str]]:
    if has_work(instance, workshop):
        yield make_clips.name, "batches that wait"
    elif new_pictures:
        yield make_clips.name, "clips without thumbnails"
    elif new_trends:
        yield make_clips.name, "clips without a trend"
    if waiting_exports(workshop.database, most=1):
        yield export_clips.name, "exports that wait"


def _stalled(instance: dg.DagsterInstance, workshop: Workshop, job_name: str) -> bool:
    stall = stalled_until(instance, job_name, workshop.settings.retry_pause_sec)
    return stall is not None and stall[0] > now().timestamp()


CLIP_SENSORS = (due_clips,)
