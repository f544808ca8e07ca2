"""Single items, brought up to date at once: what an edit, a new clip or a deletion asks for."""

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.discovery import Written, forget, override
from clipfarm_assets.database.discovery_tables import Tombstone
from clipfarm_assets.discovery.items import (
    clip_documents,
    clips_of_video,
    edited,
    source_document,
    videos_of_clips,
    written_of,
)
from clipfarm_assets.discovery.vectors import DiscoveryVectors, Embedded
from clipfarm_assets.errors import IndexMissing, IndexOutdated, ModelError, ProviderError
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.search.documents import Document, Kind, item_key
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.text_provider.cache import VectorCache
from clipfarm_assets.text_provider.embedder import Embedder

Videos = Callable[[Collection[str]], dict[str, Video]]


@dataclass(frozen=True)
class Refreshed:
    """What became of some items. ``without``: why items that say something have no vector."""

    indexed: int = 0
    embedded: int = 0
    deleted: int = 0
    without: dict[str, str] = field(default_factory=dict)


class Discovery:
    """Search, its documents and its vectors, of one deployment. Safe in several threads."""

    def __init__(
        self, store: ObjectStore, database: Database, videos: Videos,
        open_embedder: Callable[[], Embedder | None], open_cache: Callable[[], VectorCache | None],
    ) -> None:  # fmt: skip
        self.store, self.database, self._videos = store, database, videos
        self._open_embedder, self._open_cache = open_embedder, open_cache
        self._opening = threading.Lock()
        self.index = SearchIndex(store)
        self.vectors = DiscoveryVectors(store, self.embedder)

    @cached_property
    def _embedder(self) -> Embedder | None:
        return self._open_embedder()

    def embedder(self) -> Embedder | None:
        """What texts are embedded by, opened once; None where a setting turns it off. Raises as ``open_embedder``."""
        with self._opening:
            return self._embedder

    def model(self) -> tuple[str, int]:
        """What an index of this deployment is built for: the vectors' maker and their length."""
        embedder = self.embedder()
        return ("none", 1) if embedder is None else (str(embedder.identity), embedder.identity.dim)

    def documents(self, keys: Collection[str]) -> dict[str, Document]:
        """The items as they are now, by key; absent where there is no such item, or it is deleted."""
        ids: dict[str, list[str]] = {"video": [], "clip": []}
        for key in keys:
            kind, _, item_id = key.partition("/")
            ids[kind].append(item_id)
        with self.database.read() as session:
            of_clips = videos_of_clips(session, ids["clip"]) if ids["clip"] else {}
            rows = self._videos({*ids["video"], *of_clips.values()})
            written = written_of(session)
            videos = {
                v: edited(source_document(self.store, row), written) for v, row in rows.items() if not row.removed
            }
            clips = list(clip_documents(session, videos, ids["clip"])) if ids["clip"] else []
        found = [videos[video_id] for video_id in ids["video"] if video_id in videos]
        return {document.key: document for document in (*found, *clips)}

    def refresh(self, keys: Collection[str], *, ask: bool = True) -> Refreshed:
        """Brings just these items of the index up to date: text at once, the vector with it where one can be had.

        A provider that is out of reach costs the vector, not the text; the next run makes it. Without an index there
        is nothing to do: the run that builds it takes everything. Without ``ask`` only vectors of the store are used.
        """
        try:
            pointer = self.index.pointer(fresh=True)
        except (IndexMissing, IndexOutdated):
            return Refreshed()
        found = self.documents(keys)
        documents = list(found.values())
        vectors, without = self._vectors(documents, ask)
        for document, each in zip(documents, vectors, strict=True):
            if each.failure is not None:
                without[document.key] = each.failure.what
        written = self.index.upsert(
            entry(document, each, pointer.model) for document, each in zip(documents, vectors, strict=True)
        )
        gone = [key for key in keys if key not in found]
        deleted = self.index.delete(gone) if gone else 0
        return Refreshed(written, sum(each.made for each in vectors), deleted, without)

    def edit(self, video_id: str, written: Written, now: datetime) -> Refreshed:
        """Keeps what a person wrote of a video, and indexes and embeds that item alone."""
        with self.database.write() as session:
            override(session, "video", video_id, written, now)
        return self.refresh([item_key("video", video_id)])

    def delete_video(self, video_id: str, now: datetime) -> None:
        """A person deletes a video: found nowhere from now on. Its files go with the next removal run."""
        self.forget_video(video_id, "http", now)

    def forget_video(self, video_id: str, why: str, now: datetime) -> None:
        """Takes a video and its clips from database, index, cache and store, and leaves tombstones.

        The tombstone of the video comes first: whatever is killed here, the next removal run does it again.
        """
        with self.database.write() as session:
            clip_ids = clips_of_video(session, video_id)
            forget(session, "video", video_id, "http" if why == "http" else "metadata", now)
            tombstone = session.get_one(Tombstone, ("video", video_id))
            if why == "http":
                tombstone.why = "http"
            for clip_id in clip_ids:
                forget(session, "clip", clip_id, "http" if why == "http" else "metadata", now)
        items: list[tuple[Kind, str]] = [("video", video_id), *(("clip", clip_id) for clip_id in clip_ids)]
        with suppress(IndexMissing, IndexOutdated):  # nothing is found in an index that is not there
            self.index.delete([item_key(kind, item_id) for kind, item_id in items])
        cache = self._open_cache()
        for kind, item_id in items:
            self.vectors.forget(kind, item_id, cache)

    def _vectors(self, documents: Sequence[Document], ask: bool) -> tuple[list[Embedded], dict[str, str]]:
        try:
            if not ask:
                return [each or Embedded(None) for each in self.vectors.stored(documents)], {}
            return self.vectors.current(documents), {}
        except (ProviderError, ModelError) as error:
            return [Embedded(None)] * len(documents), {document.key: error.what for document in documents}


def entry(document: Document, each: Embedded, model: str) -> Entry:
    """The item for an index of this model; vectors of another are never mixed in."""
    return Entry(document, each.vector, each.at) if each.model == model else Entry(document)
