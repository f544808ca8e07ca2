"""Bring any video into an MP4 file, with as little change as possible.

In: a local path. Out: an MP4 file and how it came about: copied (it was MP4), remuxed (the same coded pictures in
another container) or transcoded (H.264, for codecs that MP4 players do not take). Sound beside remuxed pictures is
copied where MP4 takes it, else it becomes AAC. Timing, number of frames and the way up stay; time 0 moves to the
file's start. Of several videos, sound tracks or text subtitles the ones that the other modules read are kept.
What can go wrong: ``UnsupportedMedia`` where no picture decodes or ffmpeg cannot write it; nothing is written then.
"""

import shutil
import struct
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.encoding import AudioEncoder, VideoEncoder
from clipfarm_assets.media.opening import Media, check_count, open_media, packets_of, reason, video_of
from clipfarm_assets.media.packet_index import timestamps
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.subtitles import text_stream, words_of

_MP4_VIDEO = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
_MP4_AUDIO = frozenset({"aac", "mp3", "opus", "ac3", "eac3"})
_SAME_TIME_SEC = 0.0015  # Matroska counts milliseconds


class Container(StrEnum):
    """What was done to the pictures of a file."""

    COPIED = "copied"
    REMUXED = "remuxed"
    TRANSCODED = "transcoded"


def to_mp4(path_in: Path, path_out: Path) -> Container:
    """Write ``path_out`` whole or not at all.

    Raises:
        UnsupportedMedia: no picture of the file decodes, or it cannot be written as MP4.
    """
    info = probe(path_in)
    partial = path_out.with_name(path_out.name + ".partial")
    try:
        if _is_mp4(path_in, info.video_codec):
            how = Container.COPIED
            shutil.copyfile(path_in, partial)
        elif info.video_codec in _MP4_VIDEO and _remux(path_in, partial):
            how = Container.REMUXED
        else:
            how = Container.TRANSCODED
            _transcode(path_in, partial, (info.width, info.height))
        partial.replace(path_out)
    finally:
        partial.unlink(missing_ok=True)
    return how


def _is_mp4(path: Path, codec: str) -> bool:
    """MP4 itself, or QuickTime with a codec of MP4's."""
    with open_media(path) as media:
        if media.container.format.name.split(",")[0] != "mov":
            return False
        return codec in _MP4_VIDEO or media.container.metadata.get("major_brand", "qt").strip() != "qt"


class _Way(Protocol):
    """How the packets of one stream reach the output."""

    def take(self, packet: Any) -> Iterable[Any]: ...


class _Subtitles:
    """Lines of text as MP4 has them (3GPP TS 26.245: two bytes of length, then UTF-8), without styling."""

    def __init__(self, stream: Any, out: OutputContainer, origin_sec: float) -> None:
        self.out = out.add_mux_stream("mov_text")
        if stream.language:
            self.out.metadata["language"] = stream.language
        self.shift = round(origin_sec / float(stream.time_base))

    def take(self, packet: Any) -> Iterable[Any]:
        if packet.size == 0 or packet.pts is None:
            return []
        text = words_of(packet).encode()[:0xFFFF]
        made = av.Packet(struct.pack(">H", len(text)) + text)
        made.pts = made.dts = max(packet.pts - self.shift, 0)
        made.duration, made.time_base = packet.duration, packet.time_base
        made.stream = self.out
        return [made]


class _Copy:
    """Coded packets as they are, moved to time 0, with decoding times made where the container lacks them."""

    def __init__(self, stream: Any, out: OutputContainer, origin_sec: float, dts: list[int] | None = None) -> None:
        try:
            self.out = out.add_stream_from_template(stream)
        except UnknownCodecError:  # the decoder's library has no encoder, as dav1d of AV1
            self.out = out.add_stream_from_template(stream, opaque=True)
        self.shift = round(origin_sec / float(stream.time_base))
        self.dts = iter(dts) if dts is not None else None

    def take(self, packet: Any) -> Iterable[Any]:
        if packet.size == 0:
            return []
        if self.dts is not None:
            packet.dts = next(self.dts)
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.pts is not None:
            packet.pts -= self.shift
            packet.dts -= self.shift
        packet.stream = self.out
        return [packet]


def _remux(path_in: Path, path_out: Path) -> bool:
    """False where the copy does not show the same frames at the same times; then only transcoding keeps them."""
    before = timestamps(path_in)
    if before is None:
        return False
    presented, dts = before
    try:
        with open_media(path_in) as media:
            _write(media, path_out, lambda out: _Copy(video_of(media), out, media.origin_sec, dts), _MP4_AUDIO)
    except UnsupportedMedia:
        return False
    after = timestamps(path_out)
    if after is None or len(after[0]) != len(presented):
        return False
    same_turn = probe(path_in).rotation == probe(path_out).rotation
    return same_turn and bool(np.all(np.abs(after[0] - presented) < _SAME_TIME_SEC))


def _transcode(path_in: Path, path_out: Path, size: tuple[int, int]) -> None:
    with open_media(path_in) as media:
        _write(media, path_out, lambda out: VideoEncoder(video_of(media), out, media.origin_sec, size), frozenset())


def _write(media: Media, path_out: Path, video_way: Any, copied_sound: frozenset[str]) -> None:
    """Run the packets of picture and sound side by side through their ways, so that memory stays flat."""
    try:
        with av.open(f"file:{path_out}", "w", format="mp4", options={"movflags": "+faststart"}) as out:
            ways: dict[int, _Way] = {video_of(media).index: video_way(out)}
            streams: list[Any] = [video_of(media)]
            if media.audio is not None:
                codec = media.audio.codec_context.codec.canonical_name
                way = _Copy if codec in copied_sound else AudioEncoder
                ways[media.audio.index] = way(media.audio, out, media.origin_sec)
                streams.append(media.audio)
            if (subtitles := text_stream(media)) is not None:
                ways[subtitles.index] = _Subtitles(subtitles, out, media.origin_sec)
                streams.append(subtitles)
            packets = packets_of(media.container, *streams)
            pictures = 0
            while (packet := _next(packets)) is not None:
                pictures += packet.stream.index == video_of(media).index
                check_count(media, pictures)
                for made in ways[packet.stream.index].take(packet):
                    out.mux(made)
    except (av.FFmpegError, ValueError) as error:
        raise UnsupportedMedia(f"The video cannot be written as MP4: {reason(error)}.") from None


def _next(packets: Any) -> Any:
    """The next packet; None at the end of the file or of what is readable of it."""
    try:
        return next(packets, None)
    except av.FFmpegError:
        return None
