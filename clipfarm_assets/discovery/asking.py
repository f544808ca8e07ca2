"""What a query means: the vector of its text, by the model whose vectors the index serves."""

from typing import NamedTuple

from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.errors import ModelError, ProviderError
from clipfarm_assets.search.rows import Vector
from clipfarm_assets.text_provider.interface import TextFailure


class Meaning(NamedTuple):
    """The vector of a query's text, or ``why`` there is none, in words."""

    vector: Vector | None
    why: str | None = None


def meaning(room: Discovery, text: str) -> Meaning:
    """What a query's text means.

    Raises:
        IndexMissing, IndexOutdated: there is no index to ask.
    """
    pointer = room.index.pointer()
    try:
        embedder = room.embedder()
        if embedder is None:
            return Meaning(None, "Embedding is turned off.")
        if str(embedder.identity) != pointer.model:
            return Meaning(None, "The vectors of the configured model are still being made.")
        (outcome,) = embedder.embed([text])
    except (ProviderError, ModelError) as error:
        return Meaning(None, error.what)
    if isinstance(outcome, TextFailure):
        return Meaning(None, outcome.what)
    return Meaning(outcome)
