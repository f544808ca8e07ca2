"""The embeddings API of OpenAI, or of any server that speaks it.

A request has up to 100 texts, and as many requests are under way as the limit lets begin. Every attempt takes a token,
the second and third too. 408, 409, 429, 5xx, broken connections and unreadable answers are tried three times, with a
pause that doubles and is drawn at random, or as long as Retry-After says; that pause holds for every process. Another
4xx is not tried again: a request that is rejected is cut in half until the bad text stands alone.

Nothing that the server says is passed on: it may hold the key or the text.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.measures import Measures
from clipfarm_assets.text_provider.interface import Answers, Cause, Identity, ProviderSettings, TextFailure, Vector
from clipfarm_assets.text_provider.limiter import RateLimiter
from clipfarm_assets.threads import side_by_side

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")

_NO_KEY = "none"  # servers without authentication want some key all the same
_TRIED_AGAIN = {408, 409, 429}
_DENIED = {401, 403, 404}
_LONGEST_PAUSE_SEC = 60.0

_STOPPED = TextFailure(Cause.UNAVAILABLE, "The work was stopped.")


class OpenAIProvider:
    """Embeds over HTTP. Safe in several threads."""

    def __init__(
        self,
        client: "OpenAI",
        settings: ProviderSettings,
        limiter: RateLimiter,
        sleep: Callable[[float], None] = time.sleep,
        measures: Measures | None = None,
    ) -> None:
        self._client, self._settings, self._limiter, self._sleep = client, settings, limiter, sleep
        self._measures = measures or Measures()
        self.identity = Identity("openai", settings.model, settings.base_url or "", settings.dim)

    def embed(self, texts: Sequence[str], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """See ``Provider``. Closing the iterator waits for the requests that are under way and begins no more.

        Where the API refuses key or model, the texts that were not sent yet are refused with the others.
        """
        size = self._settings.texts_per_request
        waiting = deque(list(enumerate(texts[start : start + size], start)) for start in range(0, len(texts), size))
        stopped = threading.Event()

        def batch(places: list[tuple[int, str]]) -> Answers:
            return self._batch(places, keep, stopped)

        with closing(side_by_side(batch, _taken_from(waiting), self._settings.in_flight, stopped)) as answered:
            for _, answers in answered:
                yield answers
                if denied := _denied(answers):
                    yield [(place, denied) for each in _taken_from(waiting) for place, _ in each]

    def _batch(
        self, batch: list[tuple[int, str]], keep: Callable[[Answers], None], stopped: threading.Event
    ) -> Answers:
        """What became of one request's texts; cut in half where it is rejected."""
        result = self._asked([text for _, text in batch], stopped)
        if not isinstance(result, TextFailure):
            answers: Answers = [(place, vector) for (place, _), vector in zip(batch, result, strict=True)]
            keep(answers)
            return answers
        if result.cause is not Cause.REJECTED or len(batch) == 1:
            return [(place, result) for place, _ in batch]
        half = len(batch) // 2
        return self._batch(batch[:half], keep, stopped) + self._batch(batch[half:], keep, stopped)

    def _asked(self, texts: list[str], stopped: threading.Event) -> list[Vector] | TextFailure:
        """One request with its further attempts."""
        for attempt in range(1, self._settings.attempts + 1):
            if not self._limiter.take(stopped.is_set):
                return _STOPPED
            began = time.monotonic()
            result, retry_after_sec, again = self._attempt(texts)
            outcome = result.cause.value if isinstance(result, TextFailure) else "ok"
            self._measures.upstream("embedding", outcome, time.monotonic() - began)
            if not isinstance(result, TextFailure) or not again or attempt == self._settings.attempts:
                return result
            if retry_after_sec is not None:
                self._limiter.pause(retry_after_sec)
            longest = min(self._settings.pause_sec * 2**attempt, _LONGEST_PAUSE_SEC)
            self._sleep(random.uniform(longest / 2, longest))
        raise AssertionError("there is at least one attempt")

    def _attempt(self, texts: list[str]) -> tuple[list[Vector] | TextFailure, float | None, bool]:
        """The vectors or the failure, what Retry-After says, and whether another attempt may help."""
        import openai

        options: dict[str, Any] = {"dimensions": self._settings.dim} if self._settings.send_dim else {}
        try:
            response = self._client.embeddings.create(model=self._settings.model, input=texts, **options)
            return self._read(response, len(texts)), None, True
        except openai.APITimeoutError:
            return TextFailure(Cause.TIMED_OUT, "The embedding API gave no answer in time."), None, True
        except openai.APIStatusError as error:
            status = error.status_code
            again = status in _TRIED_AGAIN or status >= 500
            return _of_status(status), _retry_after(error.response.headers.get("retry-after")), again
        except openai.APIConnectionError:
            return TextFailure(Cause.UNAVAILABLE, "There is no connection to the embedding API."), None, True
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            what = f"The embedding API's answer cannot be read ({type(error).__name__})."
            return TextFailure(Cause.INVALID_ANSWER, what), None, True

    def _read(self, response: Any, count: int) -> list[Vector] | TextFailure:
        vectors = {each.index: np.asarray(each.embedding, np.float32) for each in response.data}
        if set(vectors) != set(range(count)) or len(response.data) != count:
            return TextFailure(Cause.INVALID_ANSWER, "The embedding API answered for other texts than were sent.")
        for vector in vectors.values():
            if vector.shape != (self._settings.dim,):
                what = f"The embedding API's vectors are {vector.shape}, not ({self._settings.dim},)."
                return TextFailure(Cause.INVALID_ANSWER, what)
            if not np.isfinite(vector).all() or not vector.any():
                return TextFailure(Cause.INVALID_ANSWER, "The embedding API's vectors hold what is no direction.")
        return [vectors[place] for place in range(count)]


def open_openai(settings: ProviderSettings, measures: Measures | None = None) -> OpenAIProvider:
    """The API that the settings name.

    Raises:
        ConfigurationError: there is neither a key nor another address than OpenAI's.
    """
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    if not key and not settings.base_url:
        raise ConfigurationError(
            "Texts are to be embedded by OpenAI, and there is no key.",
            hint="Set OPENAI_API_KEY, or OPENAI_BASE_URL of a server that needs none.",
        )
    from openai import OpenAI

    client = OpenAI(
        api_key=key or _NO_KEY, base_url=settings.base_url or None, timeout=settings.timeout_sec, max_retries=0
    )
    limiter = RateLimiter(settings.folder / "openai.bucket", settings.requests_per_minute)
    return OpenAIProvider(client, settings, limiter, measures=measures)


def _taken_from(waiting: deque[T]) -> Iterator[T]:
    """What waits, taken out one by one, until none is left."""
    while waiting:
        yield waiting.popleft()


def _of_status(status: int) -> TextFailure:
    if status == 429:
        return TextFailure(Cause.RATE_LIMITED, "The embedding API asks to wait (429).")
    if status in _DENIED:
        return TextFailure(Cause.DENIED, f"The embedding API refuses key, model or address ({status}).")
    if status in _TRIED_AGAIN or status >= 500:
        return TextFailure(Cause.UNAVAILABLE, f"The embedding API is in trouble ({status}).")
    return TextFailure(Cause.REJECTED, f"The embedding API rejects the text ({status}).")


def _retry_after(header: str | None) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); None where it says nothing that can be read."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _denied(answers: Answers) -> TextFailure | None:
    failures = (outcome for _, outcome in answers if isinstance(outcome, TextFailure))
    return next((failure for failure in failures if failure.cause is Cause.DENIED), None)
