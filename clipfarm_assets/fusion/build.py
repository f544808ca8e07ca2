"""Makes the fused manifests anew from the embedding manifests, reading and writing only the vectors that changed.

What comes in: the three embedding manifests, and the ``.npy`` files of videos whose embeddings changed. What goes out,
for each strategy: new parts with the vectors that were made, ``schema.json``, and ``fused_manifest.parquet``, which
points into new and old parts and is replaced whole, last. Rows whose inputs are as they were keep their vector and
their ``processed_at``; a manifest in which nothing changed is not written. A video that the embedding manifests do not
have any more is not in the fused ones either: that is how it is forgotten.

A build may die at any moment: what is in place is the manifest of before with all its parts, or the new one with all
of its own. Parts that lie there for nothing are swept by later builds.

What can go wrong: vectors of differing lengths stop the build before anything is written (``dimensions``); a store
that does not answer stops it, and the previous manifests stay; so does a manifest that another build has replaced
meanwhile. A part that is lost or broken costs its own rows only, which are made again.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipfarm_assets.embeddings.manifest import MODALITIES, count_values
from clipfarm_assets.errors import StoreError
from clipfarm_assets.fusion.dimensions import Manifests, guarded_dims, schema_contents, schema_key
from clipfarm_assets.fusion.fused_manifest import (
    FUSED_SCHEMA,
    FusedManifest,
    fused_key,
    read_fused,
    table_sha256,
    write_fused,
)
from clipfarm_assets.fusion.inputs import READ_THREADS, InputReader
from clipfarm_assets.fusion.parts import (
    ROWS_PER_PART,
    IndexArray,
    PartUnreadable,
    PartWriter,
    Pointers,
    list_parts,
    read_part,
    sweep,
    to_rewrite,
)
from clipfarm_assets.fusion.plan import FusedStatus, Plan, make_plan
from clipfarm_assets.fusion.strategies import BoolArray, Strategy, strategy
from clipfarm_assets.store.object_store import ObjectInfo, ObjectStore

_COLUMNS = ("video_id", "source_hash", "processed_at", "fused_part", "fused_row")  # what a build must know of before


@dataclass(frozen=True)
class FusionReport:
    """What one strategy's build did.

    Attributes:
        key: of the fused manifest.
        dim: length of its vectors, the text mask included.
        made: rows whose inputs are new or changed.
        reused: rows that kept their outcome, vector and ``processed_at``.
        removed: videos of the previous manifest that are not in this one.
        moved: of the vectors reused, those that were copied into a new part.
        parts: number of parts that the manifest points into.
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
    moved: int
    parts: int
    by_status: dict[str, int]
    written: bool
    data_version: str
    files_read: int
    seconds: float


@dataclass
class _Job:
    """One strategy's part of a build.

    Attributes:
        found: the manifest's object as it was when the build began; None where there was none.
        listed: the parts that were in the store then.
        before: for each row, the row of the previous manifest that it keeps; -1 for none.
        old: the parts that the previous manifest uses, and how many rows of each; without ``unusable`` ones.
        unusable: parts that are broken; they go at once.
        pointers: where each row's vector lies; they are completed as parts are written.
    """

    strategy: Strategy
    dim: int
    found: ObjectInfo | None
    previous: FusedManifest | None
    listed: Mapping[str, ObjectInfo]
    before: IndexArray
    old: Mapping[str, int]
    unusable: Collection[str]
    pointers: Pointers
    made: BoolArray
    writer: PartWriter
    moved: int = 0
    rows: pa.Table = field(default_factory=FUSED_SCHEMA.empty_table)
    written: bool = False


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
        StoreError: the store fails, or another build came in between; manifests that were not replaced yet stay as
            they were.
    """
    started, now = time.monotonic(), now or datetime.now(UTC)
    chosen = [strategy(name) for name in dict.fromkeys(strategies)]
    dims = guarded_dims(store, chosen, manifests, accept_new_dimensions=accept_new_dimensions)
    plan = make_plan(manifests, dims)
    unusable: set[str] = set()
    while True:
        try:
            jobs, files_read = _fuse(store, chosen, plan, unusable, now)
            break
        except PartUnreadable as error:  # nothing is published yet: start again without it
            unusable.add(error.key)
    facts_sha256, schemas = table_sha256(plan.facts), schema_contents(chosen, dims, manifests)
    for job in jobs:
        _publish(store, job, schemas[job.strategy.name], facts_sha256)
    seconds = time.monotonic() - started
    return tuple(_report(job, files_read, seconds) for job in jobs)


def _fuse(
    store: ObjectStore, chosen: Sequence[Strategy], plan: Plan, unusable: set[str], now: datetime
) -> tuple[list[_Job], int]:
    """Writes the parts that are needed and settles every row; a vector that several strategies need is read once."""
    jobs = [_start(store, one, plan, unusable) for one in chosen]
    for job in jobs:
        _move(store, job, int((job.made & plan.fusable).sum()))
    problems: dict[int, str] = {}
    wanted = np.flatnonzero(np.logical_or.reduce([job.made for job in jobs]) & plan.fusable)
    with ThreadPoolExecutor(READ_THREADS) as pool:
        reader = InputReader(store, plan, pool)
        for start in range(0, len(wanted), ROWS_PER_PART):
            rows = wanted[start : start + ROWS_PER_PART]
            vectors, broken = reader.read(rows.tolist())
            problems |= broken
            whole = np.array([row not in broken for row in rows.tolist()], dtype=np.bool_)
            for job in jobs:
                mine = job.made[rows] & whole
                parts = {modality: vectors[modality][mine] for modality in MODALITIES}
                present = {modality: plan.present[modality][rows[mine]] for modality in MODALITIES}
                job.writer.add(rows[mine], job.strategy.fuse(parts, present))
    for job in jobs:
        job.writer.flush()
        job.rows = _rows(job, plan, problems, now)
    return jobs, reader.files_read


def _start(store: ObjectStore, one: Strategy, plan: Plan, unusable: set[str]) -> _Job:
    """Finds what of the previous manifest still holds."""
    ids, hashes, count = plan.facts["video_id"].combine_chunks(), plan.facts["source_hash"], len(plan.facts)
    dim, found, listed = one.dim(plan.dims), store.head(fused_key(one.name)), list_parts(store, one.name)
    previous = read_fused(store, one.name, _COLUMNS)
    before: IndexArray = np.full(count, -1, dtype=np.int64)
    pointers, old = Pointers.none(count), dict[str, int]()
    if previous is not None and len(previous.rows):
        place = pc.index_in(ids, value_set=previous.rows["video_id"].combine_chunks())
        same = pc.fill_null(pc.equal(previous.rows["source_hash"].combine_chunks().take(place), hashes), False)
        before = np.where(np.asarray(same), np.asarray(place.fill_null(-1)).astype(np.int64), -1)
        pointers = Pointers.of(previous.rows)
        old = {key: count for key, count in pointers.live().items() if key not in unusable}
        pointers = pointers.take(before)
        lost = np.array([key in unusable or key not in listed for key in pointers.keys], dtype=np.bool_)
        without = (pointers.part >= 0) & np.append(lost, False)[pointers.part]
        before[without], pointers.part[without] = -1, -1
    writer = PartWriter(store, one.name, dim, ids, hashes.combine_chunks(), listed, pointers)
    return _Job(one, dim, found, previous, listed, before, old, unusable, pointers, before < 0, writer)


def _move(store: ObjectStore, job: _Job, added: int) -> None:
    """Takes old vectors up into the new parts where too much around them is dead, or their part is small.

    A build that changes nothing in which vectors there are moves none.
    """
    live = job.pointers.live()
    if not added and live == job.old:
        return
    for key in to_rewrite(live, added):
        rows = job.pointers.rows_of(key)
        part = read_part(store, key)
        job.writer.add(rows, part.vectors[job.pointers.row[rows]])
        job.moved += len(rows)


def _rows(job: _Job, plan: Plan, problems: Mapping[int, str], now: datetime) -> pa.Table:
    """The manifest's rows; pending, without a hash, where a vector cannot be read: made at the next build."""
    count = len(plan.facts)
    processed_at = pa.repeat(pa.scalar(now, FUSED_SCHEMA.field("processed_at").type), count)
    if job.previous is not None:
        kept = pa.array(job.before, mask=job.before < 0)
        processed_at = pc.coalesce(job.previous.rows["processed_at"].combine_chunks().take(kept), processed_at)
    columns = dict(zip(plan.facts.column_names, plan.facts.columns, strict=True)) | {
        "fusion_strategy": pa.repeat(job.strategy.name, count),
        "fused_dim": pa.array(np.full(count, job.dim, dtype=np.int32), mask=job.pointers.part < 0),
        "processed_at": processed_at,
        **job.pointers.columns(),
    }
    mine = [row for row in problems if job.made[row]]
    if mine:
        broken = np.zeros(count, dtype=np.bool_)
        broken[mine] = True
        reasons = pa.array([problems.get(row) for row in range(count)], pa.string())
        columns["source_hash"] = pc.if_else(broken, pa.scalar(None, pa.string()), columns["source_hash"])
        columns["status"] = pc.if_else(broken, FusedStatus.PENDING.value, columns["status"])
        columns["reason"] = pc.if_else(broken, reasons, columns["reason"])
    return pa.table([columns[name] for name in FUSED_SCHEMA.names], schema=FUSED_SCHEMA)


def _publish(store: ObjectStore, job: _Job, schema: bytes, facts_sha256: str) -> None:
    """The guard first: a crash in between leaves lengths that the next build makes true, not ones that block it."""
    name, previous = job.strategy.name, job.previous
    key = schema_key(name)
    if store.get(key) != schema:
        store.put(key, schema)
    used = set(job.pointers.live())
    superseded = frozenset(job.unusable) | (frozenset() if previous is None else previous.retired)
    job.written = previous is None or bool(job.made.any()) or facts_sha256 != previous.facts_sha256
    if job.written:
        if _etag(store.head(fused_key(name))) != _etag(job.found):
            raise StoreError(
                f"Another build replaced {store.location(fused_key(name))} meanwhile.",
                hint="Materialize fused_manifest again. One build at a time is enough.",
            )
        write_fused(store, name, FusedManifest(job.rows, frozenset(job.old.keys() - used), facts_sha256))
        sweep(store, job.listed, (used, job.old), superseded)
    else:
        sweep(store, job.listed, (used, superseded), ())


def _etag(info: ObjectInfo | None) -> str | None:
    return None if info is None else info.etag


def _report(job: _Job, files_read: int, seconds: float) -> FusionReport:
    rows, reused, ids = len(job.rows), int((job.before >= 0).sum()), job.rows["video_id"].combine_chunks()
    gone = 0
    if job.previous is not None:
        gone = pc.index_in(job.previous.rows["video_id"], value_set=ids).null_count
    return FusionReport(
        strategy=job.strategy.name,
        key=fused_key(job.strategy.name),
        dim=job.dim,
        rows=rows,
        made=rows - reused,
        reused=reused,
        removed=gone,
        moved=job.moved,
        parts=len(job.pointers.live()),
        by_status=count_values(job.rows["status"]),
        written=job.written,
        data_version=table_sha256(job.rows.select(["video_id", "source_hash"])),
        files_read=files_read,
        seconds=seconds,
    )
