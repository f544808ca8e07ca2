"""The jobs that sensors and the command line start, and the runs that they ask for."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from clipfarm_assets.graph.delta import Work
from clipfarm_assets.graph.imports import IMPORTED_SEGMENTS
from clipfarm_assets.graph.in_flight import DEFER_EVENTS
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.teams import teams

# A retried run would do a whole chunk again from outside; the delta rule does it from inside, a video at a time.
TAGS = {"dagster/max_retries": "0"}
FAN_IN = ("embedding_manifest", "fused_manifest", "ledger", "search_documents", "search_index")

read_metadata_job = dg.define_asset_job(
    "read_metadata", dg.AssetSelection.assets("video_metadata"), tags=TAGS, description="Parses the metadata CSV."
)
process_videos = dg.define_asset_job(
    "process_videos",
    dg.AssetSelection.assets(*(stage.name for stage in STAGES)),
    tags=TAGS,
    description="Takes a chunk of videos through all stages: raw artifacts, embeddings, segments, clips, discovery.",
)
fan_in = dg.define_asset_job(
    "fan_in",
    dg.AssetSelection.assets(*FAN_IN, "monitoring"),
    tags=TAGS,
    description="Manifests, fused vectors, the ledger, the search index and the figures of monitoring.",
)
import_segments = dg.define_asset_job(
    "import_segments", dg.AssetSelection.assets(IMPORTED_SEGMENTS), tags=TAGS,
    description="Takes in described segments from elsewhere.",
)  # fmt: skip
cluster_teams = dg.define_asset_job(
    "cluster_teams", dg.AssetSelection.assets("clusters", "tasks"), partitions_def=teams, tags=TAGS,
    description="Takes a team's new segments into its Tasks, and labels these.",
)  # fmt: skip
make_clips = dg.define_asset_job(
    "make_clips", dg.AssetSelection.assets("clip_batches"), tags=TAGS,
    description="Makes the clips of every batch that waits.",
)  # fmt: skip
export_clips = dg.define_asset_job(
    "export_clips", dg.AssetSelection.assets("clip_exports"), tags=TAGS,
    description="Renders every clip whose export somebody has asked for.",
)  # fmt: skip
calibrate_scores = dg.define_asset_job(
    "calibrate_scores", dg.AssetSelection.assets("score_calibration"), tags=TAGS,
    description="Compares scores with how the videos grew.",
)  # fmt: skip
JOBS = (
    *(read_metadata_job, process_videos, fan_in, import_segments, cluster_teams),
    *(make_clips, export_clips, calibrate_scores),
)


def chunk_config(video_ids: Sequence[str], *, force: bool = False) -> dict[str, Any]:
    """Run config that names the videos of a run without partitions."""
    return {"resources": {"chunk": {"config": {"videos": list(video_ids), "force": force}}}}


def chunk_request(work: Sequence[Work], *, force: bool = False) -> dg.RunRequest:
    """One run for videos that need the same stages.

    Its config names the videos. Dagster wants a run of partitioned assets to have partitions, so the tags name the span
    that the videos lie in; the tag on events keeps it from planning, and later failing, what lies between them.
    """
    video_ids = [item.video_id for item in work]
    return dg.RunRequest(
        asset_selection=[dg.AssetKey(name) for name in work[0].stages],
        run_config=chunk_config(video_ids, force=force),
        tags={
            **TAGS,
            DEFER_EVENTS: "true",
            ASSET_PARTITION_RANGE_START_TAG: video_ids[0],
            ASSET_PARTITION_RANGE_END_TAG: video_ids[-1],
            "clipfarm/videos": str(len(work)),
            "clipfarm/kind": "retry" if work[0].is_retry else "first",
        },
        job_name=process_videos.name,
    )
