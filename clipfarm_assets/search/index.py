"""The search index: one LanceDB table in the store, and a pointer beside it that says which.

In: documents with or without vectors. Out: a table that ``query`` reads. One process of a machine writes at a time; an
item is replaced in place, and a write is whole or absent, since a table's version is. A rebuild fills a table of its
own while the old one serves and takes edits; what changed meanwhile is carried over, then the pointer, one small
object, is replaced. Killed at any moment, the index is what the pointer names.

What was written is found at once. ``optimize`` takes new rows into the indexes: rows outside are looked through one by
one, and not found through a typing error.
"""

import json
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from clipfarm_assets.errors import IndexMissing, IndexOutdated
from clipfarm_assets.search.connection import FOLDER, answer_to, connect, connect_to_read, named, place
from clipfarm_assets.search.lock import exclusive
from clipfarm_assets.search.rows import Entry, schema, to_table
from clipfarm_assets.store.object_store import ObjectStore

if TYPE_CHECKING:
    from lancedb import AsyncConnection
    from lancedb.table import AsyncTable, Table

FORMAT = 2
"""Raised with every change of columns or of how text becomes words: an index of another format is built again."""

_POINTER = f"{FOLDER}/current.json"
_PREFIX = "documents-"
_ROWS_AT_ONCE = 1_000
_KEYS_AT_ONCE = 500
_CONNECTION_SEC = 600.0  # boto3 renews credentials a quarter of an hour before they expire


@dataclass(frozen=True)
class IndexSettings:
    """How the index is kept.

    Attributes:
        exact_below: fewer vectors than this are compared one by one, which is exact; from here on HNSW answers.
        m, ef_construction: of HNSW.
        wait_sec: how long a writer waits for another.
        keep_sec: how long versions and tables that were replaced stay, for queries that still read them.
        pointer_age_sec: how old the pointer may be that a reader goes by.
    """

    exact_below: int = 20_000
    m: int = 16
    ef_construction: int = 64
    wait_sec: float = 60.0
    keep_sec: float = 600.0
    pointer_age_sec: float = 1.0


@dataclass(frozen=True)
class Pointer:
    """Which table serves, what its vectors are, and which table it replaced."""

    table: str
    model: str
    dim: int
    format: int = FORMAT
    previous: str | None = None
    switched_at: float = 0.0


@dataclass(frozen=True)
class IndexFacts:
    """What the index holds.

    Attributes:
        unindexed: rows that the next ``optimize`` takes in.
        version: raised by every write.
    """

    table: str
    model: str
    dim: int
    documents: int
    with_vector: int
    unindexed: int
    version: int


class Indexed(NamedTuple):
    """An item as it is indexed. Other ``views`` need another row, not another vector."""

    fingerprint: str
    views: int
    with_vector: bool


class SearchIndex:
    """The index of a store. Cheap to keep, one a process; safe in several threads."""

    def __init__(self, store: ObjectStore, settings: IndexSettings | None = None) -> None:
        self.settings = settings or IndexSettings()
        self._store = store
        self._place = place(store)
        self._database: Any = None
        self._connected_at = 0.0
        self._read: tuple[float, Pointer] | None = None
        self._tables: dict[str, Table] = {}
        self._reading: AsyncConnection | None = None
        self._read_tables: dict[str, AsyncTable] = {}

    def table(self) -> "Table":
        """The table that serves now, as of its latest version, to write to.

        Raises:
            IndexMissing, IndexOutdated: it has to be built.
            IndexUnavailable: it cannot be opened.
        """
        name = self.pointer().table
        self._forget_old_connection()
        table = self._tables.get(name)
        with named("be opened"):
            if table is None:
                self._tables = {name: (table := self._connection().open_table(name))}
            else:
                table.checkout_latest()  # type: ignore[no-untyped-call]
        return table

    def reader(self) -> "AsyncTable":
        """The same table for one question, to be awaited in ``answer_to``. Raises as ``table``.

        It is taken to its latest version here: LanceDB would look for a newer one at every call.
        """
        name = self.pointer().table
        self._forget_old_connection()
        return answer_to(self._opened(name))

    async def _opened(self, name: str) -> "AsyncTable":
        table = self._read_tables.get(name)
        if table is not None:
            await table.checkout_latest()  # type: ignore[no-untyped-call]
            return table
        if self._reading is None:
            self._reading = await connect_to_read(self._store)
            self._connected_at = time.monotonic()
        self._read_tables = {name: (table := await self._reading.open_table(name))}
        return table

    def pointer(self, *, fresh: bool = False) -> Pointer:
        """Which table serves, read again where what is known is older than a second. Raises as ``table``."""
        now = time.monotonic()
        if not fresh and self._read is not None and now - self._read[0] < self.settings.pointer_age_sec:
            return self._read[1]
        found = self._stored_pointer()
        if found is None:
            raise IndexMissing("There is no search index yet.")
        self._read = (now, found)
        return found

    def upsert(self, entries: Iterable[Entry]) -> int:
        """Writes documents, each in place of what was there under its key; returns how many rows were written.

        An entry without a vector leaves the item without one. All or nothing for every thousand.

        Raises:
            IndexBusy: another process wrote for longer than ``wait_sec``; nothing was written.
            DimensionMismatch: a vector does not fit.
        """
        written = 0
        with self._writing():
            table, dim = self._fresh_table(), self.pointer().dim
            for batch in _batches(entries, _ROWS_AT_ONCE):
                rows = to_table(batch, dim, table.version + 1)
                _merge(table, rows)
                written += rows.num_rows
        return written

    def delete(self, keys: Collection[str]) -> int:
        """Removes items; returns how many were there. Raises as ``upsert``."""
        from clipfarm_assets.search.filters import one_of

        with self._writing():
            table = self._fresh_table()
            before = table.count_rows()
            for batch in _batches(keys, _KEYS_AT_ONCE):
                with named("delete"):
                    table.delete(one_of("key", batch))
            return int(before - table.count_rows())

    def optimize(self) -> None:
        """Takes new rows into the indexes, joins small files, and deletes what nobody reads any more."""
        with self._writing():
            pointer, table = self.pointer(fresh=True), self._fresh_table()
            with named("be optimized"):
                self._make_indexes(table)
                table.optimize(cleanup_older_than=timedelta(seconds=self.settings.keep_sec))
                if pointer.previous and time.time() - pointer.switched_at > self.settings.keep_sec:
                    self._drop({pointer.previous})

    def rebuild(self, entries: Iterable[Entry], *, model: str, dim: int) -> IndexFacts:
        """Builds the index anew beside the one that serves, then switches.

        Edits and deletions that are made meanwhile win over ``entries``, as long as the vectors keep their length:
        an edit's vector of another model is left out, and the item is found by text until it is embedded again.

        Args:
            entries: every document there is; read once, a thousand at a time.
            model, dim: of the vectors.

        Raises:
            IndexBusy: another rebuild is under way.
        """
        with exclusive(self._place, "rebuild", self.settings.wait_sec), named("be built"):
            before = self._stored_pointer()
            self._drop_leftovers(before)
            start = self._state(before)
            name = f"{_PREFIX}{uuid4().hex[:12]}"
            new = self._connection().create_table(name, schema=schema(dim))
            for batch in _batches(entries, _ROWS_AT_ONCE):
                _merge(new, to_table(batch, dim, 0), into_empty=True)
            self._make_indexes(new)
            new.optimize(cleanup_older_than=timedelta(seconds=self.settings.keep_sec))
            with self._writing():
                self._carry_over(start, before, new, model)
                previous = before.table if before else None
                pointer = Pointer(name, model, dim, previous=previous, switched_at=time.time())
                self._store.put(_POINTER, json.dumps(asdict(pointer)).encode())
                self._read = None
        return self.facts()

    def facts(self) -> IndexFacts:
        """What the index holds. Raises as ``table``."""
        pointer, table = self.pointer(fresh=True), self.table()
        with named("be counted"):
            stats = table.index_stats("words_idx")
            return IndexFacts(
                pointer.table, pointer.model, pointer.dim, table.count_rows(), table.count_rows("vector IS NOT NULL"),
                stats.num_unindexed_rows if stats else table.count_rows(), table.version,
            )  # fmt: skip

    def waiting(self) -> int:
        """How many items say something and have no vector. Raises as ``table``."""
        table = self.table()
        with named("be counted"):
            return int(table.count_rows("vector IS NULL AND words <> ''"))

    def indexed(self) -> dict[str, Indexed]:
        """What is indexed, by key: what a caller compares with, to write only what has changed."""
        table = self.table()
        with named("be read"):
            with_vector = set(_column(table, "key", "vector IS NOT NULL"))
            rows = table.search().select(["key", "fingerprint", "views"]).limit(None).to_arrow()
        columns = (rows[name].to_pylist() for name in ("key", "fingerprint", "views"))
        return {key: Indexed(mark, views, key in with_vector) for key, mark, views in zip(*columns, strict=True)}

    def _stored_pointer(self) -> Pointer | None:
        content = self._store.get(_POINTER)
        if content is None:
            return None
        try:
            found = Pointer(**json.loads(content))
        except (ValueError, TypeError):
            raise IndexOutdated(f"{_POINTER} cannot be read.") from None
        if found.format != FORMAT:
            raise IndexOutdated(f"The search index has format {found.format}, and this version reads {FORMAT}.")
        return found

    def _connection(self) -> Any:
        if self._database is None:
            self._database, self._connected_at = connect(self._store), time.monotonic()
        return self._database

    def _forget_old_connection(self) -> None:
        """S3's credentials may expire, and a connection keeps those that it was opened with."""
        if self._store.root is None and time.monotonic() - self._connected_at > _CONNECTION_SEC:
            self._database, self._tables = None, {}
            self._reading, self._read_tables = None, {}

    def _writing(self) -> Any:
        return exclusive(self._place, "write", self.settings.wait_sec)

    def _fresh_table(self) -> "Table":
        """The table that serves, asked for under the lock: a rebuild may just have switched."""
        self.pointer(fresh=True)
        return self.table()

    def _make_indexes(self, table: "Table") -> None:
        """Makes the indexes that are not there yet; HNSW only where there are enough vectors to be worth it."""
        from lancedb.index import FTS, Bitmap, BTree, HnswSq, LabelList

        by_words = FTS(
            base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False, ascii_folding=False,
            max_token_length=None,
        )  # fmt: skip
        wanted: dict[str, Any] = dict.fromkeys(("words", "spelled", "prefixes"), by_words)
        wanted |= {name: BTree() for name in ("key", "created_us", "broadcaster_id", "creator_id")}
        wanted |= {"game_id": Bitmap(), "language": Bitmap(), "kind": Bitmap(), "tag_keys": LabelList()}
        if table.count_rows("vector IS NOT NULL") >= self.settings.exact_below:
            wanted["vector"] = HnswSq(
                distance_type="cosine", num_partitions=1, m=self.settings.m,
                ef_construction=self.settings.ef_construction,
            )  # fmt: skip
        there = {column for index in table.list_indices() for column in index.columns}
        for column, config in wanted.items():
            if column not in there:
                table.create_index(column, config=config)

    def _state(self, pointer: Pointer | None) -> tuple[int, set[str]]:
        """Version and keys of the table that serves when a rebuild begins."""
        if pointer is None:
            return 0, set()
        table = self._connection().open_table(pointer.table)
        version = int(table.version)
        return version, set(_column(table, "key"))

    def _carry_over(self, start: tuple[int, set[str]], before: Pointer | None, new: "Table", model: str) -> None:
        """Writes into the new table what was written to the old one since, and deletes what was deleted."""
        from clipfarm_assets.search.filters import one_of

        if before is None:
            return
        import pyarrow as pa

        version, keys = start
        old = self._connection().open_table(before.table)
        rows = old.search().where(f"written > {version}").limit(None).to_arrow()
        if rows.num_rows:
            columns = {name: rows[name] for name in new.schema.names}
            if before.model != model or old.schema.field("vector").type != new.schema.field("vector").type:
                columns["vector"] = pa.nulls(rows.num_rows, new.schema.field("vector").type)
            _merge(new, pa.table(columns, schema=new.schema))
        for gone in _batches(sorted(keys - set(_column(old, "key"))), _KEYS_AT_ONCE):
            new.delete(one_of("key", gone))

    def _drop_leftovers(self, pointer: Pointer | None) -> None:
        """Deletes tables that a killed rebuild left; called with the rebuild's lock held."""
        serving = {pointer.table, pointer.previous} if pointer else set()
        names = self._connection().list_tables(limit=1_000).tables
        self._drop({name for name in names if name.startswith(_PREFIX)} - serving)

    def _drop(self, names: Collection[str | None]) -> None:
        there = set(self._connection().list_tables(limit=1_000).tables)
        for name in there.intersection(names):
            self._connection().drop_table(name)


def _merge(table: "Table", rows: Any, *, into_empty: bool = False) -> None:
    with named("be written"):
        if rows.num_rows:
            merge = table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all()
            merge.use_index(False).execute(rows, on_bad_vectors="null")


def _column(table: "Table", column: str, where: str | None = None) -> list[str]:
    query = table.search().select([column]).limit(None)
    found: list[str] = (query.where(where) if where else query).to_arrow()[column].to_pylist()
    return found


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
