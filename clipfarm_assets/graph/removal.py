"""Removal: a video that is marked removed is deleted everywhere and leaves a tombstone in the ledger."""

from datetime import UTC, datetime

import dagster as dg

from clipfarm_assets.clips import book as clips
from clipfarm_assets.graph.clip_work import forget_files
from clipfarm_assets.graph.events import OUTCOME, EventGroup
from clipfarm_assets.graph.in_flight import VIDEOS, mark_process
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Chunk, Platform
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Versions
from clipfarm_assets.tasks.book import forget_video


@dg.op
def forget(context: dg.OpExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """Deletes what every stage made of the videos, in reverse order of the graph; the partitions go last.

    A crash in between leaves partitions or outcomes by which the next tick finds the rest.
    """
    mark_process(context)
    workshop = platform.open()
    artifacts = workshop.artifacts
    rows = workshop.videos(chunk.videos)
    video_ids = [video_id for video_id in chunk.videos if video_id in rows and rows[video_id].removed]
    for video_id in video_ids:
        workshop.discovery.forget_video(video_id, "metadata", datetime.now(UTC))  # first: found nowhere from now on
        forget_video(workshop.database, video_id, datetime.now(UTC))
        forget_files(workshop, video_id)  # before the rows that name them
        clips.forget_video(workshop.database, video_id)
    for stage in reversed(STAGES):
        events = EventGroup(context, stage.name)
        for video_id in video_ids:
            stage.forget(artifacts, video_id)
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            outcome = Outcome(Status.REMOVED, "", Versions(""), now, context.run.run_id, store_id=workshop.store_id)
            metadata = {"status": outcome.status.value, OUTCOME: dg.MetadataValue.json(outcome.to_fields())}
            events.observed(dg.AssetObservation(stage.name, partition=video_id, metadata=metadata), outcome)
        events.flush()
    for video_id in video_ids:
        context.instance.delete_dynamic_partition(VIDEOS, video_id)
    context.log.info(f"Removed {len(video_ids)} videos.")


@dg.job(executor_def=dg.in_process_executor, tags={"dagster/max_retries": "0"})
def forget_videos() -> None:
    """Deletes videos that the metadata marks as removed. The `due_videos` sensor requests it."""
    forget()
