"""Scenes of each video, the described segments made of them, and one vector a segment."""

import dagster as dg

from clipfarm_assets.embeddings.text import preprocess_version
from clipfarm_assets.graph.chunk import run_chunk
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.platform import Chunk, Platform
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO, raw_audio, raw_text, raw_video
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.videos import VIDEO_ASSET
from clipfarm_assets.media.scenes import SCENES_SCHEMA, scenes_of_videos
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.segments.stages import describe_videos, described_by, embed_segments, flagged_by
from clipfarm_assets.segments.table import SEGMENTS_SCHEMA
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Versions


def _description_versions(settings: Settings, models: ModelSet) -> Versions:
    """With a language model a change of the text model is no reason to ask it about every video again."""
    return Versions("1", described_by(settings), "" if settings.llm_model else flagged_by(models.text))


def _vector_versions(settings: Settings, models: ModelSet) -> Versions:
    return Versions("1", models.text.name, models.text.revision, preprocess_version(models.text, settings))


SCENE_SEGMENTS = Stage(
    name="scene_segments", artifact="clipfarm/scenes/{video_id}.parquet", fields=(), upstream=(RAW_VIDEO, RAW_AUDIO),
    code_version="1",
)  # fmt: skip
SEGMENTS = Stage(
    name="segments", artifact="clipfarm/segments/{video_id}.parquet",
    fields=("team", "user_id", "title", "published_at", "first_captured_at"),
    upstream=(RAW_VIDEO, RAW_TEXT, SCENE_SEGMENTS),
    code_version="1", model=_description_versions,
)  # fmt: skip
SEGMENT_EMBEDDING = Stage(
    name="segment_embedding", artifact="clipfarm/segments/{video_id}.npy", fields=(), upstream=(SEGMENTS,),
    code_version="1", model=_vector_versions,
)  # fmt: skip


@dg.asset(
    **VIDEO_ASSET, group_name="segments", kinds={"parquet"}, code_version=SCENE_SEGMENTS.code_version,
    metadata=column_schema(SCENES_SCHEMA), deps=[raw_video, raw_audio],
)  # fmt: skip
def scene_segments(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """The spans between a video's cuts: `clipfarm/scenes/<video_id>.parquet`.

    Each with how much its picture changes, how loud it is, and its middle frame. A video without a cut is one scene.
    Cuts are PySceneDetect's.
    """
    shop = platform.open()
    run_chunk(context, SCENE_SEGMENTS, shop, chunk, lambda items: scenes_of_videos(items, shop.store, shop.limits))


@dg.asset(
    **VIDEO_ASSET, group_name="segments", kinds={"parquet"}, code_version=SEGMENTS.code_version,
    metadata=column_schema(SEGMENTS_SCHEMA), deps=["video_metadata", raw_video, raw_text, scene_segments],
)  # fmt: skip
def segments(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """What happens in each span of 15 to 60 seconds of a video: `clipfarm/segments/<video_id>.parquet`.

    Described by the language model where `CLIPFARM_LLM_MODEL` names one, else by what is said in the span; each row
    says by which. With it come failure, confusion and abandonment.
    """
    shop = platform.open()
    run_chunk(context, SEGMENTS, shop, chunk, lambda items: describe_videos(items, shop.describing))


@dg.asset(
    **VIDEO_ASSET, group_name="segments", kinds={"numpy"}, code_version=SEGMENT_EMBEDDING.code_version, deps=[segments]
)
def segment_embedding(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """One vector a segment, of its description: `clipfarm/segments/<video_id>.npy`, row by row."""
    shop = platform.open()
    run_chunk(
        context, SEGMENT_EMBEDDING, shop, chunk, lambda items: embed_segments(items, shop.store, shop.text_encoder)
    )
