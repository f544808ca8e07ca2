"""Raw artifacts: the video as MP4, its sound as WAV, what is said in it as JSON."""

from collections.abc import Iterable, Iterator

import dagster as dg

from clipfarm_assets.graph.chunk import run_chunk
from clipfarm_assets.graph.platform import Chunk, Platform
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.videos import VIDEO_ASSET
from clipfarm_assets.media.raw import captions_key, extract_audios, fetch_videos
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Versions
from clipfarm_assets.transcription.found import find_recogniser, transcription_settings
from clipfarm_assets.transcription.videos import Recognising, transcribe_videos


def _speech_versions(settings: Settings, models: ModelSet) -> Versions:
    found = find_recogniser(settings, models)
    if found is None:
        return Versions("1")
    return Versions("1", found.name, found.revision, transcription_settings(settings).version)


RAW_VIDEO = Stage(
    name="raw_video",
    artifact="clipfarm/raw/video/{video_id}.mp4",
    fields=("url", "url_fingerprint"),
    upstream=(),
    code_version="1",
    beside=(captions_key("{video_id}"),),
)
RAW_AUDIO = Stage(
    name="raw_audio", artifact="clipfarm/raw/audio/{video_id}.wav", fields=(), upstream=(RAW_VIDEO,), code_version="1"
)
RAW_TEXT = Stage(
    name="raw_text",
    artifact="clipfarm/raw/text/{video_id}.json",
    fields=("transcript_path", "transcript_fingerprint", "language"),
    upstream=(RAW_VIDEO,),
    code_version="1",
    model=_speech_versions,
    model_as_needed=True,
)


@dg.asset(**VIDEO_ASSET, group_name="raw", kinds={"mp4"}, code_version=RAW_VIDEO.code_version, deps=["video_metadata"])
def raw_video(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """The video behind the row's `url`, as MP4: `clipfarm/raw/video/<video_id>.mp4`.

    Fetched from a file, http(s), S3 or a site that yt-dlp knows. An MP4 is kept as it is; other containers are remuxed
    where their codecs allow it, else transcoded. Failures name what the source said: `source_removed`,
    `source_private`, `rate_limited`, … or `unsupported_media`.
    """
    shop = platform.open()
    run_chunk(context, RAW_VIDEO, shop, chunk, lambda items: fetch_videos(items, shop.sources, shop.limits))


@dg.asset(**VIDEO_ASSET, group_name="raw", kinds={"wav"}, code_version=RAW_AUDIO.code_version, deps=[raw_video])
def raw_audio(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """The sound of the video as mono 16 kHz PCM: `clipfarm/raw/audio/<video_id>.wav`.

    A video without sound is `no_audio_track`: Materialized, without a file.
    """
    shop = platform.open()
    run_chunk(context, RAW_AUDIO, shop, chunk, lambda items: extract_audios(items, shop.store, shop.limits))


@dg.asset(
    **VIDEO_ASSET, group_name="raw", kinds={"json"}, code_version=RAW_TEXT.code_version,
    deps=["video_metadata", raw_video],
)  # fmt: skip
def raw_text(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """What is said in the video, with times: `clipfarm/raw/text/<video_id>.json`.

    Taken from the row's sidecar (srt, vtt, json), else a subtitle stream of the container, else the captions that the
    downloader brought, else by speech recognition where there is one. Where nothing is said, or nobody listens, the
    status is `empty_transcript`: Materialized, with an empty transcript.
    """
    shop = platform.open()

    def make(items: Iterable[Item]) -> Iterator[Result]:
        found = find_recogniser(shop.settings, shop.models)
        recognising = None if found is None else Recognising(found, shop.settings, shop.store)
        return transcribe_videos(items, shop.sources, recognising, shop.limits, shop.measures)

    run_chunk(context, RAW_TEXT, shop, chunk, make)
