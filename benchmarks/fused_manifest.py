"""The fan-in over 1 % new, changed or removed videos, against one over all of them, in one process, one after another.

``python -m benchmarks.fused_manifest [VIDEOS]`` takes fewer than the 100,000 of ``python -m benchmarks``. Vectors are
768 components each, three a video, all three strategies; the ``.npy`` files are written once and kept in the temporary
folder (4 KB a file on most disks). Everything is in the page cache: what is compared is work, not the disk.
"""

import hashlib
import io
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.__main__ import show
from benchmarks.measure import Row, Timing, in_turn
from clipfarm_assets.embeddings.manifest import MANIFEST_SCHEMA, MODALITIES, Modality, agrees
from clipfarm_assets.fusion.build import build_fused
from clipfarm_assets.fusion.fused_manifest import fused_counts
from clipfarm_assets.fusion.vectors import read_vectors
from clipfarm_assets.fusion.verify import fused_problems
from clipfarm_assets.store.object_store import ObjectStore, open_store

VIDEOS = 100_000
STRATEGIES = ("concat", "sum_pool", "max_pool")
_DIM = 768
_AT = datetime(2026, 1, 2, tzinfo=UTC)
_STEPS = 4  # builds of each kind

Manifests = dict[Modality, pa.Table]


def run(videos: int = VIDEOS) -> list[Row]:
    folder = Path(tempfile.gettempdir()) / f"clipfarm-benchmark-{videos}"
    store = open_store(folder.as_uri())
    whole = _vectors(store, folder, videos)
    few = videos // 100
    shutil.rmtree(folder / "clipfarm/fused", ignore_errors=True)
    now = {modality: table.slice(0, videos - few * _STEPS) for modality, table in whole.items()}
    full = _timed(lambda: build_fused(store, STRATEGIES, now))
    rows = [
        Row("full build, CPU seconds", full.cpu_sec, note=f"{len(now['video']):,} videos, three strategies"),
        Row("full build, wall seconds", full.wall_sec),
    ]
    rng = np.random.default_rng(7)
    for kind in ("new", "changed", "removed"):
        timings = []
        for step in range(_STEPS):
            count = len(now["video"])
            if kind == "new":
                now = {modality: table.slice(0, count + few) for modality, table in whole.items()}
            chosen = rng.choice(count, few, replace=False)
            if kind == "changed":
                now = {modality: _changed(table, chosen, step) for modality, table in now.items()}
            if kind == "removed":
                now = {modality: table.filter(_all_but(chosen, count)) for modality, table in now.items()}
            latest = now
            timings.append(_timed(lambda latest=latest: build_fused(store, STRATEGIES, latest)))
        rows += _shares(kind, timings, full)
    same = _timed(lambda: build_fused(store, STRATEGIES, now))
    rows.append(Row("nothing new ÷ full, CPU", same.cpu_sec / full.cpu_sec, 0.05))
    return rows + _readers(store, now)


def _shares(kind: str, timings: list[Timing], full: Timing) -> list[Row]:
    cpu, wall = [t.cpu_sec / full.cpu_sec for t in timings], [t.wall_sec / full.wall_sec for t in timings]
    return [
        Row(f"1 % {kind} ÷ full, CPU", statistics.median(cpu), 0.05, note=f"median of {len(cpu)}, most {max(cpu):.3f}"),
        Row(f"1 % {kind} ÷ full, wall", statistics.median(wall), 0.05, note=f"most {max(wall):.3f}"),
    ]


def _readers(store: ObjectStore, now: Manifests) -> list[Row]:
    one = now["video"]["video_id"][len(now["video"]) // 2].as_py()
    dims = dict.fromkeys(MODALITIES, _DIM)
    timings = in_turn(
        {
            "all": lambda: read_vectors(store, "concat"),
            "one": lambda: read_vectors(store, "concat", [one]),
            "check of the fused manifests": lambda: [fused_problems(store, s, dims, seed=1) for s in STRATEGIES],
            "check of the .npy files": lambda: [agrees(store, table, 64, 1) for table in now.values()],
            "counts by status": lambda: fused_counts(store, "concat"),
        },
        rounds=3,
    )
    size = sum(info.size for info in store.list("clipfarm/fused/concat/parts")) / 1e6
    live = len(now["video"]) * (3 * _DIM + 1) * 4 / 1e6
    return [
        *(Row(f"{name}, milliseconds", timing.wall_sec * 1000) for name, timing in timings.items()),
        Row("parts of concat in the store ÷ vectors in use", size / live, note=f"{size:.0f} MB, retired ones included"),
    ]


def _timed(way: Callable[[], object]) -> Timing:
    return in_turn({"": way}, rounds=1)[""]


def _vectors(store: ObjectStore, folder: Path, videos: int) -> Manifests:
    """The three manifests of all videos, and the ``.npy`` files that they point at, made where they are not there."""
    found: Manifests = {}
    for seed, modality in enumerate(MODALITIES):
        kept = folder / f"{modality}.parquet"
        if not kept.exists():
            pq.write_table(_make(folder, modality, videos, seed), kept)
        found[modality] = pq.read_table(kept)
    return found


def _make(folder: Path, modality: Modality, videos: int, seed: int) -> pa.Table:
    rng, ids, hashes = np.random.default_rng(seed), [f"v{number:07d}" for number in range(videos)], []
    place = folder / "clipfarm/embeddings" / modality
    place.mkdir(parents=True, exist_ok=True)
    for video_id in ids:
        vector = rng.standard_normal(_DIM).astype(np.float32)
        stream = io.BytesIO()
        np.save(stream, vector / np.linalg.norm(vector))
        (place / f"{video_id}.npy").write_bytes(stream.getvalue())
        hashes.append(hashlib.sha256(stream.getvalue()).hexdigest())
    return _table(modality, ids, hashes)


def _table(modality: Modality, ids: list[str], hashes: list[str]) -> pa.Table:
    columns = {
        "video_id": ids, "source_hash": hashes, "captured_at": ["2026-01-01T00:00:00Z"] * len(ids),
        "modality": [modality] * len(ids),
        "embedding_key": [f"clipfarm/embeddings/{modality}/{video_id}.npy" for video_id in ids],
        "embedding_dim": [_DIM] * len(ids), "model_name": [f"model/{modality}"] * len(ids),
        "model_version": ["dc740ceda42fce44faed2ea03c6d447db72f6af9"] * len(ids),
        "preprocess_version": ["1"] * len(ids), "status": ["success"] * len(ids), "processed_at": [_AT] * len(ids),
        "etag": [value[:32] for value in hashes], "sha256": hashes, "upstream_status": [None] * len(ids),
        "reason": [None] * len(ids),
    }  # fmt: skip
    return pa.table(columns, schema=MANIFEST_SCHEMA)


def _changed(table: pa.Table, rows: np.ndarray, step: int) -> pa.Table:
    """The rows get the vectors of their neighbours."""
    order = np.arange(len(table))
    order[rows] = (rows + step + 1) % len(table)
    for name in ("source_hash", "embedding_key", "etag", "sha256"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), table[name].take(pa.array(order)))
    return table.combine_chunks()


def _all_but(rows: np.ndarray, count: int) -> pa.Array:
    kept = np.ones(count, dtype=np.bool_)
    kept[rows] = False
    return pa.array(kept)


if __name__ == "__main__":
    show("fused_manifest", run(int(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS))
