"""Everything that Dagster sees."""

import dagster as dg
from dagster_aws.s3 import S3Resource

from clipfarm_assets.graph.cadence import CADENCE, clustering_schedule
from clipfarm_assets.graph.checks import CHECKS
from clipfarm_assets.graph.clip_calibration import score_calibration
from clipfarm_assets.graph.clip_sensor import CLIP_SENSORS
from clipfarm_assets.graph.clips import clip_batches, clip_exports, clip_thumbnails, scored_clips
from clipfarm_assets.graph.discovery import discovery_embedding, enriched_metadata
from clipfarm_assets.graph.discovery_checks import DISCOVERY_CHECKS, check_search, hourly_checks
from clipfarm_assets.graph.embeddings import audio_embedding, text_embedding, video_embedding
from clipfarm_assets.graph.fusion import embedding_manifest, fused_manifest
from clipfarm_assets.graph.imports import imported_segments
from clipfarm_assets.graph.jobs import JOBS
from clipfarm_assets.graph.ledger import ledger
from clipfarm_assets.graph.metadata import video_metadata
from clipfarm_assets.graph.monitoring import monitoring
from clipfarm_assets.graph.platform import Chunk, Platform
from clipfarm_assets.graph.raw import raw_audio, raw_text, raw_video
from clipfarm_assets.graph.removal import forget_videos
from clipfarm_assets.graph.search_evaluation import evaluate_search, search_evaluation, search_quality
from clipfarm_assets.graph.search_index import backfill_embeddings, missing_embeddings, search_documents, search_index
from clipfarm_assets.graph.segments import scene_segments, segment_embedding, segments
from clipfarm_assets.graph.sensors import SENSORS
from clipfarm_assets.graph.stages import with_configured_models
from clipfarm_assets.graph.tasks import clusters, tasks
from clipfarm_assets.settings import Settings, load_settings

ASSETS = (
    video_metadata,
    *(raw_video, raw_audio, raw_text),
    *(video_embedding, audio_embedding, text_embedding),
    *(embedding_manifest, fused_manifest, ledger),
    *(scene_segments, segments, segment_embedding, imported_segments),
    *(clusters, tasks),
    *(scored_clips, clip_thumbnails, clip_batches, clip_exports, score_calibration),
    *(enriched_metadata, discovery_embedding, search_documents, search_index, search_evaluation, monitoring),
)
EXECUTORS = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}


def build(settings: Settings) -> dg.Definitions:
    """The graph of one deployment."""
    return dg.Definitions(
        assets=dg.map_asset_specs(with_configured_models(settings), ASSETS),
        asset_checks=[*CHECKS, *DISCOVERY_CHECKS],
        jobs=[*JOBS, forget_videos, backfill_embeddings, evaluate_search, check_search],
        sensors=[*SENSORS, *CADENCE, *CLIP_SENSORS],
        schedules=[clustering_schedule(settings), missing_embeddings, search_quality, hourly_checks],
        resources={"platform": Platform(s3=S3Resource()), "chunk": Chunk(force=False)},
        executor=EXECUTORS[settings.executor],
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Built when a Dagster process loads the project, from the settings of its environment."""
    return build(load_settings())
