"""The frames of a stretch of a video, as they are stored, one in memory at a time.

In: a local path and a span in seconds from time 0. Out: times and frames of those whose time lies in
[start, end), the same as a full decode gives. What can go wrong: ``UnsupportedMedia`` where nothing decodes,
``IndexDisagrees`` where the container's index is not true: read again with ``is_indexed=False``.

A picture that is held for long, as in a recording of a screen, may begin before the span: it comes first, with its own
time, if the first frame inside comes more than ``HELD_SEC`` after the start.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from clipfarm_assets.media.frames import decode_sequentially
from clipfarm_assets.media.opening import only, open_media, packets_of, video_of
from clipfarm_assets.media.packet_index import PacketIndex, index_of_packets, index_of_tables

HELD_SEC = 0.1
_SLACK_SEC = 1e-6  # a time that came from a frame finds that frame, whatever the rounding

TimedFrame = tuple[float, av.VideoFrame]


class IndexDisagrees(Exception):
    """The file is not as its index says: decode from its beginning."""


def frames_between(path: Path, start_sec: float, end_sec: float, is_indexed: bool) -> Iterator[TimedFrame]:
    """Frames in the order of presentation.

    Raises:
        UnsupportedMedia: nothing decodes.
        IndexDisagrees: only with ``is_indexed``.
    """
    start_sec, end_sec = start_sec - _SLACK_SEC, end_sec - _SLACK_SEC
    for read_index in (index_of_tables, index_of_packets) if is_indexed else ():
        with open_media(path) as media:
            index = read_index(media)
        if index is not None:
            return _indexed(path, index, start_sec, end_sec)
    return _sequential(path, start_sec, end_sec)


def _sequential(path: Path, start_sec: float, end_sec: float) -> Iterator[TimedFrame]:
    before: TimedFrame | None = None
    has_begun = False
    for _, time_sec, frame in decode_sequentially(path):
        if time_sec >= end_sec:
            break
        if time_sec < start_sec:
            before = time_sec, frame
            continue
        if not has_begun and before is not None and time_sec - start_sec > HELD_SEC:
            yield before
        has_begun = True
        yield time_sec, frame
    if not has_begun and before is not None and _holds(before[0], start_sec, path):
        yield before


def _indexed(path: Path, index: PacketIndex, start_sec: float, end_sec: float) -> Iterator[TimedFrame]:
    first, last = (int(n) for n in np.searchsorted(index.times_sec, [start_sec, end_sec]))
    is_late = first >= last or index.times_sec[first] - start_sec > HELD_SEC
    if first > 0 and is_late and (first < last or _holds(float(index.times_sec[first - 1]), start_sec, path)):
        first -= 1
    if first >= last:
        return
    times = dict(zip(index.pts[first:last].tolist(), index.times_sec[first:last].tolist(), strict=True))
    left = iter(times)
    key = int(index.keys[np.searchsorted(index.keys, index.pts[first], "right") - 1])
    expected = next(left, None)
    for frame in _decoded_from(path, index, key):
        if frame.pts not in times:
            continue
        if frame.is_corrupt or frame.pts != expected:
            raise IndexDisagrees
        yield times[frame.pts], frame
        expected = next(left, None)
        if expected is None:
            return
    raise IndexDisagrees


def _decoded_from(path: Path, index: PacketIndex, key: int) -> Iterator[av.VideoFrame]:
    """What decodes from the key frame at ``key`` on."""
    with open_media(path) as media:
        stream = video_of(media)
        only(media.container, stream)
        media.container.seek(key, stream=stream, backward=True)
        has_landed = False
        try:
            for packet in packets_of(media.container, stream):
                is_there = packet.pts is not None and packet.pts <= key and packet.is_keyframe
                if not (has_landed or is_there) or not index.agrees(packet):
                    raise IndexDisagrees
                has_landed = True
                yield from stream.codec_context.decode(packet)
        except av.FFmpegError:
            raise IndexDisagrees from None


def _holds(time_sec: float, start_sec: float, path: Path) -> bool:
    """Whether the last frame before the span is still on display in it: the video has not ended by then."""
    with open_media(path) as media:
        stream = video_of(media)
        if stream.duration is None or stream.time_base is None:
            return False
        ends = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - media.origin_sec
        return time_sec <= start_sec < ends
