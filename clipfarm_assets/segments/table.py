"""Segments as Parquet: one file a video or an import, and their vectors beside it.

``clipfarm/segments/<video_id>.parquet`` holds the rows in the order of time, ``clipfarm/segments/<video_id>.npy`` their
vectors, float32 (n, dim), row by row; a row of zeros is a segment that nothing is said of.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clipfarm_assets.segments.model import Failure, Segment

SEGMENTS_SCHEMA = pa.schema(
    [
        ("segment_id", pa.string()),
        ("team", pa.string()),
        ("video_id", pa.string()),
        ("user_id", pa.string()),
        ("start_sec", pa.float64()),
        ("end_sec", pa.float64()),
        ("recorded_at", pa.timestamp("us", "UTC")),
        ("title", pa.string()),  # null where no model gave one
        ("description", pa.string()),
        ("failure", pa.string()),
        ("confusion", pa.bool_()),
        ("abandonment", pa.bool_()),
        ("success", pa.bool_()),  # null where no model said so
        ("described_by", pa.string()),
        ("flagged_by", pa.string()),
        ("describe_error", pa.string()),  # why the model's description is not there, where one was asked for
    ]
)


@dataclass(frozen=True)
class SegmentRow:
    """A segment with what is known about its description; see ``SEGMENTS_SCHEMA``."""

    segment: Segment
    flagged_by: str
    title: str | None = None
    success: bool | None = None
    describe_error: str | None = None


def to_parquet(rows: Sequence[SegmentRow]) -> bytes:
    """The rows as a Parquet file; equal rows give equal bytes."""
    columns = {name: [_value(row, name) for row in rows] for name in SEGMENTS_SCHEMA.names}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SEGMENTS_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def read_segments(content: bytes) -> list[Segment]:
    """The segments of a file, in its order.

    Raises:
        ValueError: it is no Parquet file, or not of this shape.
    """
    try:
        table = pq.read_table(pa.BufferReader(content), columns=SEGMENTS_SCHEMA.names)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"The segments cannot be read: {error}") from None
    if not table.schema.remove_metadata().equals(SEGMENTS_SCHEMA):
        raise ValueError("The segments have other columns than this version writes.")
    return [
        Segment(
            team=row["team"], video_id=row["video_id"], user_id=row["user_id"], start_sec=row["start_sec"],
            end_sec=row["end_sec"], recorded_at=row["recorded_at"], description=row["description"],
            failure=Failure(row["failure"]), confusion=row["confusion"], abandonment=row["abandonment"],
            described_by=row["described_by"],
        )
        for row in table.to_pylist()
    ]  # fmt: skip


def said_rows(vectors: NDArray[np.float32]) -> NDArray[np.intp]:
    """The rows of segments that something is said of."""
    return np.flatnonzero(vectors.any(axis=1))


def _value(row: SegmentRow, name: str) -> object:
    found = getattr(row if hasattr(row, name) else row.segment, name)
    return found.value if isinstance(found, Failure) else found
