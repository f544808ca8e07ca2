"""Open one media file for reading and say which of its streams are the video and the sound.

In: a local path. Out: a ``Media`` whose streams every module of this folder reads, and decoders that go on after an
error. What can go wrong: ``MissingRawObject`` (no such file), ``UnsupportedMedia`` (no demuxer takes it, nothing in it
is a video, or it exceeds a limit; ``media/limits.py``).

Only plain containers are opened and only from a local file: a playlist or a concat script saved as ``.mp4`` would
make ffmpeg read other files and addresses. Time 0 is the earlier of the first picture and the first sound, as a player
has it; every time in this folder counts from there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from clipfarm_assets.errors import MissingRawObject, UnsupportedMedia
from clipfarm_assets.media.limits import Limits, current_limits
from clipfarm_assets.media.sample_tables import SampleTable, read_tables

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,live_flv,asf,ogg,h264,hevc,obu,ivf,gif,mxf,nut,rm,dv,"
    "wav,flac,mp3,aac,ac3,aiff,caf,w64"
)

# Their duration is ffmpeg's guess from timestamps, which jump by a day where a recording was cut.
_GUESSED_DURATIONS = frozenset({"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "obu", "m4v"})
# In a damaged file packets may claim any stream.
_LATE_PACKETS = 10_000


@dataclass(frozen=True)
class Media:
    """An open file.

    Attributes:
        container: PyAV's handle; closed with the ``with`` block.
        video: the first stream of moving pictures marked as default, else the first; None in a sound-only file.
        audio: likewise for sound.
        origin_sec: the container's time of time 0.
        limits: what is too much; who reads on checks what only then shows.
        tables: the tracks of an MP4; empty for other containers.
    """

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    origin_sec: float
    limits: Limits
    tables: Sequence[SampleTable]


@contextmanager
def open_media(path: Path | str) -> Iterator[Media]:
    """The opened file; decoders run on one thread, as many videos are decoded side by side.

    Raises:
        MissingRawObject: there is no such file.
        UnsupportedMedia: it is no media file, or it exceeds a limit.
    """
    if not Path(path).is_file():
        raise MissingRawObject("There is no such media file.")
    if Path(path).stat().st_size == 0:
        raise UnsupportedMedia("The file is empty (zero bytes).")
    limits = current_limits()
    tables = read_tables(path, limits)
    # The limit on pixels reaches the decoders that ffmpeg itself runs while it opens the file.
    codec_options = {"max_pixels": str(limits.max_frame_pixels)}
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, **codec_options}
    try:
        container = av.open(f"file:{path}", mode="r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise UnsupportedMedia(f"The file is not readable media: {reason(error)}.") from None
    with container:
        video = _first([s for s in container.streams.video if not _is_picture_tag(s)])
        audio = _first(list(container.streams.audio))
        _check_limits(container, video, limits)
        if video is not None:
            video.codec_context.options = codec_options
            video.codec_context.thread_count = 1
            video.codec_context.thread_type = "SLICE"
        yield Media(container, video, audio, _origin(container, video, audio), limits, tables)


def _check_limits(container: InputContainer, video: VideoStream | None, limits: Limits) -> None:
    """What the headers declare."""
    count = len(container.streams)
    limits.check("max_streams", count, f"The file has {count:,} streams")
    if container.duration and container.format.name not in _GUESSED_DURATIONS:
        lasts = container.duration / av.time_base
        limits.check("max_video_sec", lasts, f"The file lasts {lasts:,.0f} seconds")
    if video is not None:
        width, height = video.codec_context.width, video.codec_context.height
        limits.check("max_frame_pixels", width * height, f"The picture has {width} × {height} pixels")


def video_of(media: Media) -> VideoStream:
    """The stream of moving pictures.

    Raises:
        UnsupportedMedia: there is none, or no decoder knows its codec.
    """
    if media.video is None:
        raise UnsupportedMedia("The file holds no video stream.")
    return media.video


def check_count(media: Media, count: int) -> None:
    """Refuses a video at its first frame above the limit.

    Raises:
        UnsupportedMedia: this is it.
    """
    if count > media.limits.max_video_frames:
        media.limits.check("max_video_frames", count, f"The video has {count:,} frames or more")


def decoded(
    container: InputContainer, stream: Any, on_error: Callable[[av.FFmpegError], None] | None = None
) -> Iterator[Any]:
    """Every frame that the stream gives, in the decoder's order, past the packets that do not decode.

    An error of the container itself ends the stream there; what the decoder still holds comes out first.
    """
    codec = stream.codec_context
    packets = packets_of(container, stream)
    while True:
        packet = None
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            if on_error:
                on_error(error)
        try:
            yield from codec.decode(packet)
        except av.EOFError:
            return
        except av.FFmpegError as error:
            if on_error:
                on_error(error)
        if packet is None:
            return


def packets_of(container: InputContainer, *streams: Any) -> Iterator[Any]:
    """The streams' packets in the file's order, an empty one for each at the end.

    Raises:
        av.FFmpegError: the container is damaged from here on.
    """
    for _ in range(_LATE_PACKETS):
        try:
            yield from container.demux(*streams)
            return
        except IndexError:
            continue  # a packet of a stream that the header did not announce, which PyAV does not know


def only(container: InputContainer, stream: Stream) -> None:
    """Let the demuxer skip every other stream, so that it does not even read them."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def reason(error: Exception) -> str:
    """ffmpeg's own words, without the path that it puts into its message."""
    words = error.strerror if isinstance(error, av.FFmpegError) and error.strerror else type(error).__name__
    return words[:1].lower() + words[1:]


def seconds(stream: Stream, ticks: int) -> float:
    """A timestamp of the stream in seconds of the container's clock."""
    return float(ticks * stream.time_base) if stream.time_base else 0.0


def _first(streams: list[Any]) -> Any:
    known = [s for s in streams if s.codec_context is not None]
    default = [s for s in known if s.disposition & Disposition.default]
    return next(iter(default or known), None)


def _is_picture_tag(stream: VideoStream) -> bool:
    """Cover art and chapter thumbnails are pictures about the file, not its video."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _origin(container: InputContainer, video: VideoStream | None, audio: AudioStream | None) -> float:
    starts = []
    if video is not None and video.start_time is not None:
        starts.append(seconds(video, video.start_time))
    if audio is not None and audio.start_time is not None:
        # A negative start is the codec's run-in, which no one hears.
        starts.append(max(seconds(audio, audio.start_time), 0.0))
    return min(starts, default=(container.start_time or 0) / av.time_base)
