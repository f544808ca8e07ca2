"""The embedding manifests: one row a video, sorted, replaced whole, and in agreement with the vectors."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfarm_assets.embeddings.manifest import (
    MANIFEST_SCHEMA,
    MODALITIES,
    ManifestRow,
    agrees,
    has_vector,
    manifest_dim,
    manifest_key,
    manifest_table,
    read_manifest,
    write_manifest,
)
from clipfarm_assets.errors import DimensionMismatch, StoreError
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def npy(vector: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, vector)
    return stream.getvalue()


def unit(seed: int, dim: int = 8) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def row(video_id: str, raw: bytes | None = None, *, dim: int = 8, status: Status = Status.SUCCESS) -> ManifestRow:
    made = raw is not None
    return ManifestRow(
        video_id=video_id,
        source_hash="h",
        captured_at="2026-01-01T00:00:00+00:00",
        modality="video",
        embedding_key=f"clipfarm/embeddings/video/{video_id}.npy" if made else None,
        embedding_dim=dim if made else None,
        model_name="model",
        model_version="v",
        preprocess_version="p",
        status=status,
        processed_at=AT,
        etag="e" if made else None,
        sha256=hashlib.sha256(raw).hexdigest() if raw is not None else None,
        reason=None if made else "why",
    )


def stored(store: ObjectStore, count: int) -> list[ManifestRow]:
    rows = []
    for number in range(count):
        raw = npy(unit(number))
        rows.append(row(f"v{number:03d}", raw))
        store.put(rows[-1].embedding_key or "", raw)
    return rows


def test_a_manifest_comes_back_as_it_was_written(store: ObjectStore) -> None:
    rows = [row("b", b"1"), row("a", b"2"), row("c", status=Status.FAIL)]
    info = write_manifest(store, "video", rows)
    assert (info.key, info.rows, info.dim) == ("clipfarm/embeddings/video_manifest.parquet", 3, 8)
    assert info.by_status == {"fail": 1, "success": 2}
    assert info.sha256 == hashlib.sha256(store.get(info.key) or b"").hexdigest()
    table = read_manifest(store, "video")
    assert table.schema.equals(MANIFEST_SCHEMA)
    assert [ManifestRow(**fields) for fields in table.to_pylist()] == sorted(rows, key=lambda r: r.video_id)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_manifest_that_is_not_there_has_no_rows(local_store: ObjectStore, modality: str) -> None:
    table = read_manifest(local_store, modality)  # type: ignore[arg-type]
    assert len(table) == 0
    assert table.schema.equals(MANIFEST_SCHEMA)


def test_the_same_rows_in_any_order_give_the_same_bytes_and_no_write(store: ObjectStore) -> None:
    rows = stored(store, 50)
    assert write_manifest(store, "video", rows).written
    before = store.head(manifest_key("video"))
    Random(1).shuffle(rows)
    assert not write_manifest(store, "video", iter(rows)).written
    assert store.head(manifest_key("video")) == before
    assert write_manifest(store, "video", rows[1:]).written


@pytest.mark.parametrize("kind", ["empty", "cut", "other"])
def test_a_file_that_is_no_manifest_is_an_error_and_not_an_absent_one(local_store: ObjectStore, kind: str) -> None:
    key = write_manifest(local_store, "video", [row("a", b"1")]).key
    other = io.BytesIO()
    pq.write_table(pa.table({"video_id": ["a"]}), other)
    whole = local_store.get(key) or b""
    local_store.put(key, {"empty": b"", "cut": whole[:-20], "other": other.getvalue()}[kind])
    with pytest.raises(StoreError, match="Delete it"):
        read_manifest(local_store, "video")
    assert write_manifest(local_store, "video", [row("a", b"1")]).written


def test_no_rows_are_a_manifest_too(local_store: ObjectStore) -> None:
    info = write_manifest(local_store, "text", [])
    assert (info.rows, info.dim, info.by_status) == (0, None, {})
    assert len(read_manifest(local_store, "text")) == 0


def test_vectors_of_two_lengths_stop_before_anything_is_written(local_store: ObjectStore) -> None:
    write_manifest(local_store, "video", [row("a", b"1")])
    before = local_store.get(manifest_key("video"))
    with pytest.raises(DimensionMismatch, match=r"video vectors.*2 of 8, such as a; 1 of 4, such as b\."):
        write_manifest(local_store, "video", [row("a", b"1"), row("b", b"2", dim=4), row("c", b"3")])
    assert local_store.get(manifest_key("video")) == before


def test_a_vector_that_a_failing_video_left_behind_does_not_count(local_store: ObjectStore) -> None:
    rows = [row("a", b"1"), row("b", b"2", dim=4, status=Status.FAIL), row("c", b"3", status=Status.EMPTY_TRANSCRIPT)]
    assert write_manifest(local_store, "video", rows).dim == 8
    assert has_vector(read_manifest(local_store, "video")).tolist() == [True, False, True]
    assert manifest_dim("video", manifest_table("video", [rows[1]])) is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("a", b"1"), row("a", b"1")], "two rows"),
        ([replace(row("a", b"1"), modality="audio")], "modality audio"),
        ([replace(row("a", b"1"), sha256=None)], "without length or SHA-256"),
        ([row("a")], "success without a vector"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(
    local_store: ObjectStore, rows: Sequence[ManifestRow], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        write_manifest(local_store, "video", rows)
    assert local_store.list("") == []


def test_a_manifest_agrees_with_its_vectors(store: ObjectStore) -> None:
    table = manifest_table("video", [*stored(store, 10), row("x", status=Status.FAIL)])
    assert agrees(store, table, sample=100, seed=1) == []


WRONG = {
    "absent": None,
    "its SHA-256 is another": npy(unit(99)),
    "its type is <f8, not float32": npy(unit(1).astype(np.float64)),
    "its shape is (4,), not (8,)": npy(unit(1, 4)),
    "its shape is (1, 8), not (8,)": npy(unit(1)[None]),
    "cut short": npy(unit(1))[:-3],
    "not an .npy file": b"<html>",
    "header": b"\x93NUMPY\x01\x00\x04\x00{'a'",
    "its norm is 2, not 1": npy(unit(1) * 2),
    "not finite": npy(np.full(8, np.nan, dtype=np.float32)),
}


@pytest.mark.parametrize("problem", sorted(WRONG))
def test_a_vector_that_is_not_what_the_manifest_says_is_named(local_store: ObjectStore, problem: str) -> None:
    rows, raw = stored(local_store, 3), WRONG[problem]
    key = rows[1].embedding_key or ""
    if raw is None:
        local_store.delete(key)
    else:
        local_store.put(key, raw)
        if "SHA-256" not in problem:
            rows[1] = replace(rows[1], sha256=hashlib.sha256(raw).hexdigest())
    (found,) = agrees(local_store, manifest_table("video", rows), sample=3, seed=0)
    assert (found.video_id, found.key) == ("v001", key)
    assert problem in found.problem


def test_a_sample_is_no_larger_than_asked_and_the_same_for_a_seed(
    local_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = manifest_table("video", stored(local_store, 20))
    read: list[str] = []
    real_get = local_store.get
    monkeypatch.setattr(local_store, "get", lambda key: read.append(key) or real_get(key))
    for seed in (1, 1, 2):
        assert agrees(local_store, table, sample=5, seed=seed) == []
    assert read[:5] == read[5:10] != read[10:]
    assert len(read) == 15
