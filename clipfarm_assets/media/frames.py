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

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
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
from clipfarm_assets.media.packet_index import PacketIndex, index_of_packets, index_of_tables

Choose = Callable[[NDArray[np.float64]], Sequence[int]]

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
    for read_index in (index_of_tables, index_of_packets):
        with open_media(path) as media:
            index = read_index(media)
            if index is None:
                continue
            chosen = list(choose(index.times_sec))
            images = _decode_indexed(media, index, sorted(set(index.pts[chosen].tolist())))
            if images is not None:
                return _frames(index, chosen, images)
    if index is None:
        return _select_sequentially(path, choose)
    images, missing = _decode_nearest(path, sorted(set(index.pts[chosen].tolist())))
    return _frames(index, chosen, images, missing)


def _frames(index: PacketIndex, chosen: list[int], images: dict[int, Image], missing: Set[int] = frozenset()) -> Frames:
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


def _decode_indexed(media: Media, index: PacketIndex, wanted: list[int]) -> dict[int, Image] | None:
    """The wanted frames by timestamp; None where anything is not as the index says."""
    starts = index.keys[np.searchsorted(index.keys, wanted, "right") - 1].tolist()
    groups: dict[int, set[int]] = {}
    for start, pts in zip(starts, wanted, strict=True):
        groups.setdefault(start, set()).add(pts)
    found: dict[int, Image] = {}
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
    container: InputContainer, stream: VideoStream, index: PacketIndex, start: int, group: set[int]
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
