"""Fused vectors in Parquet parts, each written once and never changed: ``clipfarm/fused/<strategy>/parts/*.parquet``.

A build writes the vectors that it made as new parts, so that it costs what has changed, and then a manifest that
points into old and new ones. A part has up to ``ROWS_PER_PART`` rows sorted by ``video_id``, in one row group without
dictionary or compression (vectors do not shrink), with the columns

- ``video_id``, ``source_hash``: whose vector it is, and of what it was made, as in the manifest,
- ``fused_part``: the part's own key, so that manifest and parts join by ``video_id`` and ``fused_part``,
- ``fused``: the vector, float32.

Rows that no manifest points at any more stay in a part until it is rewritten. Every build rewrites some such parts,
those with the largest dead share first, and merges small ones (``to_rewrite``). Nothing deletes a part while it may be
read: see ``sweep``.

A part's name is made of what is in it, so the same build gives the same parts on every store; where an unused part has
that name already, a number is added, and a build never takes up a name that another could be about to delete.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clipfarm_assets.errors import StoreError
from clipfarm_assets.store.object_store import ObjectInfo, ObjectStore

ROWS_PER_PART = 2_048  # 19 MB of 2305 components: one request to S3, and one video is read with few others
_REWRITTEN_SHARE = 1 / 32  # of all vectors: more are moved by one build only where it makes more
_LEFTOVER_AGE = timedelta(days=1)  # no build takes as long: its parts have a manifest by then, or never will

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]


class PartUnreadable(StoreError):
    """A part that a manifest points at is gone or broken."""

    def __init__(self, store: ObjectStore, key: str, why: str) -> None:
        super().__init__(
            f"{store.location(key)}: {why}.",
            hint="Delete it if it is there; the next materialization of fused_manifest makes its vectors again.",
        )
        self.key = key


@dataclass(frozen=True)
class Part:
    """A part in memory.

    Attributes:
        vectors: shape (rows, dim), float32.
    """

    video_ids: pa.Array
    source_hashes: pa.Array
    vectors: FloatArray


@dataclass
class Pointers:
    """Where the vectors of n rows lie: ``part``, shape (n,), counts in ``keys``, -1 where there is no vector."""

    keys: list[str]
    part: IndexArray
    row: IndexArray

    @classmethod
    def none(cls, count: int) -> "Pointers":
        return cls([], np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64))

    @classmethod
    def of(cls, rows: pa.Table) -> "Pointers":
        """Those of a manifest's rows; ``fused_part`` and ``fused_row`` are read."""
        coded = rows["fused_part"].combine_chunks().dictionary_encode()
        part = np.asarray(coded.indices.fill_null(-1)).astype(np.int64)
        row = np.asarray(rows["fused_row"].combine_chunks().fill_null(0)).astype(np.int64)
        return cls(coded.dictionary.to_pylist(), part, row)

    def take(self, rows: IndexArray) -> "Pointers":
        """Those of ``rows``, in that order; none where a row is -1."""
        if not len(self.part):
            return Pointers.none(len(rows))
        there = rows >= 0
        return Pointers(list(self.keys), np.where(there, self.part[rows], -1), np.where(there, self.row[rows], 0))

    def columns(self) -> dict[str, pa.Array]:
        """As columns of a manifest."""
        absent = self.part < 0
        part = pa.DictionaryArray.from_arrays(pa.array(self.part, mask=absent), pa.array(self.keys, pa.string()))
        return {
            "fused_part": part.cast(pa.string()),
            "fused_row": pa.array(self.row.astype(np.int32), mask=absent),
        }

    def live(self) -> dict[str, int]:
        """For each part that is pointed at, how many of its rows are."""
        counts = np.bincount(self.part[self.part >= 0], minlength=len(self.keys)).tolist()
        return {key: count for key, count in zip(self.keys, counts, strict=True) if count}

    def rows_of(self, key: str) -> IndexArray:
        """The rows that point into a part, ascending."""
        return np.flatnonzero(self.part == self.keys.index(key))


def parts_prefix(strategy: str) -> str:
    """Where the parts of a strategy lie."""
    return f"clipfarm/fused/{strategy}/parts/"


def part_schema(dim: int) -> pa.Schema:
    """The columns of a part with vectors of ``dim`` components."""
    vector = pa.list_(pa.field("element", pa.float32(), nullable=False), dim)
    names = ("video_id", "source_hash", "fused_part")
    return pa.schema([*(pa.field(name, pa.string(), nullable=False) for name in names), pa.field("fused", vector)])


def rows_in(key: str) -> int:
    """How many rows a part has, dead ones with them, as its name says: ``…/<digest>-<rows>.parquet``."""
    name = key.rsplit("/", 1)[-1].removesuffix(".parquet")
    return int(name.split("-")[1])


def list_parts(store: ObjectStore, strategy: str) -> dict[str, ObjectInfo]:
    """The parts of a strategy that are in the store, by key."""
    return {info.key: info for info in store.list(parts_prefix(strategy)) if info.key.endswith(".parquet")}


def read_part(store: ObjectStore, key: str) -> Part:
    """A part whole; PartUnreadable where it is absent or not one."""
    with store.local_file(key) as path:
        if path is None:
            raise PartUnreadable(store, key, "the part is not there")
        try:
            table = pq.ParquetFile(path).read(columns=["video_id", "source_hash", "fused"])
            column = table["fused"].combine_chunks()
            vectors = column.values.to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        except (pa.ArrowException, OSError, KeyError, AttributeError, ValueError) as error:
            raise PartUnreadable(store, key, "the part cannot be read") from error
    if len(table) != rows_in(key):
        raise PartUnreadable(store, key, f"the part has {len(table)} rows and not what its name says")
    return Part(table["video_id"].combine_chunks(), table["source_hash"].combine_chunks(), vectors)


def may_move(live: Mapping[str, int], added: int) -> int:
    """How many old vectors a build may copy into new parts.

    As many as it makes, so that dead rows never grow beyond the live ones; as many as one part has, so that a removed
    video's vector goes with it; and a share of all, so that what many removals have left is gone after some builds.
    """
    return max(ROWS_PER_PART, added, int(sum(live.values()) * _REWRITTEN_SHARE))


def to_rewrite(live: Mapping[str, int], added: int) -> list[str]:
    """Which parts a build takes up into its new ones.

    First those with dead rows, the largest dead share first; then small ones, smallest first, each while it is no
    larger than what is gathered so far. The new part is then at least twice as large as each that went into it, so a
    vector is moved log2(``ROWS_PER_PART``) times at most for being in a small one.

    Args:
        live: for each part in use, how many of its rows are.
        added: vectors that the build makes; nothing is rewritten for a small part's sake where there are none.
    """
    budget, chosen, moved = may_move(live, added), list[str](), 0
    with_dead = sorted((count / rows_in(key), key) for key, count in live.items() if count < rows_in(key))
    small = sorted((count, key) for key, count in live.items() if count == rows_in(key) and count < ROWS_PER_PART)
    for key in (key for _, key in with_dead):
        if moved + live[key] <= budget:
            chosen.append(key)
            moved += live[key]
    for count, key in small:
        if count > added + moved or moved + count > budget:
            break
        chosen.append(key)
        moved += count
    return chosen


def sweep(
    store: ObjectStore, listed: Mapping[str, ObjectInfo], used: Iterable[Collection[str]], retired: Collection[str]
) -> None:
    """Deletes parts that no reader and no build can need.

    Args:
        listed: the parts that were there when the build began.
        used: the parts of the manifest in place, and of the one before it, which a reader may have just opened.
        retired: parts of a manifest older than these. What else is unused was left by a build that died, or belongs to
            one that goes on at this moment by mistake: it is deleted when it is a day old.
    """
    kept, latest = set[str]().union(*used), datetime.now(UTC) - _LEFTOVER_AGE
    for key, info in listed.items():
        if key not in kept and (key in retired or info.modified <= latest):
            store.delete(key)


class PartWriter:
    """Gathers vectors, puts them in the store as parts, and notes in ``pointers`` where each lies.

    ``ids`` and ``hashes`` are those of all rows of the manifest to be, sorted by id; ``taken`` are keys that no new
    part may have.
    """

    def __init__(
        self, store: ObjectStore, strategy: str, dim: int, ids: pa.Array, hashes: pa.Array, taken: Collection[str],
        pointers: Pointers,
    ) -> None:  # fmt: skip
        self.written: list[str] = []
        self._store = store
        self._prefix = parts_prefix(strategy)
        self._dim = dim
        self._ids = ids
        self._hashes = hashes
        self._taken = taken
        self._pointers = pointers
        self._vectors = np.empty((ROWS_PER_PART, dim), dtype=np.float32)
        self._rows = np.empty(ROWS_PER_PART, dtype=np.int64)
        self._count = 0

    def add(self, rows: IndexArray, vectors: FloatArray) -> None:
        """Takes up the vectors, shape (n, dim), of ``rows``, shape (n,)."""
        while len(rows):
            fits = ROWS_PER_PART - self._count
            stop = self._count + len(rows[:fits])
            self._rows[self._count : stop], self._vectors[self._count : stop] = rows[:fits], vectors[:fits]
            self._count, rows, vectors = stop, rows[fits:], vectors[fits:]
            if self._count == ROWS_PER_PART:
                self.flush()

    def flush(self) -> None:
        """Writes what is gathered."""
        if not self._count:
            return
        order = np.argsort(self._rows[: self._count])
        rows, vectors = self._rows[order], self._vectors[order]
        ids, hashes = self._ids.take(pa.array(rows)), self._hashes.take(pa.array(rows))
        key = self._new_key(ids, hashes)
        self._store.put(key, _part_content(key, ids, hashes, vectors))
        self.written.append(key)
        self._pointers.part[rows] = len(self._pointers.keys)
        self._pointers.row[rows] = np.arange(len(rows))
        self._pointers.keys.append(key)
        self._count = 0

    def _new_key(self, ids: pa.Array, hashes: pa.Array) -> str:
        said = "\n".join([*ids.to_pylist(), *hashes.to_pylist()])
        stem = f"{self._prefix}{hashlib.sha256(said.encode()).hexdigest()[:16]}-{len(ids)}"
        key, number = f"{stem}.parquet", 1
        while key in self._taken:
            key, number = f"{stem}-{number}.parquet", number + 1
        return key


def _part_content(key: str, ids: pa.Array, hashes: pa.Array, vectors: FloatArray) -> bytes:
    schema = part_schema(vectors.shape[1])
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=schema.field("fused").type)
    table = pa.table([ids, hashes, pa.repeat(key, len(ids)), column], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, use_dictionary=False, compression="none", write_statistics=["video_id"], row_group_size=len(ids)
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content
