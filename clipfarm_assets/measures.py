"""Counts of one process: what was asked of other services and what came of it, what caches had, what stages did.

Whoever does such work is given a ``Measures`` and tells it. A process of the graph ends, so it hands its counts to the
database, a few seconds' worth at a time and from a thread of its own, so that no work waits for it; a process that is
killed takes some seconds of them along. The HTTP server shows its own as they are.
"""

import atexit
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import NamedTuple

from clipfarm_assets.errors import ClipfarmError

UPSTREAM_REQUESTS = "upstream_requests"
UPSTREAM_SECONDS = "upstream_seconds"
UPSTREAM_BUCKET = "upstream_seconds_bucket"
CACHE_REQUESTS = "embedding_cache_requests"
STAGE_VIDEOS = "stage_videos"
QUERIES = "queries"
QUERY_SECONDS = "query_seconds"
EMPTY_QUERIES = "empty_queries"
LEDGER_VIDEOS = "ledger_videos"
INDEX_WAITING_SINCE = "index_waiting_since"
INDEX_WAITING = "index_waiting"
UPSTREAM_BUCKETS_SEC = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BEYOND = "+Inf"
_HANDED_OVER_AFTER_SEC = 5.0


class Series(NamedTuple):
    """What is counted: a name and its labels, in the order of their names."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


Deltas = Mapping[Series, float]


def series(name: str, **labels: str) -> Series:
    """A name with labels in their order."""
    return Series(name, tuple(sorted(labels.items())))


class Measures:
    """Counts, safe in several threads.

    Args:
        keep: takes over what was counted since the last time; without it everything stays here. Where it fails with
            one of our errors, the counts stay and go with the next.
    """

    def __init__(self, keep: Callable[[Deltas], None] | None = None) -> None:
        self._keep, self._lock = keep, threading.Lock()
        self._counts: dict[Series, float] = {}
        self._timer: threading.Timer | None = None

    def upstream(self, api: str, outcome: str, seconds: float) -> None:
        """One request to another service was answered, or given up."""
        at = bisect_left(UPSTREAM_BUCKETS_SEC, seconds)
        bucket = f"{UPSTREAM_BUCKETS_SEC[at]:g}" if at < len(UPSTREAM_BUCKETS_SEC) else _BEYOND
        self.add(
            {
                series(UPSTREAM_REQUESTS, api=api, outcome=outcome): 1.0,
                series(UPSTREAM_SECONDS, api=api): seconds,
                series(UPSTREAM_BUCKET, api=api, le=bucket): 1.0,
            }
        )

    def cache(self, hits: int, misses: int) -> None:
        """Texts were looked up in the cache of vectors."""
        self.add({series(CACHE_REQUESTS, result="hit"): hits, series(CACHE_REQUESTS, result="miss"): misses})

    def videos(self, stage: str, counts: Mapping[str, int]) -> None:
        """What became of videos in a stage, by status."""
        self.add({series(STAGE_VIDEOS, stage=stage, status=status): n for status, n in counts.items()})

    def query(self, kind: str, seconds: float, *, empty: bool) -> None:
        """The search answered a query, perhaps with nothing."""
        asked = {series(QUERIES, kind=kind): 1.0, series(QUERY_SECONDS, kind=kind): seconds}
        self.add(asked | {series(EMPTY_QUERIES, kind=kind): float(empty)})

    def add(self, deltas: Deltas) -> None:
        """Takes over what was counted elsewhere, such as by a worker."""
        with self._lock:
            for each, value in deltas.items():
                if value:
                    self._counts[each] = self._counts.get(each, 0.0) + value
            if self._keep is not None and self._timer is None and self._counts:
                self._timer = threading.Timer(_HANDED_OVER_AFTER_SEC, self.flush)
                self._timer.daemon = True
                self._timer.start()
                atexit.register(self._flush_last)

    def drained(self) -> Deltas:
        """What was counted since the last time, for a process that takes it over."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts

    def totals(self) -> dict[Series, float]:
        """What is counted here and was not handed over."""
        with self._lock:
            return dict(self._counts)

    def flush(self) -> None:
        """Hands over what was counted; where that fails, it goes with the next."""
        counts = self._taken()
        if counts and not self._handed_over(counts):
            self.add(counts)

    def _flush_last(self) -> None:
        self._handed_over(self._taken())  # at the end of the process there is no next

    def _taken(self) -> Deltas:
        if self._keep is None:
            return {}
        with self._lock:
            counts, self._counts = self._counts, {}
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            atexit.unregister(self._flush_last)
        return counts

    def _handed_over(self, counts: Deltas) -> bool:
        try:
            if self._keep is not None and counts:
                self._keep(counts)
        except ClipfarmError:  # the work that is counted matters more than its count
            return False
        return True


def outcome_of_status(status: int) -> str:
    """How an HTTP status is counted: few words, the same for every service."""
    if status < 400:
        return "ok"
    named = {401: "denied", 403: "denied", 404: "missing", 408: "timed_out", 429: "rate_limited"}
    return named.get(status, "unavailable" if status >= 500 else "rejected")
