"""Vectors that are missing, made many at a time, the newest items first; what is made is kept when it is stopped."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.discovery.whole import Known
from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.search.documents import Document, discovery_text
from clipfarm_assets.text_provider.embedder import Embedder, Estimate

BATCH = 50
_IN_FLIGHT = 20  # with an API, so many times a batch is embedded and stored together
_LOOKED_AT = 1_000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Statistics:
    """What a backfill has done. ``skipped``: items that have their vector, or say nothing."""

    total: int = 0
    processed: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    last_error: str = ""
    seconds: float = 0.0
    stopped: bool = False

    @property
    def average_ms(self) -> float:
        """Milliseconds a text."""
        return 1_000 * self.seconds / self.processed if self.processed else 0.0


def backfill(
    room: Discovery, rows: Sequence[Known], *, batch: int = BATCH, force: bool = False,
    say: Callable[[Statistics], None] = lambda done: None,
) -> Statistics:  # fmt: skip
    """Makes the vectors of the rows that have none, and puts them into the index; Ctrl-C ends it cleanly.

    Args:
        batch: texts that are embedded and stored together, at most 100; with an API twenty times as many, which it gets
            a hundred a request.
        force: make also those that are there, and ask the provider again for texts that the cache knows.
        say: called with the state after every few batches.

    Raises:
        ProviderError, ModelError: texts cannot be embedded at all; what was made is kept.
    """
    embedder = _embedder(room)
    embedder.prune()
    together = min(batch, 100) * (_IN_FLIGHT if embedder.identity.provider == "openai" else 1)
    done, began = Statistics(total=len(rows)), time.monotonic()
    try:
        for some in _missing(room, rows, done, together, force):
            if force:
                embedder.forget([discovery_text(document) for document in some])
            _take(room, some, done, force)
            done.seconds = time.monotonic() - began
            say(done)
    except KeyboardInterrupt:
        done.stopped = True
    done.seconds = time.monotonic() - began
    return done


def estimate(room: Discovery, rows: Sequence[Known], *, force: bool = False) -> Estimate:
    """What ``backfill`` would take now; asks nobody."""
    embedder, done = _embedder(room), Statistics()
    groups = _missing(room, rows, done, _LOOKED_AT, force)
    return embedder.estimate([discovery_text(document) for some in groups for document in some])


def due(rows: Sequence[Known], now: datetime, days: float, most: int) -> list[Known]:
    """``most`` rows without a vector: those of the last days, the newest first, and older ones in the rest.

    A tenth is kept for older ones where there are any, so that texts which fail again and again never hide them.
    """
    waiting = _newest_first([row for row in rows if row.waits])
    since = now - timedelta(days=days)
    recent = [row for row in waiting if (row.document.created_at or _NEVER) >= since]
    older = waiting[len(recent) :]
    chosen = recent[: most - min(len(older), most // 10)]
    return chosen + older[: most - len(chosen)]


def _missing(
    room: Discovery, rows: Sequence[Known], done: Statistics, together: int, force: bool
) -> Iterator[list[Document]]:
    """Documents as they are now, of the rows that say something and have no current vector."""
    waiting: list[Document] = []
    ordered = _newest_first(rows)
    for start in range(0, len(ordered), _LOOKED_AT):
        keys = [row.document.key for row in ordered[start : start + _LOOKED_AT]]
        now = room.documents(keys)
        documents = [now[key] for key in keys if key in now and discovery_text(now[key])]
        stored = [None] * len(documents) if force else room.vectors.stored(documents)
        missing = [document for document, there in zip(documents, stored, strict=True) if there is None]
        done.skipped += len(keys) - len(missing)
        waiting += missing
        while len(waiting) >= together:
            yield waiting[:together]
            del waiting[:together]
    if waiting:
        yield waiting


def _take(room: Discovery, documents: Sequence[Document], done: Statistics, force: bool) -> None:
    for each in room.vectors.current(documents, force=force):
        done.processed += 1
        done.succeeded += each.vector is not None
        if each.failure is not None:
            done.failed += 1
            done.last_error = each.failure.what
    room.refresh([document.key for document in documents], ask=False)


def _newest_first(rows: Sequence[Known]) -> list[Known]:
    return sorted(rows, key=lambda row: row.document.created_at or _NEVER, reverse=True)


def _embedder(room: Discovery) -> Embedder:
    embedder = room.embedder()
    if embedder is None:
        raise ConfigurationError(
            "Embedding by an API is turned off, so that no text is sent to one.", hint="Set EMBEDDING_ENABLED=true."
        )
    return embedder
