"""Figures of the graph's processes, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.measurements import Measured, add, measurements, put, replace_all
from clipfarm_assets.measures import series

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HITS, MISSES = series("cache", result="hit"), series("cache", result="miss")
LAG = series("lag")


def test_processes_at_once_add_up_and_a_gauge_is_the_last_one(database: Database) -> None:
    def one(number: int) -> None:
        for _ in range(10):
            with database.write() as session:
                add(session, {HITS: 2.0, MISSES: 0.5} if number % 2 else {MISSES: 0.5, HITS: 2.0}, NOW)
                put(session, {LAG: number}, NOW)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(4)))
    later = NOW + timedelta(minutes=1)
    with database.write() as session:
        put(session, {LAG: 7.0}, later)
        add(session, {}, later)
        replace_all(session, "videos", {series("videos", status="fail"): 1.0}, NOW)
        replace_all(session, "videos", {series("videos", status="success"): 1.0}, later)
    with database.read() as session:
        assert measurements(session) == {
            HITS: Measured(80, NOW), MISSES: Measured(20, NOW), LAG: Measured(7, later),
            series("videos", status="success"): Measured(1, later),
        }  # fmt: skip
