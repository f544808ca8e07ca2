"""Videos like a video, by their fused vectors: picture, sound and text together."""

import threading
from collections.abc import Container
from typing import NamedTuple

import numpy as np

from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.fusion.fused_manifest import fused_key
from clipfarm_assets.fusion.parts import FloatArray
from clipfarm_assets.fusion.vectors import read_vectors
from clipfarm_assets.search.documents import Document, item_key
from clipfarm_assets.store.object_store import ObjectStore

_PREFERRED = ("sum_pool", "max_pool", "concat")  # the shortest vectors first: all of them are kept in memory
_SPARE = 20  # some of the nearest may be deleted since


class _Kept(NamedTuple):
    etag: object
    places: dict[str, int]
    ids: list[str]
    unit: FloatArray


class FusedNeighbours:
    """Compares every fused vector of a store. They are read again where the manifest is another."""

    def __init__(self, store: ObjectStore, strategies: Container[str]) -> None:
        self._store = store
        self._strategy = next(name for name in _PREFERRED if name in strategies)
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def of(self, video_id: str, most: int) -> list[tuple[str, float]] | None:
        """The most alike videos with their cosine, best first; None where the video has no fused vector."""
        kept = self._read()
        place = kept.places.get(video_id)
        if place is None:
            return None
        cosine = kept.unit @ kept.unit[place]
        cosine[place] = -np.inf
        nearest = np.argpartition(-cosine, min(most, len(cosine) - 1))[: most + 1]
        ordered = sorted(nearest.tolist(), key=lambda at: (-cosine[at], kept.ids[at]))
        return [(kept.ids[at], float(cosine[at])) for at in ordered if at != place][:most]

    def _read(self) -> _Kept:
        info = self._store.head(fused_key(self._strategy))
        etag = (info.etag, info.size, info.modified) if info else None
        with self._lock:
            if self._kept is None or self._kept.etag != etag:
                ids, vectors = read_vectors(self._store, self._strategy)
                length = np.linalg.norm(vectors, axis=1, keepdims=True)
                unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
                self._kept = _Kept(etag, {video_id: n for n, video_id in enumerate(ids)}, ids, unit)
            return self._kept


def videos_like(room: Discovery, neighbours: FusedNeighbours, video_id: str, size: int) -> list[tuple[Document, float]]:
    """The videos most like this one that are there, with their cosine; none where it has no fused vector yet."""
    found = neighbours.of(video_id, size + _SPARE) or []
    documents = room.documents([item_key("video", other) for other, _ in found])
    pairs = [(documents.get(item_key("video", other)), cosine) for other, cosine in found]
    return [(document, cosine) for document, cosine in pairs if document is not None][:size]
