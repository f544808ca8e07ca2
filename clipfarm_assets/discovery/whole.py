"""All items: the table of documents, and the index made to say what the table says.

The table, ``clipfarm/search/documents.parquet``, has a row an item. What of it has not changed is taken from the last
one, so that a build reads and embeds what is new; the index in turn is written where it differs from the table.
"""

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.discovery.items import clip_documents, edited, source_document, written_of
from clipfarm_assets.discovery.room import Discovery, Refreshed, entry
from clipfarm_assets.discovery.vectors import Embedded
from clipfarm_assets.errors import IndexMissing, IndexOutdated, ModelError, ProviderError
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.search.documents import Document, discovery_text, fingerprint, item_key
from clipfarm_assets.search.index import Indexed, IndexFacts
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.text_provider.interface import Cause, TextFailure

DOCUMENTS_KEY = "clipfarm/search/documents.parquet"
_READERS = 16
_AT_ONCE = 1_000

_TEXTS = tuple(f.name for f in fields(Document) if f.name not in ("tags", "created_at", "views"))
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        *((name, pa.string()) for name in _TEXTS),
        ("tags", pa.list_(pa.string())),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("views", pa.int64()),
        ("edited", pa.bool_()),
        ("source_version", pa.string()),
        ("fingerprint", pa.string()),
        ("embedding_model", pa.string()),
        ("embedding_generated_at", pa.timestamp("us", tz="UTC")),
        ("embedding_error", pa.string()),
    ]
)


@dataclass(frozen=True)
class Known:
    """A row of the table. ``source_version``: data version of ``enriched_metadata``, "" for a clip."""

    document: Document
    fingerprint: str
    source_version: str = ""
    edited: bool = False
    model: str | None = None
    embedded_at: datetime | None = None
    error: str | None = None

    @property
    def waits(self) -> bool:
        """It says something, and has no vector."""
        return self.embedded_at is None and bool(discovery_text(self.document))


@dataclass
class Gathered:
    """The new table.

    Attributes:
        read: documents that were read anew.
        embedded: vectors that were made.
        refusal: why no vector could be made any more; what has none is found by its words.
    """

    rows: list[Known] = field(default_factory=list)
    read: int = 0
    embedded: int = 0
    refusal: str = ""


@dataclass(frozen=True)
class Synced:
    """What was done to the index. ``waiting``: items that have a vector of a model that does not serve yet."""

    facts: IndexFacts
    written: int = 0
    deleted: int = 0
    rebuilt: bool = False
    waiting: int = 0


def gather(
    room: Discovery, videos: Iterable[Video], versions: Mapping[str, str], *, embed: bool = True,
    awaited: Callable[[Sequence[str]], Collection[str]] = lambda video_ids: (),
) -> Gathered:  # fmt: skip
    """Every document there is, with the state of its vector; missing vectors are made and stored.

    A provider that refuses, or a cache that is away, costs vectors and no document.

    Args:
        videos: the rows that are not removed.
        versions: data version of what enrichment made of each video.
        embed: False leaves missing vectors to others.
        awaited: which of these videos get their vector from a run that is still to come, and would get it twice.
    """
    before = {row.document.key: row for row in read_documents(room.store)}
    gathered = Gathered()
    with room.database.read() as session:
        written = written_of(session)
        sources = _sources(room.store, videos, versions, before, set(written), gathered)
        of_videos = {video_id: edited(source, written) for video_id, source in sources}
        clips = list(clip_documents(session, of_videos))
    model = room.model()[0]
    rows = []
    for document in (*of_videos.values(), *clips):
        old = before.get(document.key)
        mark = fingerprint(document)
        version = versions.get(document.id, "") if document.kind == "video" else ""
        row = Known(document, mark, version, document.kind == "video" and document.id in written)
        if old is not None and old.fingerprint == mark and old.model == model and old.embedded_at is not None:
            row = replace(row, model=model, embedded_at=old.embedded_at)
        rows.append(row)
    gathered.rows = list(_embedded(room, rows, gathered, awaited)) if embed else rows
    return gathered


def sync(room: Discovery, rows: Sequence[Known], *, rebuild: bool = False) -> Synced:
    """Makes the index say what the rows say: what changed is replaced, what is gone is deleted.

    It is built anew where there is none, where it was built by other rules, or where it serves vectors of another
    model and all of this one's are there; until then the old one serves, and what is new is found by its words.

    Raises:
        IndexBusy, IndexUnavailable: it cannot be written; what was written stays.
    """
    model, dim = room.model()
    waiting = sum(row.waits for row in rows)
    try:
        pointer = room.index.pointer(fresh=True)
        there = room.index.indexed()
    except (IndexMissing, IndexOutdated):
        rebuild = True
    else:
        rebuild = rebuild or (pointer.model != model and not waiting)
    if rebuild:
        return Synced(room.index.rebuild(_entries(room, rows, model), model=model, dim=dim), len(rows), 0, True)
    other = pointer.model != model
    changed = [row for row in rows if not _is_indexed(row, there.get(row.document.key), other)]
    gone = sorted(there.keys() - {row.document.key for row in rows})
    gone = [key for key in gone if key not in room.documents(gone)] if gone else []  # made since the rows were
    written = room.index.upsert(_entries(room, changed, pointer.model)) if changed else 0
    deleted = room.index.delete(gone) if gone else 0
    if written or deleted or room.index.facts().unindexed:
        room.index.optimize()
    return Synced(room.index.facts(), written, deleted, False, waiting if other else 0)


def sync_clips(room: Discovery, clip_ids: Collection[str]) -> Refreshed:
    """Brings these clips up to date in the index, and those that came or went since it was last written."""
    try:
        indexed = {key.partition("/")[2] for key in room.index.indexed() if key.startswith("clip/")}
    except (IndexMissing, IndexOutdated):
        return Refreshed()
    with room.database.read() as session:
        there = set(session.scalars(select(Clip.id)))
    return room.refresh([item_key("clip", clip_id) for clip_id in sorted((indexed ^ there) | set(clip_ids))])


def read_documents(store: ObjectStore) -> list[Known]:
    """The rows of the last table; none where there is none yet, or one of another shape."""
    content = store.get(DOCUMENTS_KEY)
    if content is None:
        return []
    table = pq.read_table(io.BytesIO(content))
    return [_known(row) for row in table.to_pylist()] if table.schema.equals(SCHEMA) else []


def to_table(rows: Sequence[Known]) -> pa.Table:
    """The rows by key."""
    ordered = sorted(rows, key=lambda row: row.document.key)
    return pa.Table.from_pylist([_plain(row) for row in ordered], schema=SCHEMA)


def to_parquet(table: pa.Table) -> bytes:
    """The table as zstd Parquet."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _sources(
    store: ObjectStore, videos: Iterable[Video], versions: Mapping[str, str], before: Mapping[str, Known],
    written: set[str], gathered: Gathered,
) -> list[tuple[str, Document]]:  # fmt: skip
    """Documents without what persons wrote; read where enrichment made another, or where a person did write."""

    def one(video: Video) -> tuple[str, Document]:
        old, version = before.get(f"video/{video.video_id}"), versions.get(video.video_id, "")
        if old is not None and version and old.source_version == version and not old.edited:
            return video.video_id, replace(old.document, views=video.view_count or 0)
        gathered.read += 1
        return video.video_id, source_document(store, video)

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(one, videos))


def _embedded(
    room: Discovery, rows: Iterable[Known], gathered: Gathered, awaited: Callable[[Sequence[str]], Collection[str]]
) -> Iterator[Known]:
    for some in _groups(rows):
        missing = [row for row in some if row.waits]
        later = set(awaited([row.document.id for row in missing if row.document.kind == "video"])) if missing else set()
        missing = [row for row in missing if row.document.kind != "video" or row.document.id not in later]
        found = dict(zip([row.document.key for row in missing], _vectors(room, missing, gathered), strict=True))
        gathered.embedded += sum(each.made for each in found.values())
        for row in some:
            each = found.get(row.document.key)
            if each is None:
                yield row
            elif each.vector is not None:
                yield replace(row, model=each.model, embedded_at=each.at)
            else:
                yield replace(row, error=each.failure.what if each.failure else None)


def _vectors(room: Discovery, rows: Sequence[Known], gathered: Gathered) -> list[Embedded]:
    """The rows' vectors; nobody is asked again who has refused one of them all."""
    if rows and not gathered.refusal:
        try:
            return room.vectors.current([row.document for row in rows])
        except (ProviderError, ModelError) as error:
            gathered.refusal = error.what
    return [Embedded(None, failure=TextFailure(Cause.UNAVAILABLE, gathered.refusal)) for _ in rows]


def _entries(room: Discovery, rows: Iterable[Known], model: str) -> Iterator[Entry]:
    """The rows with their vectors as the store has them now, and with what persons wrote in the meantime."""
    for some in _groups(rows):
        documents = list(room.documents([row.document.key for row in some]).values())
        for document, each in zip(documents, room.vectors.stored(documents), strict=True):
            yield entry(document, each or Embedded(None), model)


def _is_indexed(row: Known, there: Indexed | None, other_model: bool) -> bool:
    """The entry is as it should be; where a vector of another model still serves, but for the vector."""
    if there is None or (there.fingerprint, there.views) != (row.fingerprint, row.document.views):
        return False
    return other_model or there.with_vector == (row.embedded_at is not None)


def _groups(rows: Iterable[Known]) -> Iterator[list[Known]]:
    waiting = iter(rows)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some


def _plain(row: Known) -> dict[str, Any]:
    document = row.document
    plain = {name: _text(getattr(document, name)) for name in _TEXTS}
    return plain | {
        "key": document.key, "tags": [_text(tag) for tag in document.tags], "created_at": document.created_at,
        "views": document.views, "edited": row.edited, "source_version": row.source_version,
        "fingerprint": row.fingerprint, "embedding_model": row.model, "embedding_generated_at": row.embedded_at,
        "embedding_error": row.error,
    }  # fmt: skip


def _known(row: Mapping[str, Any]) -> Known:
    document = Document(
        **{name: row[name] for name in _TEXTS}, tags=tuple(row["tags"]), created_at=row["created_at"],
        views=row["views"],
    )  # fmt: skip
    return Known(
        document, row["fingerprint"], row["source_version"], row["edited"], row["embedding_model"],
        row["embedding_generated_at"], row["embedding_error"],
    )  # fmt: skip


def _text(value: str) -> str:
    return value.encode("utf-8", "ignore").decode("utf-8")
