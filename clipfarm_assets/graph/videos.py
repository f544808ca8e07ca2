"""The partition set of the graph: one key a video."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from sqlalchemy.exc import IntegrityError

from clipfarm_assets.graph.in_flight import VIDEOS

videos = dg.DynamicPartitionsDefinition(name=VIDEOS)


def add_videos(instance: dg.DagsterInstance, video_ids: Sequence[str]) -> None:
    """Adds the partitions that are not there yet; another process may be adding the same ones."""
    for last in (False, False, True):
        there = set(instance.get_dynamic_partitions(VIDEOS))
        new = [video_id for video_id in video_ids if video_id not in there]
        if not new:
            return
        try:
            instance.add_dynamic_partitions(VIDEOS, new)
        except IntegrityError:
            if last:
                raise


# One run takes all the videos of its range; a run a video would spend seconds on starting up for each.
VIDEO_ASSET: dict[str, Any] = {
    "partitions_def": videos,
    "backfill_policy": dg.BackfillPolicy.single_run(),
    "owners": ["team:data-platform"],
}
