"""Raw artifacts: the video as MP4, its sound as WAV, what is said in it as JSON."""

import dagster as dg

from clipfarm_assets.graph.chunk import run_chunk
from clipfarm_assets.graph.platform import Chunk, Platform
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.videos import VIDEO_ASSET
from clipfarm_assets.media.raw import captions_key, extract_audios, extract_transcripts, fetch_videos

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
    downloader brought. Where there is none the status is `empty_transcript`: Materialized, with an empty transcript.
    """
    shop = platform.open()
    run_chunk(context, RAW_TEXT, shop, chunk, lambda items: extract_transcripts(items, shop.sources, shop.limits))
