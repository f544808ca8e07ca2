"""Texts through cache and provider: what is known is not asked for, what is asked for is kept at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.measures import Measures
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.text_provider.cache import FileCache, RedisCache, VectorCache
from clipfarm_assets.text_provider.interface import (
    Answers,
    Cause,
    Identity,
    Outcome,
    Provider,
    ProviderSettings,
    TextFailure,
)

_CHARACTERS_A_TOKEN = 4  # English; other scripts take more tokens: an estimate says what a run costs at least


class Embedded(NamedTuple):
    """What became of one text. ``cached``: nothing was asked for it."""

    place: int
    outcome: Outcome
    cached: bool


@dataclass(frozen=True)
class Estimate:
    """What embedding some texts would take. ``cost_usd`` is None without a price; a local model has none of these."""

    texts: int
    cached: int
    requests: int
    tokens: int
    minutes: float
    cost_usd: float | None


class Embedder:
    """Embeds texts, each different one at most once.

    Attributes:
        identity: of all vectors that it gives.
    """

    def __init__(
        self, provider: Provider, cache: VectorCache, settings: ProviderSettings, measures: Measures | None = None
    ) -> None:
        self.identity: Identity = provider.identity
        self._provider, self._cache, self._settings = provider, cache, settings
        self._measures = measures or Measures()

    def embed(self, texts: Sequence[str]) -> list[Outcome]:
        """What became of each text, in their order. Raises as ``stream``."""
        outcomes = {each.place: each.outcome for each in self.stream(texts)}
        return [outcomes[place] for place in range(len(texts))]

    def stream(self, texts: Sequence[str]) -> Iterator[Embedded]:
        """What became of each text, as it is ready; a vector is in the cache before it is given.

        Raises:
            ProviderError: provider or cache cannot be used at all.
        """
        cleaned = [clean(text) for text in texts]
        known, places = self._known(cleaned)
        for text, vector in known.items():
            yield from (Embedded(place, vector, True) for place in places.pop(text))
        empty = TextFailure(Cause.EMPTY, "The text is empty.")
        yield from (Embedded(place, empty, True) for place in places.pop("", []))
        missing = list(places)
        self._measures.cache(len(known), len(missing))

        def keep(group: Answers) -> None:
            self._cache.put({self.identity.key(missing[n]): o for n, o in group if not isinstance(o, TextFailure)})

        for group in self._provider.embed(missing, keep) if missing else ():
            for number, outcome in group:
                yield from (Embedded(place, outcome, False) for place in places[missing[number]])

    def estimate(self, texts: Sequence[str]) -> Estimate:
        """What ``embed`` would take now; asks nobody."""
        known, places = self._known([clean(text) for text in texts])
        missing = [text for text in places if text and text not in known]
        tokens = sum(ceil(len(text) / _CHARACTERS_A_TOKEN) for text in missing)
        is_api = self.identity.provider == "openai"
        requests = ceil(len(missing) / self._settings.texts_per_request) if is_api else 0
        price = self._settings.price_usd
        return Estimate(
            len(missing), len(known), requests, tokens, requests / self._settings.requests_per_minute,
            None if price is None or not is_api else tokens * price / 1e6,
        )  # fmt: skip

    def forget(self, texts: Sequence[str]) -> None:
        """Takes texts out of the cache, as of a deleted item."""
        self._cache.forget([self.identity.key(clean(text)) for text in texts])

    def prune(self) -> None:
        """Deletes from the cache what is too old to be used."""
        self._cache.prune()

    def _known(
        self, texts: Sequence[str]
    ) -> tuple[dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"], dict[str, list[int]]]:
        """Vectors that the cache has, by text, and the places of every text."""
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(text, []).append(place)
        keys = {self.identity.key(text): text for text in places if text}
        found = self._cache.get(list(keys))
        return {keys[key]: vector for key, vector in found.items() if vector.shape == (self.identity.dim,)}, places


def provider_settings(settings: Settings) -> ProviderSettings:
    """How this deployment embeds the texts of discovery."""
    return ProviderSettings(
        provider=settings.embedding_provider, model=settings.embedding_model, dim=settings.embedding_dimensions,
        api_key=settings.openai_api_key, base_url=settings.openai_base_url,
        requests_per_minute=settings.embedding_requests_per_minute, folder=settings.embedding_folder,
        redis_url=settings.embedding_redis_url, price_usd=settings.embedding_price_usd,
    )  # fmt: skip


def open_cache(provider: ProviderSettings) -> VectorCache:
    """The cache that embedders of these settings share. Raises as ``RedisCache``."""
    if provider.redis_url is not None:
        return RedisCache(provider.redis_url, provider.cache_days)
    return FileCache(provider.folder / "vectors.sqlite", provider.cache_days)


def open_embedder(
    provider: ProviderSettings, settings: Settings, store: ObjectStore | None, measures: Measures | None = None
) -> Embedder:
    """The embedder that the settings name.

    Raises:
        ConfigurationError: there is no such provider, or an API has no key.
        ModelUnavailable, ModelMismatch: of a local model.
    """
    cache = open_cache(provider)
    if provider.provider == "openai":
        from clipfarm_assets.text_provider.openai_api import open_openai

        return Embedder(open_openai(provider, measures), cache, provider, measures)
    if provider.provider != "sentence-transformers":
        raise ConfigurationError(
            f"There is no embedding provider {provider.provider!r}.",
            hint="Set EMBEDDING_PROVIDER to sentence-transformers or openai.",
        )
    from clipfarm_assets.embeddings.text import load_text_encoder
    from clipfarm_assets.text_provider.local import LocalProvider

    own = settings.model_copy(update={"text_model": provider.model})
    encoder = load_text_encoder(resolve_models(own, store).text, own, store)
    return Embedder(LocalProvider(encoder), cache, provider, measures)


def clean(text: str) -> str:
    """The text as it is embedded: without lone surrogates, NULs and white space around it."""
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\x00", " ").strip()
