"""Described segments from elsewhere, such as a session-replay tool: a CSV or Parquet file, with or without vectors.

In: a file with the columns ``video_id``, ``start_sec``, ``end_sec``, ``recorded_at``, ``description``, and optionally
``team`` (``default``), ``user_id``, ``failure`` (none, non_blocking, blocking), ``confusion``, ``abandonment``,
``described_by``, ``vector`` (a list of numbers; in CSV as JSON) and ``vector_model``. Out: segments, their vectors
where the file has them, and every refused row with its number and reason. What can go wrong with the file as a whole:
``SegmentFileError``.
"""

import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clipfarm_assets.errors import SegmentFileError
from clipfarm_assets.metadata.rows import DEFAULT_TEAM, valid_video_id
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.segments.table import SegmentRow

ENDINGS = (".csv", ".parquet")
REQUIRED = ("video_id", "start_sec", "end_sec", "recorded_at", "description")
IMPORTED = "import"
_ROWS_AT_ONCE = 512
_LONGEST_FIELD = 2**24
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})


@dataclass(frozen=True)
class Refused:
    """A row that was left out. ``row`` counts the file's data rows from 1."""

    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class Import:
    """What a file holds.

    Attributes:
        vectors: float32, (n, dim), row by row; None where the file has none.
        vector_model: what made them, as the file says, else ``imported vectors of <dim>``.
    """

    rows: list[SegmentRow]
    refused: list[Refused]
    vectors: NDArray[np.float32] | None
    vector_model: str | None


def read_import(path: Path) -> Import:
    """The segments of a file; of two rows of one span the later one counts.

    Raises:
        SegmentFileError: the file cannot be read, or lacks a column.
    """
    found: dict[str, tuple[SegmentRow, NDArray[np.float32] | None]] = {}
    refused: list[Refused] = []
    models: set[str] = set()
    dim: int | None = None
    for number, fields in enumerate(_rows(path), start=1):
        try:
            row, vector = _row(fields), _vector(fields.get("vector"))
            size = 0 if vector is None else len(vector)
            dim = size if dim is None else dim
            if size != dim:
                raise ValueError(f"vector: has {size} numbers, the first row's has {dim}")
        except ValueError as error:
            refused.append(Refused(number, str(error)))
            continue
        models.add(_text(fields, "vector_model"))
        found[row.segment.segment_id] = (row, vector)
    vectors = [vector for _, vector in found.values() if vector is not None]
    if vectors and len(models) > 1:
        raise SegmentFileError(f"{path.name} names several models in vector_model: {', '.join(sorted(models))}.")
    model = (next(iter(models)) or f"imported vectors of {dim}") if vectors else None
    return Import([row for row, _ in found.values()], refused, np.stack(vectors) if vectors else None, model)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names)
                for batch in file.iter_batches(_ROWS_AT_ONCE):
                    yield from batch.to_pylist()
            return
        csv.field_size_limit(_LONGEST_FIELD)  # the vector of a large model is longer than the default
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            _check_columns(path, reader.fieldnames or [])
            yield from reader
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise SegmentFileError(f"{path.name} cannot be read: {error}.") from None


def _check_columns(path: Path, names: Collection[str]) -> None:
    if missing := [name for name in REQUIRED if name not in names]:
        raise SegmentFileError(f"{path.name} has no column {', '.join(missing)}.")


def _row(fields: Mapping[str, Any]) -> SegmentRow:
    video_id, description = _text(fields, "video_id"), " ".join(_text(fields, "description").split())
    if reason := valid_video_id(video_id):
        raise ValueError(f"video_id: {reason}")
    if not description:
        raise ValueError("description: is empty")
    try:
        failure = Failure(_text(fields, "failure") or Failure.NONE)
    except ValueError:
        raise ValueError(f"failure: must be {', '.join(Failure)}") from None
    segment = Segment(
        team=_text(fields, "team") or DEFAULT_TEAM, video_id=video_id, user_id=_text(fields, "user_id"),
        start_sec=_seconds(fields, "start_sec"), end_sec=_seconds(fields, "end_sec"),
        recorded_at=_moment(fields.get("recorded_at")), description=description, failure=failure,
        confusion=_flag(fields, "confusion"), abandonment=_flag(fields, "abandonment"),
        described_by=_text(fields, "described_by") or IMPORTED,
    )  # fmt: skip
    return SegmentRow(segment, flagged_by=segment.described_by)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return "" if value is None else str(value).strip()


def _seconds(fields: Mapping[str, Any], name: str) -> float:
    try:
        value = float(fields.get(name))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{name}: is no number of seconds") from None
    if not math.isfinite(value):
        raise ValueError(f"{name}: is no number of seconds")
    return value


def _moment(value: Any) -> datetime:
    """A moment without a zone is taken as UTC, as in the metadata."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("recorded_at: is no ISO 8601 time, such as 2026-01-31T12:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    text = _text(fields, name).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(f"{name}: must be true or false")
    return text in _TRUE


def _vector(value: Any) -> NDArray[np.float32] | None:
    if value is None or value == "":
        return None
    try:
        vector = np.asarray(json.loads(value) if isinstance(value, str) else value, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError("vector: is no list of numbers") from None
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise ValueError("vector: is no list of numbers")
    return vector
