"""The per-video stages in the data's order."""

from collections.abc import Callable

import dagster as dg

from clipfarm_assets.graph.clips import CLIP_THUMBNAILS, SCORED_CLIPS, scored_by
from clipfarm_assets.graph.discovery import DISCOVERY_EMBEDDING, ENRICHED_METADATA, embedded_by, enriched_by
from clipfarm_assets.graph.embeddings import AUDIO_EMBEDDING, TEXT_EMBEDDING, VIDEO_EMBEDDING
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO
from clipfarm_assets.graph.segments import SCENE_SEGMENTS, SEGMENT_EMBEDDING, SEGMENTS
from clipfarm_assets.segments.stages import described_by
from clipfarm_assets.settings import Settings

STAGES = (
    *(RAW_VIDEO, RAW_AUDIO, RAW_TEXT),
    *(VIDEO_EMBEDDING, AUDIO_EMBEDDING, TEXT_EMBEDDING),
    *(SCENE_SEGMENTS, SEGMENTS, SEGMENT_EMBEDDING),
    *(SCORED_CLIPS, CLIP_THUMBNAILS),
    *(ENRICHED_METADATA, DISCOVERY_EMBEDDING),
)
STAGE_BY_NAME = {stage.name: stage for stage in STAGES}


def with_configured_models(settings: Settings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Adds the configured model to the code version of what it makes: the UI shows what another made as stale."""
    configured = {
        VIDEO_EMBEDDING.name: f"{settings.video_model} {settings.num_frames} frames {settings.pooling}",
        AUDIO_EMBEDDING.name: f"{settings.audio_model} {settings.max_audio_seconds:g} s",
        TEXT_EMBEDDING.name: settings.text_model,
        SEGMENTS.name: described_by(settings),
        SEGMENT_EMBEDDING.name: settings.text_model,
        SCORED_CLIPS.name: scored_by(settings),
        ENRICHED_METADATA.name: enriched_by(settings),
        DISCOVERY_EMBEDDING.name: embedded_by(settings),
    }  # not the recogniser of raw_text: most transcripts have nothing to do with it, and the ledger goes by video

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        model = configured.get(spec.key.to_user_string())
        return spec if model is None else spec.replace_attributes(code_version=f"{spec.code_version} · {model}")

    return add
