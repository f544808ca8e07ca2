"""Counts as they are handed over: nothing twice, nothing lost to an outage, and no work that waits for it."""

import threading
from collections.abc import Mapping

import pytest

from clipfarm_assets.errors import DatabaseUnavailable
from clipfarm_assets.measures import Measures, Series, outcome_of_status, series


class Kept:
    """A database that takes counts, or is away."""

    def __init__(self) -> None:
        self.counts: dict[Series, float] = {}
        self.away = False
        self.told = threading.Event()

    def __call__(self, deltas: Mapping[Series, float]) -> None:
        if self.away:
            raise DatabaseUnavailable("It is away.")
        for each, value in deltas.items():
            self.counts[each] = self.counts.get(each, 0.0) + value
        self.told.set()


def test_counts_of_many_threads_arrive_once_and_an_outage_only_delays_them() -> None:
    kept = Kept()
    measures = Measures(kept)
    hits, misses = series("embedding_cache_requests", result="hit"), series("embedding_cache_requests", result="miss")

    def work() -> None:
        for _ in range(200):
            measures.cache(2, 1)
            measures.flush()

    kept.away = True
    measures.cache(5, 0)
    measures.flush()
    assert kept.counts == {} and measures.totals() == {hits: 5.0}
    kept.away = False
    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    measures.flush()
    assert kept.counts == {hits: 5.0 + 4 * 400, misses: 4 * 200.0} and measures.totals() == {}


def test_what_nobody_hands_over_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipfarm_assets.measures._HANDED_OVER_AFTER_SEC", 0.05)
    kept = Kept()
    Measures(kept).videos("raw_video", {"success": 3, "fail": 1})
    assert kept.told.wait(60)
    assert kept.counts[series("stage_videos", stage="raw_video", status="success")] == 3


def test_a_request_is_counted_with_its_outcome_and_in_the_bucket_of_its_time() -> None:
    measures = Measures()
    for seconds in (0.05, 0.06, 600.0):
        measures.upstream("twitch", "ok", seconds)
    totals = measures.totals()
    assert totals[series("upstream_requests", api="twitch", outcome="ok")] == 3
    assert totals[series("upstream_seconds", api="twitch")] == pytest.approx(600.11)
    buckets = {dict(each.labels)["le"]: n for each, n in totals.items() if each.name == "upstream_seconds_bucket"}
    assert buckets == {"0.05": 1, "0.1": 1, "+Inf": 1}
    assert [outcome_of_status(status) for status in (200, 401, 429, 418, 503)] == [
        "ok", "denied", "rate_limited", "rejected", "unavailable",
    ]  # fmt: skip
