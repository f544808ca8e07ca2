"""Discovery vectors in the store: ``clipfarm/embeddings/discovery/<kind>/<id>.npy``, each knowing what it is made of.

A vector's identity holds the key of its text in the cache, so that what is current is told without any model, and a
deleted item can be forgotten by the cache.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from clipfarm_assets.embeddings.vectors import from_npy, to_npy
from clipfarm_assets.errors import ProviderError
from clipfarm_assets.search.documents import Document, Kind, discovery_text
from clipfarm_assets.search.rows import Vector
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Artifacts, Identity, Made, Versions
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.text_provider.cache import VectorCache
from clipfarm_assets.text_provider.embedder import Embedder, clean
from clipfarm_assets.text_provider.interface import Cause, Outcome, TextFailure

STAGE = "discovery_embedding"
_READERS = 16


@dataclass(frozen=True)
class Embedded:
    """What is there of an item: a vector, or why there is none. ``made`` says that it was not in the store before."""

    vector: Vector | None
    model: str = ""
    at: datetime | None = None
    failure: TextFailure | None = None
    made: bool = False


def vector_key(kind: Kind, item_id: str) -> str:
    """Where an item's vector lies."""
    return f"clipfarm/embeddings/discovery/{kind}/{item_id}.npy"


class DiscoveryVectors:
    """The vectors of one deployment. ``embedder`` gives None where a setting turns embedding off."""

    def __init__(self, store: ObjectStore, embedder: Callable[[], Embedder | None]) -> None:
        self._store, self._artifacts, self.embedder = store, Artifacts(store), embedder

    def stored(self, documents: Sequence[Document]) -> list[Embedded | None]:
        """The current vector of each document, in order, where the store has it; asks no provider."""
        embedder = self.embedder()
        if embedder is None:
            return [None] * len(documents)
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(lambda document: self._stored(document, embedder), documents))

    def current(self, documents: Sequence[Document], *, force: bool = False) -> list[Embedded]:
        """The current vector of each document, in order, made and stored where it is missing.

        Raises:
            ProviderError: the provider refuses key or model, or its cache cannot be used.
        """
        embedder = self.embedder()
        if embedder is None:
            return [Embedded(None) for _ in documents]
        found = [None] * len(documents) if force else self.stored(documents)
        missing = [document for document, there in zip(documents, found, strict=True) if there is None]
        made = iter(self._embed(missing, embedder))
        return [next(made) if there is None else there for there in found]

    def of_stage(self, documents: Sequence[Document]) -> list[Made | TextFailure]:
        """What the per-video stage stores of each document; a failure of the text where there is no vector.

        Raises:
            ProviderError: as ``current``.
        """
        embedder = self.embedder()
        if embedder is None:
            return [Made(None, Status.TURNED_OFF) for _ in documents]
        outcomes = embed(embedder, [discovery_text(document) for document in documents])
        pairs = zip(documents, outcomes, strict=True)
        return [o if isinstance(o, TextFailure) else _made(document, o, embedder) for document, o in pairs]

    def forget(self, kind: Kind, item_id: str, cache: VectorCache | None) -> None:
        """Deletes an item's vector from the store, and from the cache."""
        key = vector_key(kind, item_id)
        identity = self._artifacts.identity(key)
        cached = identity.details.get("cache_key") if identity else None
        if cache is not None and isinstance(cached, str):
            cache.forget([cached])
        self._artifacts.forget(key)

    def _stored(self, document: Document, embedder: Embedder) -> Embedded | None:
        key = vector_key(document.kind, document.id)
        identity = self._artifacts.identity(key)
        if identity is None or not is_current(identity, document, embedder):
            return None
        content = self._store.get(key)
        if content is None:
            return None
        return Embedded(from_npy(content), str(embedder.identity), datetime.fromisoformat(identity.made_at))

    def _embed(self, documents: Sequence[Document], embedder: Embedder) -> list[Embedded]:
        outcomes = embed(embedder, [discovery_text(document) for document in documents])
        pairs = list(zip(documents, outcomes, strict=True))
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(lambda pair: self._keep(pair[0], pair[1], embedder), pairs))

    def _keep(self, document: Document, outcome: Outcome, embedder: Embedder) -> Embedded:
        if isinstance(outcome, TextFailure):
            return Embedded(None, failure=outcome)
        key = vector_key(document.kind, document.id)
        before = self._artifacts.identity(key)  # of the stage, which goes on to prove what it has asked for
        identity = self._artifacts.put(
            key, _made(document, outcome, embedder), stage=STAGE, video_id=document.id,
            source_hash=before.source_hash if before else "", versions=before.versions if before else Versions(""),
        )  # fmt: skip
        return Embedded(outcome, str(embedder.identity), datetime.fromisoformat(identity.made_at), made=True)


def embed(embedder: Embedder, texts: Sequence[str]) -> list[Outcome]:
    """As the embedder; a provider that refuses key or model is the platform's trouble, not that of the texts."""
    outcomes = embedder.embed(texts) if texts else []
    for outcome in outcomes:
        if isinstance(outcome, TextFailure) and outcome.cause is Cause.DENIED:
            raise ProviderError(outcome.what, hint="Check EMBEDDING_MODEL, OPENAI_API_KEY and OPENAI_BASE_URL.")
    return outcomes


def is_current(identity: Identity, document: Document, embedder: Embedder) -> bool:
    """Whether a stored vector is of the document's text, by this embedder."""
    return identity.key is not None and identity.details.get("cache_key") == _cache_key(document, embedder)


def _cache_key(document: Document, embedder: Embedder) -> str:
    return embedder.identity.key(clean(discovery_text(document)))


def _made(document: Document, vector: Vector, embedder: Embedder) -> Made:
    return Made(
        to_npy(vector),
        details={
            "embedding_dim": len(vector), "embedding_model": str(embedder.identity),
            "cache_key": _cache_key(document, embedder),
        },
    )  # fmt: skip
