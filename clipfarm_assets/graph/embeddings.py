"""Embeddings of picture, sound and text: one vector a video each."""

from collections.abc import Iterable, Iterator

import dagster as dg

from clipfarm_assets.embeddings import audio, text, video
from clipfarm_assets.graph.chunk import run_chunk
from clipfarm_assets.graph.platform import Chunk, Platform
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO, raw_audio, raw_text, raw_video
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.videos import VIDEO_ASSET
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Versions


def _video_versions(settings: Settings, models: ModelSet) -> Versions:
    return Versions("1", models.video.title, models.video.revision, video.preprocess_version(models.video, settings))


def _audio_versions(settings: Settings, models: ModelSet) -> Versions:
    return Versions("1", models.audio.name, models.audio.revision, audio.preprocess_version(models.audio, settings))


def _text_versions(settings: Settings, models: ModelSet) -> Versions:
    return Versions("1", models.text.name, models.text.revision, text.preprocess_version(models.text, settings))


VIDEO_EMBEDDING = Stage(
    name="video_embedding", artifact="clipfarm/embeddings/video/{video_id}.npy", fields=(), upstream=(RAW_VIDEO,),
    code_version="1", model=_video_versions,
)  # fmt: skip
AUDIO_EMBEDDING = Stage(
    name="audio_embedding", artifact="clipfarm/embeddings/audio/{video_id}.npy", fields=(), upstream=(RAW_AUDIO,),
    code_version="1", model=_audio_versions,
)  # fmt: skip
TEXT_EMBEDDING = Stage(
    name="text_embedding", artifact="clipfarm/embeddings/text/{video_id}.npy",
    fields=("title", "description", "query"), upstream=(RAW_TEXT,), code_version="1", model=_text_versions,
)  # fmt: skip


@dg.asset(
    **VIDEO_ASSET, group_name="embeddings", kinds={"pytorch", "numpy"}, code_version=VIDEO_EMBEDDING.code_version,
    deps=[raw_video],
)  # fmt: skip
def video_embedding(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """What the video shows, as one unit vector: `clipfarm/embeddings/video/<video_id>.npy`, float32, 768 long.

    Sixteen frames, uniform over the video and turned upright, through VideoMAE.
    """
    shop = platform.open()

    def make(items: Iterable[Item]) -> Iterator[Result]:
        return video.embed_videos(items, ref=shop.models.video, settings=shop.settings, store=shop.store)

    run_chunk(context, VIDEO_EMBEDDING, shop, chunk, make)


@dg.asset(
    **VIDEO_ASSET, group_name="embeddings", kinds={"pytorch", "numpy"}, code_version=AUDIO_EMBEDDING.code_version,
    deps=[raw_audio],
)  # fmt: skip
def audio_embedding(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """How the video sounds, as one unit vector: `clipfarm/embeddings/audio/<video_id>.npy`, float32, 768 long.

    The first 90 seconds of sound through wav2vec 2.0, averaged over time. `no_audio_track` where there is no sound.
    """
    shop = platform.open()

    def make(items: Iterable[Item]) -> Iterator[Result]:
        return audio.embed_audios(items, ref=shop.models.audio, settings=shop.settings, store=shop.store)

    run_chunk(context, AUDIO_EMBEDDING, shop, chunk, make)


@dg.asset(
    **VIDEO_ASSET, group_name="embeddings", kinds={"pytorch", "numpy"}, code_version=TEXT_EMBEDDING.code_version,
    deps=["video_metadata", raw_text],
)  # fmt: skip
def text_embedding(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """What the video is about, as one unit vector: `clipfarm/embeddings/text/<video_id>.npy`, float32, 768 long.

    Title, description and query in the first half, the transcript in the second, both through MiniLM. Where nothing is
    said the second half is zero and the status `empty_transcript`.
    """
    shop = platform.open()

    def make(items: Iterable[Item]) -> Iterator[Result]:
        encoder = text.load_text_encoder(shop.models.text, shop.settings, shop.store)
        return text.embed_texts(items, store=shop.store, encoder=encoder)

    run_chunk(context, TEXT_EMBEDDING, shop, chunk, make)
