"""The three tables of the metadata, their schemas, and their way into bytes and back.

``videos``: one row a video_id, its latest, sorted by video_id; columns as the fields of ``Video``.
``snapshots``: every good row in file order, over physical lines ``line`` to ``last_line``; views over time.
``quarantine``: every refused row in file order, with the reason and the start of its text.

Times are ``timestamp[us, UTC]``, counts ``int64``, seconds ``double``; missing text is ``""``, the rest null.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.metadata.rows import COLUMNS, Kind, Video

TEXT = pa.large_string()  # 64-bit offsets: a gigabyte of descriptions in one column must not overflow
TIME = pa.timestamp("us", "UTC")
EXTRA = pa.map_(TEXT, TEXT)
TYPES: dict[Kind, pa.DataType] = {
    "video_id": TEXT,
    "url": TEXT,
    "text": TEXT,
    "name": TEXT,
    "integer": pa.int64(),
    "seconds": pa.float64(),
    "time": TIME,
    "flag": pa.bool_(),
}

_KNOWN = [pa.field(name, TYPES[column.kind]) for name, column in COLUMNS.items()]
ROW_SCHEMA = pa.schema([*_KNOWN, pa.field("extra", EXTRA)])
SNAPSHOTS_SCHEMA = pa.schema([pa.field("line", pa.int64()), pa.field("last_line", pa.int64()), *ROW_SCHEMA])
VIDEOS_SCHEMA = pa.schema(
    [
        *ROW_SCHEMA,
        pa.field("url_fingerprint", TEXT),
        pa.field("transcript_fingerprint", TEXT),
        pa.field("presence", TEXT),
        pa.field("first_captured_at", TIME),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64()),
        pa.field("last_line", pa.int64()),
        pa.field("video_id", TEXT),  # null where the row names none that is safe
        pa.field("reason", TEXT),
        pa.field("raw", TEXT),
    ]
)
_SCHEMAS = {"videos": VIDEOS_SCHEMA, "snapshots": SNAPSHOTS_SCHEMA, "quarantine": QUARANTINE_SCHEMA}
_GROUP_ROWS = 65_536
_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class MetadataTables:
    """What one reading of the metadata file found; see the module for the columns."""

    videos: pa.Table
    snapshots: pa.Table
    quarantine: pa.Table


def parquet_key(name: str) -> str:
    """The store's key of a table: ``videos``, ``snapshots`` or ``quarantine``."""
    return f"clipfarm/metadata/{name}.parquet"


def table_to_parquet(table: pa.Table) -> bytes:
    """The table as zstd Parquet; equal tables give equal bytes, however they are chunked."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for start in range(0, max(table.num_rows, 1), _GROUP_ROWS):
            writer.write_table(table.slice(start, _GROUP_ROWS).combine_chunks())
    content: bytes = sink.getvalue().to_pybytes()
    return content


def tables_to_parquet(tables: MetadataTables) -> dict[str, bytes]:
    """The content of each of the store's keys of the metadata."""
    return {parquet_key(name): table_to_parquet(getattr(tables, name)) for name in _SCHEMAS}


def tables_from_parquet(contents: Mapping[str, bytes]) -> MetadataTables:
    """The tables that ``tables_to_parquet`` wrote.

    Raises KeyError where a key is not given, and MetadataFileError where its content is not that table.
    """
    return MetadataTables(**{name: table_from_parquet(name, contents[parquet_key(name)]) for name in _SCHEMAS})


def table_from_parquet(name: str, content: bytes) -> pa.Table:
    """One of the tables; MetadataFileError where the content is not that table."""
    hint = "Remove it; it is made again from the metadata CSV."
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise MetadataFileError(f"{parquet_key(name)} cannot be read ({error}).", hint=hint) from error
    if name == "videos" and table.column_names == VIDEOS_SCHEMA.names[:-1]:  # written before this column came
        table = table.append_column(VIDEOS_SCHEMA.field("first_captured_at"), table["captured_at"])
    if not table.schema.equals(_SCHEMAS[name]):
        raise MetadataFileError(f"{parquet_key(name)} has other columns than this version writes.", hint=hint)
    return table.cast(_SCHEMAS[name])  # Parquet names the parts of a map in its own way


def data_version(tables: MetadataTables, names: Collection[str]) -> str:
    """SHA-256, in hex, of the named columns of ``videos``, whatever the file's lines, order and formatting."""
    columns = [field.name for field in VIDEOS_SCHEMA if field.name in names]
    digest = hashlib.sha256(json.dumps(columns).encode())
    for start in range(0, tables.videos.num_rows, _BLOCK_ROWS):
        block = tables.videos.select(columns).slice(start, _BLOCK_ROWS)
        for column in block.columns:
            plain = pc.cast(column, pa.int64()) if column.type == TIME else column
            digest.update(json.dumps(plain.to_pylist(), separators=(",", ":")).encode())
    return digest.hexdigest()


def changed_videos(before: pa.Table, after: pa.Table, names: Collection[str]) -> set[str]:
    """The ids of the rows of ``videos`` that came, went, or have another value in one of the named columns."""
    old, new = before["video_id"], after["video_id"]
    there = pc.index_in(new, value_set=old.combine_chunks())
    came = pc.is_null(there)
    went = pc.invert(pc.is_in(old, value_set=new.combine_chunks()))
    kept, places = after.filter(pc.invert(came)), pc.drop_null(there)
    differs = pa.chunked_array([pa.repeat(pa.scalar(False), kept.num_rows)])
    for name in names:
        left, right = before[name].take(places), kept[name]
        unlike = pc.fill_null(pc.not_equal(left, right), False)  # null where either is null
        differs = pc.or_(differs, pc.or_(unlike, pc.not_equal(pc.is_null(left), pc.is_null(right))))
    ids = (new.filter(came), old.filter(went), kept["video_id"].filter(differs))
    return {video_id for column in ids for video_id in column.to_pylist()}


def select_videos(table: pa.Table, video_ids: Collection[str]) -> pa.Table:
    """The rows of the named videos."""
    return table.filter(pc.is_in(table["video_id"], value_set=pa.array(list(video_ids), table["video_id"].type)))


def with_removed(table: pa.Table, video_ids: Collection[str]) -> pa.Table:
    """The ``videos`` table with these videos marked as removed, whatever their rows say."""
    if not video_ids:
        return table
    gone = pc.is_in(table["video_id"], value_set=pa.array(sorted(video_ids), table["video_id"].type))
    place = table.schema.get_field_index("removed")
    return table.set_column(place, table.schema.field(place), pc.or_(table["removed"], gone))


def videos_from_table(table: pa.Table) -> Iterator[Video]:
    """The rows of a table with the columns of ``videos``, in its order."""
    for start in range(0, table.num_rows, _BLOCK_ROWS):
        block = table.slice(start, _BLOCK_ROWS)
        columns = [_plain(block.column(field.name)) for field in VIDEOS_SCHEMA]
        yield from map(Video, *columns)


def _plain(column: pa.ChunkedArray) -> list[object]:
    if column.type == TIME:
        column = _iso(column)
    values: list[object] = column.to_pylist()
    if column.type == EXTRA:
        return [dict(pairs) for pairs in values]  # type: ignore[call-overload]
    return values


def _iso(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as ISO 8601 text; fractions only where there are some."""
    whole = pc.floor_temporal(column, unit="second")
    naive = pc.cast(column, pa.timestamp("us"))
    short = pc.strftime(pc.cast(pc.cast(whole, pa.timestamp("us")), pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ")
    text = pc.if_else(pc.equal(column, whole), short, pc.strftime(naive, format="%Y-%m-%dT%H:%M:%SZ"))
    return pc.fill_null(text, "")
