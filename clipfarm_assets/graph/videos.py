"""The partition set of the graph: one key a video."""

from typing import Any

import dagster as dg

from clipfarm_assets.graph.in_flight import VIDEOS

videos = dg.DynamicPartitionsDefinition(name=VIDEOS)

# One run takes all the videos of its range; a run a video would spend seconds on starting up for each.
VIDEO_ASSET: dict[str, Any] = {
    "partitions_def": videos,
    "backfill_policy": dg.BackfillPolicy.single_run(),
    "owners": ["team:data-platform"],
}
