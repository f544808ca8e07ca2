"""What a query means: the vector of its text, by the model whose vectors the index serves."""

from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.errors import ClipfarmError, ModelError, ProviderError
from clipfarm_assets.search.rows import Vector
from clipfarm_assets.text_provider.interface import TextFailure


def question_vector(room: Discovery, text: str) -> tuple[Vector | None, str | None]:
    """The vector of a query's text, or in words for the user why it cannot be had.

    Raises:
        IndexMissing, IndexOutdated: there is no index to ask.
    """
    pointer = room.index.pointer()
    try:
        embedder = room.embedder()
        if embedder is None:
            return None, "Embedding is turned off."
        if str(embedder.identity) != pointer.model:
            return None, "The vectors of the configured model are still being made."
        outcome = embedder.embed([text])[0]
    except (ProviderError, ModelError) as error:
        return None, _said(error)
    return (None, outcome.what) if isinstance(outcome, TextFailure) else (outcome, None)


def _said(error: ClipfarmError) -> str:
    return error.what
