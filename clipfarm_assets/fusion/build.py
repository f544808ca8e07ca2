"""Makes the fused manifests anew from the embedding manifests, reading only the vectors that changed.

What comes in: the three embedding manifests, and the ``.npy`` files of videos whose embeddings changed. What goes
out: for each strategy, ``fused_manifest.parquet`` and ``schema.json``, each replaced whole. Rows whose inputs are as
they were keep their vector and their ``processed_at``; a manifest in which nothing changed is not written. A video
that the embedding manifests do not have any more is not in the fused ones either: that is how it is forgotten.

What can go wrong: vectors of differing lengths stop the build before anything is written (``dimensions``); a store
that does not answer stops it, and the previous manifests stay.
"""

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipfarm_assets.embeddings.manifest import MODALITIES, Modality
from clipfarm_assets.fusion.dimensions import Manifests, guarded_dims, schema_content, schema_key
from clipfarm_assets.fusion.fused_manifest import (
    ROWS_PER_GROUP,
    FloatArray,
    FusedWriter,
    IndexArray,
    Previous,
    facts_schema,
    fused_key,
)
from clipfarm_assets.fusion.plan import FusedStatus, Plan, make_plan
from clipfarm_assets.fusion.strategies import BoolArray, Strategy, strategy
from clipfarm_assets.fusion.vectors import READ_THREADS, VectorReader
from clipfarm_assets.store.object_store import ObjectStore


@dataclass(frozen=True)
class FusionReport:
    """What one strategy's build did.

    Attributes:
        key: of the fused manifest.
        dim: length of its vectors, the text mask included.
        made: rows whose inputs are new or changed.
        reused: rows that kept their outcome, vector and ``processed_at``.
        removed: videos of the previous manifest that are not in this one.
        by_status: number of rows of each status.
        written: False where nothing at all had changed.
        data_version: SHA-256 over every video and what its row was made of.
        files_read: ``.npy`` files read, by all strategies of the build together.
        seconds: wall-clock time of the whole build, which its strategies share.
    """

    strategy: str
    key: str
    dim: int
    rows: int
    made: int
    reused: int
    removed: int
    by_status: dict[str, int]
    written: bool
    data_version: str
    files_read: int
    seconds: float


@dataclass
class _Job:
    """One strategy's part of a build. ``kept`` says which row of the previous manifest each row keeps; -1 for none."""

    strategy: Strategy
    dim: int
    facts: pa.Table
    previous: Previous | None
    kept: IndexArray
    writer: FusedWriter | None = None
    by_status: Counter[str] = field(default_factory=Counter)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def unchanged(self) -> bool:
        return self.previous is not None and self.facts.equals(self.previous.facts)


def build_fused(
    store: ObjectStore,
    strategies: Sequence[str],
    manifests: Manifests,
    *,
    accept_new_dimensions: bool = False,
    now: datetime | None = None,
) -> tuple[FusionReport, ...]:
    """Replaces the fused manifest of each strategy; one report each, in the order asked for.

    Args:
        store: where the vectors lie and the fused manifests go.
        strategies: names of ``strategies.STRATEGIES``.
        manifests: of all three modalities, as ``read_manifest`` gives them. Every video of any is in one row.
        accept_new_dimensions: take the manifests' vector lengths though ``schema.json`` says others.
        now: what ``processed_at`` says of the rows made here; the current time where None.

    Raises:
        DimensionMismatch: vectors that belong together differ in length; nothing is written.
        ConfigurationError: a strategy is not known.
        StoreError: the store fails; manifests that were not replaced yet stay as they were.
    """
    started, now = time.monotonic(), now or datetime.now(UTC)
    chosen = [strategy(name) for name in dict.fromkeys(strategies)]
    dims = guarded_dims(store, chosen, manifests, accept_new_dimensions=accept_new_dimensions)
    plan = make_plan(manifests, dims)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clipfarm-fusion-")))
        jobs = [_start(one, plan, stack.enter_context(store.local_file(fused_key(one.name))), now) for one in chosen]
        reader = VectorReader(store, plan, stack.enter_context(ThreadPoolExecutor(READ_THREADS)))
        with ExitStack() as open_files:
            for job in jobs:
                if not job.unchanged:
                    job.writer = open_files.enter_context(FusedWriter(folder / job.strategy.name, job.dim))
            for start in range(0, len(plan.facts), ROWS_PER_GROUP):
                _fuse_group(jobs, plan, reader, start)
        for job in jobs:
            _publish(store, job, schema_content(job.strategy, dims, manifests))
    seconds = time.monotonic() - started
    return tuple(_report(job, reader.files_read, seconds) for job in jobs)


def _start(one: Strategy, plan: Plan, path: Path | None, now: datetime) -> _Job:
    """Finds what of the previous manifest still holds."""
    dim = one.dim(plan.dims)
    hashes = pa.array(plan.source_hashes(one.name), pa.string())
    previous = Previous.open(path, dim)
    ids = plan.facts["video_id"]
    kept: IndexArray = np.full(len(ids), -1, dtype=np.int64)
    processed_at = pa.repeat(pa.scalar(now, pa.timestamp("us", tz="UTC")), len(ids))
    if previous is not None:
        before = pc.index_in(ids, value_set=previous.facts["video_id"].combine_chunks()).combine_chunks()
        same = pc.fill_null(pc.equal(previous.facts["source_hash"].take(before), hashes), False).combine_chunks()
        kept = np.asarray(pc.if_else(same, before.cast(pa.int64()), -1))
        processed_at = pc.if_else(same, previous.facts["processed_at"].take(before), processed_at)
    fused = pa.array([status is FusedStatus.SUCCESS for status in plan.statuses], pa.bool_())
    columns = dict(zip(plan.facts.column_names, plan.facts.columns, strict=True)) | {
        "source_hash": hashes,
        "fusion_strategy": pa.repeat(one.name, len(ids)),
        "fused_dim": pc.if_else(fused, pa.scalar(dim, pa.int32()), pa.scalar(None, pa.int32())),
        "status": pa.array([status.value for status in plan.statuses], pa.string()),
        "reason": pa.array(plan.reasons, pa.string()),
        "processed_at": processed_at,
    }
    schema = facts_schema(dim)
    facts = pa.table([columns[name] for name in schema.names], schema=schema)
    return _Job(one, dim, facts, previous, kept)


@dataclass(frozen=True)
class _Group:
    """Rows ``start`` to ``stop`` of a plan: which can be fused, and the vectors of ``rows``, read for some strategy."""

    start: int
    stop: int
    fusable: BoolArray
    rows: IndexArray
    vectors: dict[Modality, FloatArray]


def _fuse_group(jobs: Sequence[_Job], plan: Plan, reader: VectorReader, start: int) -> None:
    """Makes one row group of every strategy; a vector that several of them need is read once."""
    stop = min(start + ROWS_PER_GROUP, len(plan.facts))
    fusable = np.array([status is FusedStatus.SUCCESS for status in plan.statuses[start:stop]])
    wanted = np.zeros(stop - start, dtype=np.bool_)
    for job in jobs:
        wanted |= fusable & (job.kept[start:stop] < 0)
    rows = np.flatnonzero(wanted) + start
    vectors, problems = reader.read(rows.tolist())
    group = _Group(start, stop, fusable, rows, vectors)
    for job in jobs:
        facts = _with_problems(job.facts.slice(start, stop - start), start, job.kept, problems)
        job.by_status.update(facts["status"].to_pylist())
        for video_id, source_hash in zip(facts["video_id"].to_pylist(), facts["source_hash"].to_pylist(), strict=True):
            job.digest.update(f"{video_id} {source_hash}\n".encode())
        if job.writer is not None:
            job.writer.write(facts, _group_vectors(job, plan, group))


def _group_vectors(job: _Job, plan: Plan, group: _Group) -> FloatArray:
    """The fused vectors of a group, shape (rows, dim), zeros where there is none; kept ones copied, others made."""
    kept = job.kept[group.start : group.stop]
    out = np.zeros((len(kept), job.dim), dtype=np.float32)
    copied = np.flatnonzero(group.fusable & (kept >= 0))
    if job.previous is not None and len(copied):
        job.previous.copy_vectors(kept[copied], out, copied)
    mine = job.kept[group.rows] < 0
    if mine.any():
        made = group.rows[mine]
        parts = {modality: group.vectors[modality][mine] for modality in MODALITIES}
        out[made - group.start] = job.strategy.fuse(parts, {m: plan.present[m][made] for m in MODALITIES})
    return out


def _with_problems(facts: pa.Table, start: int, kept: IndexArray, problems: dict[int, str]) -> pa.Table:
    """The facts with the rows pending whose vector cannot be read; without a hash, they are made at the next build."""
    broken = {row - start: why for row, why in problems.items() if kept[row] < 0}
    if not broken:
        return facts
    changes = {"status": FusedStatus.PENDING.value, "source_hash": None, "fused_dim": None}
    for name in ("status", "source_hash", "fused_dim", "reason"):
        values = facts[name].to_pylist()
        for place, why in broken.items():
            values[place] = why if name == "reason" else changes[name]
        index = facts.schema.get_field_index(name)
        facts = facts.set_column(index, facts.schema.field(index), pa.array(values, facts.schema.field(index).type))
    return facts


def _publish(store: ObjectStore, job: _Job, schema: bytes) -> None:
    """The guard first: a crash in between leaves lengths that the next build makes true, not ones that block it."""
    key = schema_key(job.strategy.name)
    if store.get(key) != schema:
        store.put(key, schema)
    if job.writer is not None:
        store.put(fused_key(job.strategy.name), job.writer.path)


def _report(job: _Job, files_read: int, seconds: float) -> FusionReport:
    rows, reused = len(job.facts), int((job.kept >= 0).sum())
    before = set() if job.previous is None else set(job.previous.facts["video_id"].to_pylist())
    return FusionReport(
        strategy=job.strategy.name,
        key=fused_key(job.strategy.name),
        dim=job.dim,
        rows=rows,
        made=rows - reused,
        reused=reused,
        removed=len(before.difference(job.facts["video_id"].to_pylist())),
        by_status=dict(sorted(job.by_status.items())),
        written=job.writer is not None,
        data_version=job.digest.hexdigest(),
        files_read=files_read,
        seconds=seconds,
    )
