"""The tables of an MP4 file: how many samples each track has, and when each of them is decoded and shown.

In: a local path. Out: ``SampleTable`` per track; nothing where the file is no MP4. What can go wrong:
``UnsupportedMedia`` where the tables claim more than the limits allow. ISO/IEC 14496-12, 8.6 to 8.8.

ffmpeg makes room for every sample that the tables claim before it reads one, and a table of twenty bytes can claim
four thousand million. So they are read here first. Only boxes' headers and the tables are read, not the media.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.limits import Limits

Pairs = NDArray[np.int64]

_PARENTS = frozenset({b"trak", b"mdia", b"minf", b"stbl", b"edts", b"traf", b"mvex"})
_MAX_BOXES = 2_000_000
_MAX_HEADER_BYTES = 256 * 1024**2
_MAX_ENTRIES = 10_000_000  # of one table, as ffmpeg unrolls it: some 40 bytes each
_DEEPEST = 8


@dataclass
class SampleTable:
    """One track of an MP4 file.

    Attributes:
        track_id: ffmpeg's ``stream.id``.
        is_video: by its handler.
        n_samples: as ``stsz`` claims.
        durations, offsets: runs of ``stts`` and ``ctts``, int64 (n, 2): a count and ticks.
        n_chunks, most_in_chunk: of ``stco`` and ``stsc``.
        n_edits: of ``elst``.
    """

    track_id: int = 0
    is_video: bool = False
    n_samples: int = 0
    durations: Pairs = field(default_factory=lambda: np.empty((0, 2), np.int64))
    offsets: Pairs = field(default_factory=lambda: np.empty((0, 2), np.int64))
    n_chunks: int = 0
    most_in_chunk: int = 0
    n_edits: int = 0

    def times(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Decoding and presentation time of every sample, ticks from 0, before any edit; None where they do not fit."""
        if int(self.durations[:, 0].sum()) != self.n_samples:
            return None
        steps = np.repeat(self.durations[:, 1], self.durations[:, 0])
        dts = np.concatenate([[0], np.cumsum(steps)[:-1]]).astype(np.int64)
        if len(self.offsets) == 0:
            return dts, dts
        if int(self.offsets[:, 0].sum()) != self.n_samples:
            return None
        return dts, dts + np.repeat(self.offsets[:, 1], self.offsets[:, 0])

    @property
    def is_plain_sound(self) -> bool:
        """One tick a sample: PCM, which ffmpeg handles by chunks of 1024 samples."""
        return not self.is_video and len(self.durations) == 1 and int(self.durations[0, 1]) == 1


def read_tables(path: Path | str, limits: Limits) -> list[SampleTable]:
    """The tracks of an MP4's header, each with a table; empty for a file of another kind.

    Raises:
        UnsupportedMedia: a table claims more than a limit allows.
    """
    tracks: list[SampleTable] = []
    in_fragments = 0
    with Path(path).open("rb") as file:
        for kind, start, end in _top_boxes(file):
            if kind not in (b"moov", b"moof"):
                continue
            if end - start > _MAX_HEADER_BYTES:
                raise UnsupportedMedia(f"The MP4 header has {end - start:,} bytes, above {_MAX_HEADER_BYTES:,}.")
            file.seek(start)
            body = memoryview(file.read(end - start))
            if kind == b"moov":
                tracks += _tracks(body)
            else:
                in_fragments += sum(
                    _count(body, at, 4) for kind, at, _ in _boxes(body, 0, len(body)) if kind == b"trun"
                )
                _check_entries(in_fragments)
    for track in tracks:
        _check(track, limits)
    return tracks


def _check(track: SampleTable, limits: Limits) -> None:
    if track.is_video:
        limits.check("max_video_frames", track.n_samples, f"The video has {track.n_samples:,} frames")
    elif track.is_plain_sound:
        _check_entries(track.n_chunks * (track.most_in_chunk // 1024 + 1))
    else:
        _check_entries(track.n_samples)
    for runs in (track.durations, track.offsets):
        _check_entries(0 if track.is_plain_sound else int(runs[:, 0].sum()))
    _check_entries(0 if track.is_plain_sound else track.n_samples * track.n_edits)


def _check_entries(count: int) -> None:
    if count > _MAX_ENTRIES:
        raise UnsupportedMedia(f"The MP4 tables claim {count:,} samples, above {_MAX_ENTRIES:,}.")


def _top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each box's body; ends at what is no box."""
    size_of_file = file.seek(0, 2)
    at = 0
    for _ in range(_MAX_BOXES):
        if at >= size_of_file:
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        start = at + 8
        if size == 1 and len(head) == 16:
            size, start = struct.unpack(">Q", head[8:])[0], at + 16
        elif size == 0:
            size = size_of_file - at
        if at + size < start:
            return
        yield kind, start, min(at + size, size_of_file)
        at += size
    raise UnsupportedMedia(f"The file has more than {_MAX_BOXES:,} MP4 boxes.")


def _boxes(body: memoryview, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of every box's body, those within boxes too."""
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", body[start : start + 8])
        inner = start + 8
        if size == 1 and start + 16 <= end:
            size, inner = struct.unpack(">Q", body[start + 8 : start + 16])[0], start + 16
        elif size == 0:
            size = end - start
        if start + size < inner:
            return
        stop = min(start + size, end)
        yield kind, inner, stop
        if kind in _PARENTS and depth < _DEEPEST:
            yield from _boxes(body, inner, stop, depth + 1)
        start += size


def _tracks(body: memoryview) -> list[SampleTable]:
    tracks: list[SampleTable] = []
    for kind, start, end in _boxes(body, 0, len(body)):
        if kind == b"cmov":
            raise UnsupportedMedia("The MP4 header is compressed (cmov), which is not read.")
        if kind == b"trak":
            tracks.append(SampleTable())
        elif tracks:
            _read_box(tracks[-1], kind, body, start, end)
    return tracks


def _read_box(track: SampleTable, kind: bytes, body: memoryview, start: int, end: int) -> None:
    if kind == b"tkhd":
        track.track_id = _count(body, start, 20 if bytes(body[start : start + 1]) == b"\1" else 12)
    elif kind == b"hdlr" and bytes(body[start + 4 : start + 8]) in (b"\0\0\0\0", b"mhlr"):
        track.is_video = bytes(body[start + 8 : start + 12]) == b"vide"
    elif kind in (b"stsz", b"stz2"):
        track.n_samples = _count(body, start, 8)
    elif kind == b"stts":
        track.durations = _runs(body, start, end)
    elif kind == b"ctts":
        track.offsets = _runs(body, start, end)
    elif kind in (b"stco", b"co64"):
        track.n_chunks = _count(body, start, 4)
    elif kind == b"stsc":
        count = min(_count(body, start, 4), max(end - start - 8, 0) // 12)
        table = np.frombuffer(body[start + 8 : start + 8 + count * 12], ">u4").reshape(-1, 3)
        track.most_in_chunk = int(table[:, 1].max()) if count else 0
    elif kind == b"elst":
        track.n_edits = _count(body, start, 4)


def _count(body: memoryview, start: int, offset: int) -> int:
    """The number that stands ``offset`` bytes into a box; 0 where the box is cut off before it."""
    data = body[start + offset : start + offset + 4]
    return int.from_bytes(data, "big") if len(data) == 4 else 0


def _runs(body: memoryview, start: int, end: int) -> Pairs:
    """Pairs of a count and signed ticks (``ctts`` of version 0 too, which writers fill with signed ones)."""
    count = min(_count(body, start, 4), max(end - start - 8, 0) // 8)
    table = np.frombuffer(body[start + 8 : start + 8 + count * 8], ">u4").reshape(-1, 2)
    return np.stack([table[:, 0].astype(np.int64), table[:, 1].astype(np.int32).astype(np.int64)], axis=1)
