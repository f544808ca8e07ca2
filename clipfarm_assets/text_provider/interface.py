"""What a provider of text vectors is, and what becomes of one text."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

Vector = NDArray[np.float32]


class Cause(StrEnum):
    """Why a text has no vector."""

    EMPTY = "empty"
    REJECTED = "rejected"
    DENIED = "denied"
    RATE_LIMITED = "rate_limited"
    TIMED_OUT = "timed_out"
    UNAVAILABLE = "unavailable"
    INVALID_ANSWER = "invalid_answer"

    @property
    def can_pass(self) -> bool:
        """The same text may get a vector later."""
        return self not in (Cause.EMPTY, Cause.REJECTED)


@dataclass(frozen=True)
class TextFailure:
    """A text without a vector. ``what`` is one sentence without secrets and without the text."""

    cause: Cause
    what: str


Outcome = Vector | TextFailure
Answers = list[tuple[int, Outcome]]
"""What became of some texts, by their places."""


@dataclass(frozen=True)
class Identity:
    """What made a vector: two vectors may be compared where these are equal.

    Attributes:
        revision: of the model's weights; for an API its address, where that is not the provider's own.
        dim: length of the vectors.
    """

    provider: str
    model: str
    revision: str
    dim: int

    def key(self, text: str) -> str:
        """SHA-256 of all of it and the text."""
        content = json.dumps([self.provider, self.model, self.revision, self.dim, text])
        return hashlib.sha256(content.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}@{self.revision or 'default'}:{self.dim}"


@dataclass(frozen=True)
class ProviderSettings:
    """How texts are embedded.

    Attributes:
        dim: what an API is asked for; a local model has its own.
        send_dim: False for models that take no ``dimensions``, such as text-embedding-ada-002.
        folder: where the cache and the limiter's state lie; processes that share it share both.
        redis_url: of a Redis that is the cache instead; it may hold a password.
        price_usd: of a million tokens; costs are unknown without it.
    """

    provider: str = "sentence-transformers"
    model: str = "all-MiniLM-L6-v2"
    dim: int = 768
    send_dim: bool = True
    api_key: SecretStr | None = None
    base_url: str | None = None
    requests_per_minute: int = 500
    texts_per_request: int = 100
    in_flight: int = 32
    timeout_sec: float = 30.0
    attempts: int = 3
    pause_sec: float = 0.5
    folder: Path = Path("data/text_vectors")
    redis_url: SecretStr | None = None
    cache_days: float = 30.0
    price_usd: float | None = None


class Provider(Protocol):
    """Makes vectors of texts."""

    @property
    def identity(self) -> Identity:
        """What its vectors are."""

    def embed(self, texts: Sequence[str], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """What became of the texts, each by its place, in groups as they are ready. No text is empty.

        ``keep`` is called with every group before it is given, perhaps in another thread, and also with those that
        nobody takes any more, such as after Ctrl-C.

        Raises:
            ProviderError: it cannot be used at all; what is wrong with texts or passes is an outcome.
        """
