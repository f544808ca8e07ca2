"""Reading the metadata file: good rows are kept, bad ones quarantined, and nothing that was known gets lost.

The file is UTF-8 CSV, with or without a byte order mark, LF or CRLF, and at least the columns video_id and url. It is
read as a stream; at any time a thousand rows or so are Python objects, the rest is Arrow. What the tables hold is in
``tables``, what becomes of broken text in ``records``, what a field may say in ``values``.

The latest row of a video is that with the greatest ``captured_at``, the later line on ties; a row without one counts as
older than any with one. A quarantined row leaves the video's good rows in force, those of the previous reading
included: such a video is present. One of which no row is left is ``missing``, with its old values.
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.metadata.convert import Header, convert, quarantine_table
from clipfarm_assets.metadata.records import LineFeed, Record, Refused, read_one, read_records
from clipfarm_assets.metadata.tables import SNAPSHOTS_SCHEMA, TEXT, TIME, VIDEOS_SCHEMA, MetadataTables

_BATCH_ROWS = 1_024
_UTF8_MARK = b"\xef\xbb\xbf"
_FIRST_CAPTURED = VIDEOS_SCHEMA.get_field_index("first_captured_at")
MISSING = "missing"  # the fingerprint of a local file that is not there
_OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PAR1": "Parquet",
}


def no_fingerprint(name: str) -> str | None:
    """Nothing tells of a changed file behind ``name``."""
    return None


def file_fingerprint(path: Path) -> str:
    """What changes when the file does, without reading it: size, time of change in nanoseconds, inode.

    Raises OSError where there is no such file.
    """
    found = path.stat()
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"


def read_metadata(
    source: Path | bytes,
    *,
    previous: MetadataTables | None = None,
    fingerprint: Callable[[str], str | None] = no_fingerprint,
) -> MetadataTables:
    """Read the metadata file.

    Args:
        source: the file, or its content.
        previous: what the last reading found; its videos are kept.
        fingerprint: called for the url and the transcript_path of each video that is present, where it has one; what
            it raises ends the reading.

    Raises:
        MetadataFileError: the file cannot be opened, is empty, is no UTF-8 CSV, or its header lacks video_id or url or
            names a column twice. Broken rows never raise; they are in ``quarantine``.
    """
    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            snapshots, quarantine = _read_rows(stream)
    except OSError as error:
        raise MetadataFileError(f"The metadata file cannot be read: {error}.") from error
    videos = _latest(snapshots)
    if previous is not None:
        videos = _captured_before(videos, previous.videos)
        videos = _with_vanished(videos, previous.videos, quarantine)
    return MetadataTables(
        _with_fingerprints(videos, fingerprint, previous.videos if previous else None), snapshots, quarantine
    )


def _read_rows(stream: BinaryIO) -> tuple[pa.Table, pa.Table]:
    start = stream.read(len(_UTF8_MARK) + 1)
    for mark, name in _OTHER_FORMATS.items():
        if start.startswith(mark):
            raise MetadataFileError(f"The metadata file is {name}.", hint="Save it as CSV in UTF-8.")
    stream.seek(len(_UTF8_MARK) if start.startswith(_UTF8_MARK) else 0)
    feed = LineFeed(stream)
    header = _read_header(feed)
    batches: list[pa.RecordBatch] = []
    refused: list[Refused] = []
    good = _good(read_records(feed, len(header.names)), refused)
    while records := list(islice(good, _BATCH_ROWS)):
        batch, bad = convert(header, records)
        batches.append(batch)
        refused.extend(bad)
    return pa.Table.from_batches(batches, SNAPSHOTS_SCHEMA), quarantine_table(header, refused)


def _good(found: Iterator[Record | Refused], refused: list[Refused]) -> Iterator[Record]:
    """The records of ``found``; its refusals are added to ``refused``."""
    for each in found:
        if isinstance(each, Record):
            yield each
        else:
            refused.append(each)


def _read_header(feed: LineFeed) -> Header:
    """The header of the first line that is not blank; ``feed`` stands behind it."""
    after = 0
    while feed.begin(after):
        found = read_one(feed, None)
        after = max(feed.ahead, 1)
        if isinstance(found, Refused):
            raise MetadataFileError(f"The metadata file's header, line {found.line}, cannot be read. {found.reason}")
        if found is not None:
            feed.begin(after)
            return Header.of(found.fields)
    raise MetadataFileError("The metadata file is empty.", hint="Its first line names the columns.")


def _latest(snapshots: pa.Table) -> pa.Table:
    """The latest row of each video, sorted by video_id, as rows of ``videos`` without fingerprints."""
    rows = snapshots.drop_columns(["line", "last_line"])
    first = pa.nulls(0, TIME)
    if rows.num_rows:
        ids = rows["video_id"].combine_chunks().dictionary_encode()
        codes = ids.indices.to_numpy()
        captured = rows["captured_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
        order = np.lexsort((captured, codes))  # stable: the later line stays behind on ties
        latest = np.zeros(rows.num_rows, dtype=bool)
        latest[order[np.append(np.diff(codes[order]) != 0, True)]] = True
        rows = rows.filter(pa.array(latest))  # a filter goes chunk by chunk, where take would copy the whole table
        rows = rows.take(pc.sort_indices(rows["video_id"]))
        firsts = snapshots.group_by("video_id").aggregate([("captured_at", "min")])
        first = firsts["captured_at_min"].take(pc.index_in(rows["video_id"], value_set=firsts["video_id"]))
    nothing = pa.nulls(rows.num_rows, TEXT)
    arrays = [*rows.columns, nothing, nothing, pa.repeat(pa.scalar("present", TEXT), rows.num_rows), first]
    return pa.table(arrays, schema=VIDEOS_SCHEMA)


def _captured_before(videos: pa.Table, previous: pa.Table) -> pa.Table:
    """``videos`` with the earlier first capture of both readings: a file may keep the newest rows alone."""
    known = previous["first_captured_at"].take(pc.index_in(videos["video_id"], value_set=previous["video_id"]))
    now = videos["first_captured_at"]
    earlier = pc.or_(pc.is_null(now), pc.fill_null(pc.less(known, now), False))
    first = pc.if_else(earlier, known, now)
    return videos.set_column(_FIRST_CAPTURED, VIDEOS_SCHEMA.field(_FIRST_CAPTURED), first)


def _with_vanished(videos: pa.Table, previous: pa.Table, quarantine: pa.Table) -> pa.Table:
    """``videos`` and those of ``previous`` of which the file holds no good row any more, sorted by video_id."""
    known = pc.is_in(previous["video_id"], value_set=videos["video_id"].combine_chunks())
    vanished = previous.filter(pc.invert(known))
    still_named = pc.is_in(vanished["video_id"], value_set=quarantine["video_id"].combine_chunks())
    presence = pc.if_else(still_named, pa.scalar("present", TEXT), pa.scalar("missing", TEXT))
    vanished = vanished.set_column(VIDEOS_SCHEMA.get_field_index("presence"), VIDEOS_SCHEMA.field("presence"), presence)
    both = pa.concat_tables([videos, vanished])
    return both.take(pc.sort_indices(both["video_id"]))


def _with_fingerprints(
    videos: pa.Table, fingerprint: Callable[[str], str | None], previous: pa.Table | None
) -> pa.Table:
    """``videos`` with fresh fingerprints where they are present; vanished rows keep their old ones.

    A file that is MISSING now keeps the fingerprint that it had under the same name: what was made of it is still
    right, and a disk that is not mounted must not take it away.
    """
    for column, of in (("url_fingerprint", "url"), ("transcript_fingerprint", "transcript_path")):
        known: dict[tuple[str, str], str | None] = {}
        if previous is not None:
            named = zip(previous["video_id"].to_pylist(), previous[of].to_pylist(), strict=True)
            known = dict(zip(named, previous[column].to_pylist(), strict=True))
        rows = zip(*(videos[name].to_pylist() for name in ("presence", "video_id", of, column)), strict=True)
        fresh = []
        for presence, video_id, name, old in rows:
            now = old if presence != "present" else fingerprint(name) if name else None
            fresh.append((known.get((video_id, name)) or now) if now == MISSING else now)
        at = VIDEOS_SCHEMA.get_field_index(column)
        videos = videos.set_column(at, VIDEOS_SCHEMA.field(column), pa.array(fresh, TEXT))
    return videos.combine_chunks()
