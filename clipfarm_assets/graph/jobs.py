"""The jobs that sensors and the command line start, and the runs that they ask for."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from clipfarm_assets.graph.delta import Work
from clipfarm_assets.graph.stages import STAGES

# A retried run would do a whole chunk again from outside; the delta rule does it from inside, a video at a time.
TAGS = {"dagster/max_retries": "0"}
FAN_IN = ("embedding_manifest", "fused_manifest", "ledger")

read_metadata_job = dg.define_asset_job(
    "read_metadata", dg.AssetSelection.assets("video_metadata"), tags=TAGS, description="Parses the metadata CSV."
)
process_videos = dg.define_asset_job(
    "process_videos",
    dg.AssetSelection.assets(*(stage.name for stage in STAGES)),
    tags=TAGS,
    description="Takes a chunk of videos through raw artifacts and embeddings.",
)
fan_in = dg.define_asset_job(
    "fan_in", dg.AssetSelection.assets(*FAN_IN), tags=TAGS, description="Manifests, fused vectors and the ledger."
)
JOBS = (read_metadata_job, process_videos, fan_in)


def chunk_config(video_ids: Sequence[str], *, force: bool = False) -> dict[str, Any]:
    """Run config that names the videos of a run without partitions."""
    return {"resources": {"chunk": {"config": {"videos": list(video_ids), "force": force}}}}


def chunk_request(work: Sequence[Work]) -> dg.RunRequest:
    """One run for videos that need the same stages."""
    stages = work[0].stages
    kind = "retry" if work[0].is_retry else "new"
    return dg.RunRequest(
        asset_selection=[dg.AssetKey(name) for name in stages],
        run_config=chunk_config([item.video_id for item in work]),
        tags={"clipfarm/videos": str(len(work)), "clipfarm/kind": kind},
        job_name=process_videos.name,
    )
