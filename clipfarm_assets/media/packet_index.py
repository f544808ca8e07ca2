"""Which frames a video has, when each is shown, and where decoding can start, without decoding anything.

In: a ``Media`` that was just opened; none of its packets was read. Out: a ``PacketIndex``, or None where what the
container says is not to be trusted: the caller then decodes from the beginning. What can go wrong: ``UnsupportedMedia``
(no video, or beyond a limit).
"""

from array import array
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from clipfarm_assets.media.opening import Media, check_count, only, open_media, packets_of, seconds, video_of

Ticks = NDArray[np.int64]

# One packet is one frame with its own timestamp in these, and their seeks land on key frames.
_INDEXED_FORMATS = ("mov", "matroska")
_INDEXED_CODECS = ("h264", "hevc", "vp8", "vp9", "av1")
# One sample is one frame on display in these.
_TABLED_CODECS = ("h264", "hevc", "av1")


class PacketIndex(NamedTuple):
    """A video's packets, in ticks: all frames on display and all that decoding can start from, ascending; all
    packets in the file's order. ``by_dts`` where the packets were not read themselves: decoding and presentation time
    of each as the container's tables have them, by which every packet that is read later is checked."""

    pts: Ticks
    keys: Ticks
    packets: Ticks
    times_sec: NDArray[np.float64]
    by_dts: tuple[Ticks, Ticks] | None = None

    def agrees(self, packet: "Packet[Any]") -> bool:
        if self.by_dts is None or packet.size == 0:
            return True
        if packet.dts is None:
            return False
        dts, pts = self.by_dts
        at = int(np.searchsorted(dts, packet.dts))
        return at < len(dts) and dts[at] == packet.dts and pts[at] == packet.pts


def index_of_tables(media: Media) -> PacketIndex | None:
    """The index as an MP4's tables give it, without reading the media between them.

    ffmpeg's own index has every packet's decoding time, place and key flag, but not its presentation time: that comes
    from the tables, moved by what the edit list moves the first packet. None where the two do not agree on every
    sample, where an edit list hides samples, or where the file ends before its last sample.
    """
    stream = video_of(media)
    table = next((table for table in media.tables if table.track_id == stream.id), None)
    times = table.times() if table is not None and table.n_samples else None
    if times is None or stream.codec_context.codec.canonical_name not in _TABLED_CODECS:
        return None
    own_dts, own_pts = times
    entries = [(e.timestamp, e.pos + e.size, e.size, e.is_keyframe, e.is_discard) for e in stream.index_entries]
    if len(entries) != len(own_dts):
        return None
    dts, ends, sizes, is_key, is_discard = np.array(entries, dtype=np.int64).T
    same_times = np.all(np.diff(dts) > 0) and np.all(dts - own_dts == dts[0] - own_dts[0])
    all_there = np.all(sizes > 0) and np.max(ends) <= media.container.size
    first = _first_packet(media, stream)
    starts = first is not None and first.is_keyframe and first.pts is not None and first.dts == dts[0]
    if not (same_times and all_there and starts) or np.any(is_discard):
        return None
    pts = own_pts + (first.pts - own_pts[0])
    index = _checked_index(pts, pts[is_key > 0], pts, media)
    return index and index._replace(by_dts=(dts, pts))


def _first_packet(media: Media, stream: VideoStream) -> Any:
    only(media.container, stream)
    try:
        return next(packets_of(media.container, stream), None)
    except av.FFmpegError:
        return None


def index_of_packets(media: Media, seekable: bool = True) -> PacketIndex | None:
    """The video's packets; None where they do not tell for sure which frames there are (or where seeks land)."""
    stream = video_of(media)
    codec = stream.codec_context.codec.canonical_name
    known = media.container.format.name.split(",")[0] in _INDEXED_FORMATS and codec in _INDEXED_CODECS
    if seekable and not known:
        return None
    only(media.container, stream)
    shown, keys, packets = array("q"), array("q"), array("q")
    try:
        for packet in packets_of(media.container, stream):
            if packet.size == 0:
                continue
            if packet.pts is None or packet.is_corrupt or not (keys or packet.is_keyframe):
                return None
            packets.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
            if not packet.is_discard and _is_shown(codec, packet):
                shown.append(packet.pts)
            check_count(media, len(packets))
    except av.FFmpegError:
        return None
    shown_at, keys_at, packets_at = (np.array(ticks, dtype=np.int64) for ticks in (shown, keys, packets))
    return _checked_index(shown_at, keys_at, packets_at, media)


def _checked_index(shown: Ticks, keys: Ticks, packets: Ticks, media: Media) -> PacketIndex | None:
    pts, keys = np.unique(shown), np.unique(keys)
    if len(shown) == 0 or len(pts) != len(shown) or pts[0] < keys[0]:
        return None  # one time for two frames, or frames that refer to what was cut off before the first key frame
    times = _seconds_of(video_of(media), pts) - media.origin_sec
    return PacketIndex(pts, keys, packets, times)


def _seconds_of(stream: VideoStream, ticks: Ticks) -> NDArray[np.float64]:
    """``seconds`` of many, to the bit: whole numbers below 2^53 divide as fractions do."""
    base = stream.time_base
    if base is None or np.max(np.abs(ticks)) * base.numerator >= 2**53:
        return np.array([seconds(stream, t) for t in ticks.tolist()])
    return ticks * base.numerator / base.denominator


def _is_shown(codec: str, packet: "Packet[Any]") -> bool:
    """False for the packets of VP8 and VP9 that only serve as reference (RFC 6386 9.1; VP9 bitstream 6.2)."""
    data = memoryview(packet)
    if codec == "vp8":
        return bool(data[0] >> 4 & 1)
    if codec == "vp9" and data[-1] >> 5 != 0b110:  # a superframe always holds a shown frame
        bits = data[0] << 1 if data[0] >> 4 & 3 == 3 else data[0]
        return bool(bits >> 3 & 1 or bits >> 1 & 1)
    return True


def timestamps(path: Path | str) -> tuple[NDArray[np.float64], list[int]] | None:
    """The presentation time of each frame (seconds, ascending), and a decoding time for each packet in file order.

    Decoding times are ticks of the stream, strictly ascending and none later than its packet's presentation, as a
    muxer wants them. None where the packets do not tell for sure which frames there are.
    """
    with open_media(path) as media:
        index = index_of_packets(media, seekable=False)
    if index is None:
        return None
    order = np.sort(index.packets)
    if np.any(np.diff(order) == 0):
        return None
    return index.times_sec, (order - np.max(order - index.packets)).tolist()
