"""A small world for the fusion tests: videos, their vectors in a store, and a slow, simple fusion to compare with."""

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfarm_assets.embeddings.manifest import MODALITIES, ManifestRow, Modality, manifest_table
from clipfarm_assets.fusion.fused_manifest import fused_key
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectInfo, ObjectStore

AT = datetime(2026, 1, 2, tzinfo=UTC)
DIMS: dict[Modality, int] = {"video": 6, "audio": 5, "text": 4}


def unit(seed: object, dim: int) -> np.ndarray:
    number = int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8], "big")
    vector = np.random.default_rng(number).standard_normal(dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def npy(vector: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, vector)
    return stream.getvalue()


@dataclass
class Corpus:
    """Rows by modality and video, and the vectors that they point at, kept in the store."""

    store: ObjectStore
    dims: dict[Modality, int] = field(default_factory=lambda: dict(DIMS))
    rows: dict[Modality, dict[str, ManifestRow]] = field(default_factory=lambda: {m: {} for m in MODALITIES})
    vectors: dict[tuple[Modality, str], np.ndarray] = field(default_factory=dict)

    def add(self, video_id: str, *, seed: object = 0, **statuses: Status) -> None:
        """A video with a vector in each modality, but for those whose status says that there is none."""
        for modality in MODALITIES:
            self.settle(modality, video_id, statuses.get(modality, Status.SUCCESS), seed=seed)

    def settle(
        self, modality: Modality, video_id: str, status: Status, *, seed: object = 0, vector: bool | None = None
    ) -> None:
        """One modality's outcome; ``vector`` says whether it has one, where the status leaves that open."""
        row = ManifestRow(
            video_id=video_id, source_hash="h", captured_at="2026-01-01", modality=modality, embedding_key=None,
            embedding_dim=None, model_name="model", model_version="1", preprocess_version="1", status=status,
            processed_at=AT,
        )  # fmt: skip
        self.vectors.pop((modality, video_id), None)
        if status is Status.SUCCESS if vector is None else vector:
            made = unit((modality, video_id, seed), self.dims[modality])
            key, raw = f"clipfarm/embeddings/{modality}/{video_id}.npy", npy(made)
            info = self.store.put(key, raw)
            sha256 = hashlib.sha256(raw).hexdigest()
            row = replace(row, embedding_key=key, embedding_dim=len(made), etag=info.etag, sha256=sha256)
            if status.materialized:
                self.vectors[modality, video_id] = made
        self.rows[modality][video_id] = row

    def change(self, modality: Modality, video_id: str, **changes: object) -> None:
        self.rows[modality][video_id] = replace(self.rows[modality][video_id], **changes)  # type: ignore[arg-type]

    def drop(self, video_id: str) -> None:
        for modality in MODALITIES:
            self.rows[modality].pop(video_id, None)
            self.vectors.pop((modality, video_id), None)

    def manifests(self) -> dict[Modality, pa.Table]:
        return {modality: manifest_table(modality, self.rows[modality].values()) for modality in MODALITIES}

    def reference(self, strategy: str, video_id: str) -> list[float]:
        """The fused vector, one component after the other, as the contract says it."""
        parts = {modality: self.vectors.get((modality, video_id)) for modality in MODALITIES}
        mask = np.float32(parts["text"] is not None)
        if strategy == "concat":
            padded = [[np.float32(0)] * self.dims[m] if part is None else list(part) for m, part in parts.items()]
            return [*padded[0], *padded[1], *padded[2], mask]
        fused = []
        for place in range(max(self.dims.values())):
            here = [part[place] if place < len(part) else np.float32(0) for part in parts.values() if part is not None]
            if strategy == "max_pool":
                fused.append(max(here))
            else:
                total = here[0]
                for value in here[1:]:
                    total = np.float32(total + value)
                fused.append(total)
        return [*fused, mask]


def read_manifest(store: ObjectStore, strategy: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.get(fused_key(strategy))))


def fused_rows(store: ObjectStore, strategy: str) -> dict[str, dict[str, object]]:
    """Manifest and parts joined as the documentation says: by video and part. ``fused`` is None without a vector."""
    rows = read_manifest(store, strategy).to_pylist()
    parts = [info.key for info in store.list(f"clipfarm/fused/{strategy}/parts/")]
    tables = [pq.read_table(pa.BufferReader(store.get(key))) for key in parts]
    assert all(table["video_id"].to_pylist() == sorted(table["video_id"].to_pylist()) for table in tables)
    vectors: dict[tuple[str, str], object] = {}
    for row in (row for table in tables for row in table.to_pylist()):
        assert (row["video_id"], row["fused_part"]) not in vectors
        vectors[row["video_id"], row["fused_part"]] = row["fused"]
    return {row["video_id"]: row | {"fused": vectors.get((row["video_id"], row["fused_part"]))} for row in rows}


def without_pointers(store: ObjectStore, strategy: str) -> dict[str, dict[str, object]]:
    """What a user gets, wherever the vectors lie."""
    rows = fused_rows(store, strategy)
    return {name: {k: v for k, v in row.items() if k not in ("fused_part", "fused_row")} for name, row in rows.items()}


def everything(store: ObjectStore) -> dict[str, bytes | None]:
    return {info.key: store.get(info.key) for info in store.list("clipfarm/fused")}


def counted(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the vectors read from now on."""
    read: list[str] = []
    real_get, lock = store.get, threading.Lock()

    def get(key: str) -> bytes | None:
        if key.endswith(".npy"):
            with lock:
                read.append(key)
        return real_get(key)

    monkeypatch.setattr(store, "get", get)
    return read


def plain_put(store: ObjectStore) -> Callable[[str, bytes | Path], ObjectInfo]:
    """A put for setting up many files: straight to the folder where it is one of vectors."""
    real_put = store.put

    def put(key: str, content: bytes | Path) -> ObjectInfo:
        if store.root is None or isinstance(content, Path) or not key.endswith(".npy"):
            return real_put(key, content)
        path = store.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return ObjectInfo(key, len(content), None, AT)

    return put


def check_rows(corpus: Corpus, strategy: str) -> None:
    """Every video in exactly one row, sorted, and every vector equal to the reference."""
    rows = fused_rows(corpus.store, strategy)
    ids = set().union(*corpus.rows.values())
    assert read_manifest(corpus.store, strategy)["video_id"].to_pylist() == sorted(ids)
    for video_id, row in rows.items():
        there = {m: (m, video_id) in corpus.vectors for m in MODALITIES}
        assert {m: row[f"{m}_present"] for m in MODALITIES} == there
        for modality in MODALITIES:
            source = corpus.rows[modality].get(video_id)
            assert row[f"{modality}_sha256"] == (source.sha256 if source and there[modality] else None)
            assert row[f"{modality}_embedding_key"] == (source.embedding_key if source and there[modality] else None)
        if row["status"] == "success":
            assert row["fused"] == corpus.reference(strategy, video_id)
            assert row["fused_dim"] == len(row["fused"])
        else:
            assert (row["fused"], row["fused_dim"]) == (None, None)
            assert row["reason"]
