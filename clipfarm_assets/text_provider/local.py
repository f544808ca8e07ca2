"""A sentence-transformers model on this machine: the project's own text model, each text one vector."""

from collections.abc import Callable, Iterator, Sequence

from clipfarm_assets.embeddings.text import TextEncoder
from clipfarm_assets.text_provider.interface import Answers, Cause, Identity, TextFailure

_TEXTS_AT_ONCE = 64


class LocalProvider:
    """Embeds with ``TextEncoder.embed_sentences``: L2-normalised, long texts in windows."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.identity = Identity("sentence-transformers", encoder.ref.name, encoder.ref.revision, encoder.dim // 2)

    def embed(self, texts: Sequence[str], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """See ``Provider``."""
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            rows = self._encoder.embed_sentences(texts[start : start + _TEXTS_AT_ONCE])
            answers: Answers = [(start + i, row if row.any() else _NOTHING) for i, row in enumerate(rows)]
            keep(answers)
            yield answers


_NOTHING = TextFailure(Cause.REJECTED, "The model makes no vector of this text.")
