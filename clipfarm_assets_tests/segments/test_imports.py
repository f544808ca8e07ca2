"""Files of described segments, as people write them."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfarm_assets.errors import SegmentFileError
from clipfarm_assets.segments.imports import read_import
from clipfarm_assets.segments.model import Failure

GOOD: dict[str, Any] = {
    "video_id": "s1", "start_sec": "0", "end_sec": "12.5", "recorded_at": "2026-02-01T10:00:00Z",
    "description": "The user signs in.",
}  # fmt: skip


def as_csv(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "segments.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_file_with_the_required_columns_is_enough(tmp_path: Path) -> None:
    found = read_import(as_csv(tmp_path, GOOD))
    (row,) = found.rows
    assert (row.segment.team, row.segment.user_id, row.segment.failure) == ("default", "", Failure.NONE)
    assert row.segment.recorded_at == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert (found.vectors, found.vector_model, row.segment.described_by) == (None, None, "import")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("video_id", "../x", "video_id"), ("start_sec", "nan", "start_sec"), ("start_sec", "-1", "runs from"),
        ("end_sec", "0", "runs from"), ("end_sec", "", "end_sec"), ("recorded_at", "soon", "recorded_at"),
        ("description", "  ", "description"), ("failure", "bad", "failure"), ("confusion", "maybe", "confusion"),
        ("vector", "[1, 2", "vector"), ("vector", "[1, NaN]", "vector"),
    ],
)  # fmt: skip
def test_a_bad_value_refuses_its_row_alone_and_names_it(tmp_path: Path, field: str, value: str, said: str) -> None:
    vector = {"vector": "[1, 0]"} if field == "vector" else {}
    found = read_import(as_csv(tmp_path, GOOD | vector, GOOD | vector | {"video_id": "s2", field: value}))
    assert [row.segment.video_id for row in found.rows] == ["s1"]
    assert [(bad.row, said in bad.reason) for bad in found.refused] == [(2, True)]


def test_vectors_are_kept_as_they_are_and_one_of_another_length_is_refused(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(3, 8192)).astype(np.float32)
    rows = [GOOD | {"video_id": f"s{n}", "vector": json.dumps(each.tolist())} for n, each in enumerate(vectors)]
    rows.append(GOOD | {"video_id": "short", "vector": "[1.0]"})
    found = read_import(as_csv(tmp_path, *rows))
    assert found.vectors is not None
    np.testing.assert_array_equal(found.vectors, vectors)
    assert [bad.row for bad in found.refused] == [4]
    assert found.vector_model == "imported vectors of 8192"


def test_parquet_with_its_own_types_says_the_same_as_csv(tmp_path: Path) -> None:
    rows = [GOOD | {"video_id": f"s{n}", "failure": "blocking", "confusion": "true"} for n in range(3)]
    recorded_at = datetime(2026, 2, 1, 10, tzinfo=UTC)
    typed = [row | {"start_sec": 0.0, "end_sec": 12.5, "confusion": True, "recorded_at": recorded_at} for row in rows]
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "segments.parquet")
    assert read_import(tmp_path / "segments.parquet").rows == read_import(as_csv(tmp_path, *rows)).rows


def test_of_two_rows_of_one_span_the_later_counts(tmp_path: Path) -> None:
    found = read_import(as_csv(tmp_path, GOOD, GOOD | {"description": "Another."}))
    assert [row.segment.description for row in found.rows] == ["Another."]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"PAR1 no"])
def test_a_file_that_is_none_says_which_and_why(tmp_path: Path, content: bytes) -> None:
    for name in ("segments.csv", "segments.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SegmentFileError, match=name):
            read_import(tmp_path / name)
