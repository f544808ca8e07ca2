"""Exact frames of a video at chosen places.

In: a local path and places on the timeline. Out: ``Frames``: upright RGB pictures with their times and numbers, the
same as a slow, full decode gives. What can go wrong: ``UnsupportedMedia`` where nothing decodes, ``MissingRawObject``
where there is no file.

The way: make an index of all packets, seek to the key frame before each wanted frame, and decode forward without the
frames that neither are wanted nor serve as reference. An MP4's own tables are the index where ffmpeg and they agree, so
that of hours only the wanted groups of pictures are read; else all packet headers are. Either way is taken only where
the index is known to list each frame once; anything that does not turn out as the index says (a seek that lands
elsewhere, a damaged or missing picture) sends the file on to the next way, at last to plain sequential decoding.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.opening import (
    Media,
    check_count,
    decoded,
    only,
    open_media,
    packets_of,
    reason,
    seconds,
    video_of,
)
from clipfarm_assets.media.orientation import Image, upright

Ticks = NDArray[np.int64]
Choose = Callable[[NDArray[np.float64]], Sequence[int]]

# One packet is one frame with its own timestamp in these, and their seeks land on key frames.
_INDEXED_FORMATS = ("mov", "matroska")
_INDEXED_CODECS = ("h264", "hevc", "vp8", "vp9", "av1")
# One sample is one frame on display in these.
_TABLED_CODECS = ("h264", "hevc", "av1")
# Codecs whose bitstream marks a frame that nothing refers to. HEVC's mark speaks of one temporal layer only.
_SKIPPABLE_CODECS = ("h264", "vp8")


@dataclass(frozen=True)
class Frames:
    """Pictures in the order asked for.

    Attributes:
        images: RGB uint8 (height, width, 3), turned as the display matrix says. All of one shape, unless the video
            itself changes size on its way.
        times_sec: presentation time of each, from time 0.
        indices: number of each on the video's timeline.
        n_frames: frames on that timeline.
        substituted: how many could not be decoded and are the nearest one that could.
    """

    images: tuple[Image, ...]
    times_sec: tuple[float, ...]
    indices: tuple[int, ...]
    n_frames: int
    substituted: int = 0


@dataclass(frozen=True)
class Picture:
    """One frame of a full decode; ``image`` as in ``Frames``."""

    index: int
    time_sec: float
    image: Image


def sample_frames(path: Path | str, count: int) -> Frames:
    """``count`` frames spread evenly over the timeline: the first, the last and those between.

    Frame numbers are ``linspace(0, n - 1, count)`` cut to integers, as is usual for VideoMAE. A video of fewer frames
    gives each once and repeats the last.

    Raises:
        UnsupportedMedia: nothing decodes.
    """
    return select_frames(path, lambda times: uniform(len(times), count))


def frames_at(path: Path | str, times_sec: Sequence[float]) -> Frames:
    """The frame on display at each time: the last one presented by then, the first one before any is.

    Raises:
        UnsupportedMedia: nothing decodes.
    """
    slack = 1e-6  # a time that came from a frame finds that frame, whatever the rounding
    asked = np.asarray(times_sec, dtype=np.float64) + slack
    return select_frames(path, lambda times: np.maximum(np.searchsorted(times, asked, "right") - 1, 0).tolist())


def uniform(n_frames: int, count: int) -> list[int]:
    """``count`` frame numbers in ascending order, evenly spread over 0 … n_frames - 1."""
    if n_frames <= count:
        return [min(i, n_frames - 1) for i in range(count)]
    return [int(i) for i in np.linspace(0, n_frames - 1, count)]


def select_frames(path: Path | str, choose: Choose) -> Frames:
    """The frames whose numbers ``choose`` names, given the time of every frame (seconds, float64, ascending).

    Raises:
        UnsupportedMedia: nothing decodes, or the video exceeds a limit.
    """
    for read_index in (_index_of_tables, _index_of_packets):
        index = read_index(path)
        if index is None:
            continue
        chosen = list(choose(index.times_sec))
        images = _decode_indexed(path, index, sorted(set(index.pts[chosen].tolist())))
        if images is not None:
            return _frames(index, chosen, images)
    if index is None:
        return _select_sequentially(path, choose)
    images, missing = _decode_nearest(path, sorted(set(index.pts[chosen].tolist())))
    return _frames(index, chosen, images, missing)


def _frames(index: "_Index", chosen: list[int], images: dict[int, Image], missing: Set[int] = frozenset()) -> Frames:
    wanted = index.pts[chosen].tolist()
    return Frames(
        images=tuple(images[pts] for pts in wanted),
        times_sec=tuple(index.times_sec[chosen].tolist()),
        indices=tuple(chosen),
        n_frames=len(index.pts),
        substituted=sum(pts in missing for pts in wanted),
    )


def decode_all(path: Path | str) -> Iterator[Picture]:
    """Every frame in presentation order, one in memory at a time: slow, simple, and what the fast way must equal.

    Raises:
        UnsupportedMedia: nothing decodes.
    """
    for index, time_sec, frame in decode_sequentially(path):
        yield Picture(index, time_sec, upright(frame))


def timestamps(path: Path | str) -> tuple[NDArray[np.float64], list[int]] | None:
    """The presentation time of each frame (seconds, ascending), and a decoding time for each packet in file order.

    Decoding times are ticks of the stream, strictly ascending and none later than its packet's presentation, as a
    muxer wants them. None where the packets do not tell for sure which frames there are.
    """
    index = _index_of_packets(path, seekable=False)
    if index is None:
        return None
    order = np.sort(index.packets)
    if np.any(np.diff(order) == 0):
        return None
    return index.times_sec, (order - np.max(order - index.packets)).tolist()


class _Index(NamedTuple):
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


def _index_of_tables(path: Path | str) -> _Index | None:
    """The index as an MP4's tables give it, without reading the media between them.

    ffmpeg's own index has every packet's decoding time, place and key flag, but not its presentation time: that comes
    from the tables, moved by what the edit list moves the first packet. None where the two do not agree on every
    sample, where an edit list hides samples, or where the file ends before its last sample.
    """
    with open_media(path) as media:
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
        all_there = np.all(sizes > 0) and np.max(ends) <= Path(path).stat().st_size
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


def _index_of_packets(path: Path | str, seekable: bool = True) -> _Index | None:
    """The video's packets; None where they do not tell for sure which frames there are (or where seeks land)."""
    with open_media(path) as media:
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


def _checked_index(shown: Ticks, keys: Ticks, packets: Ticks, media: Media) -> _Index | None:
    pts, keys = np.unique(shown), np.unique(keys)
    if len(shown) == 0 or len(pts) != len(shown) or pts[0] < keys[0]:
        return None  # one time for two frames, or frames that refer to what was cut off before the first key frame
    times = _seconds_of(video_of(media), pts) - media.origin_sec
    return _Index(pts, keys, packets, times)


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


def _decode_indexed(path: Path | str, index: _Index, wanted: list[int]) -> dict[int, Image] | None:
    """The wanted frames by timestamp; None where anything is not as the index says."""
    starts = index.keys[np.searchsorted(index.keys, wanted, "right") - 1].tolist()
    groups: dict[int, set[int]] = {}
    for start, pts in zip(starts, wanted, strict=True):
        groups.setdefault(start, set()).add(pts)
    found: dict[int, Image] = {}
    with open_media(path) as media:
        stream = video_of(media)
        only(media.container, stream)
        try:
            for start, group in groups.items():
                images = _decode_group(media.container, stream, index, start, group)
                if images is None:
                    return None
                found |= images
        except av.FFmpegError:
            return None
    return found


def _decode_group(
    container: InputContainer, stream: VideoStream, index: _Index, start: int, group: set[int]
) -> dict[int, Image] | None:
    """The frames that decode from the key frame at ``start``."""
    codec = stream.codec_context
    skippable = codec.codec.canonical_name in _SKIPPABLE_CODECS
    found: dict[int, Image] = {}
    last, landed = max(group), False
    container.seek(start, stream=stream, backward=True)
    for packet in packets_of(container, stream):
        if not landed and (packet.pts is None or packet.pts > start or not packet.is_keyframe):
            return None
        if not index.agrees(packet):
            return None
        landed = True
        if skippable:
            codec.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in group else "NONREF"
        frames = codec.decode(packet)
        past = packet.size > 0 and packet.dts is not None and packet.dts > last
        if past:
            frames += codec.decode(None)
        for frame in frames:
            if frame.is_corrupt:
                return None
            if frame.pts in group:
                found[frame.pts] = upright(frame)
        if len(found) == len(group):
            return found
        if past:
            return None
    return None


def decode_sequentially(path: Path | str) -> Iterator[tuple[int, float, av.VideoFrame]]:
    """Number, time (seconds) and frame, as it is stored, of all that decodes, one in memory at a time.

    Times never go back; a frame without one follows at the rate.

    Raises:
        UnsupportedMedia: nothing decodes.
    """
    errors: list[av.FFmpegError] = []
    count, time_sec = 0, 0.0
    with open_media(path) as media:
        stream = video_of(media)
        only(media.container, stream)
        step = 1 / float(stream.average_rate) if stream.average_rate else 0.04
        for frame in decoded(media.container, stream, errors.append):
            if frame.pts is not None:
                own = seconds(stream, frame.pts) - media.origin_sec
            else:
                own = time_sec + step if count else 0.0
            time_sec = max(own, time_sec) if count else own
            yield count, time_sec, frame
            count += 1
            check_count(media, count)
    if count == 0:
        why = reason(errors[0]) if errors else "it holds no frame"
        raise UnsupportedMedia(f"No picture of the video can be decoded: {why}.")


def _select_sequentially(path: Path | str, choose: Choose) -> Frames:
    """Two passes: the times of all frames, then the chosen ones."""
    times = np.array([time_sec for _, time_sec, _ in decode_sequentially(path)])
    chosen = list(choose(times))
    wanted = set(chosen)
    images = {index: upright(frame) for index, _, frame in decode_sequentially(path) if index in wanted}
    return Frames(
        images=tuple(images[i] for i in chosen),
        times_sec=tuple(times[chosen].tolist()),
        indices=tuple(chosen),
        n_frames=len(times),
    )


def _decode_nearest(path: Path | str, wanted: list[int]) -> tuple[dict[int, Image], set[int]]:
    """The frame at each timestamp (ticks, ascending), else the nearest that decodes; and which were not there."""
    images: dict[int, Image] = {}
    missing: set[int] = set()
    left = list(reversed(wanted))
    before: av.VideoFrame | None = None
    for _, _, frame in decode_sequentially(path):
        if frame.pts is None:
            continue
        if frame.pts in missing:  # a damaged stream may give it after a later one
            images[frame.pts] = upright(frame)
            missing.discard(frame.pts)
        while left and left[-1] <= frame.pts:
            pts = left.pop()
            use_before = before is not None and before.pts is not None and pts - before.pts <= frame.pts - pts
            nearest = before if use_before and frame.pts != pts and before is not None else frame
            images[pts] = upright(nearest)
            if nearest.pts != pts:
                missing.add(pts)
        before = frame
    if left and before is None:
        raise UnsupportedMedia("No picture of the video has a time.")
    for pts in left:
        assert before is not None
        images[pts] = upright(before)
        missing.add(pts)
    return images, missing
