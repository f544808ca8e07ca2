"""A backfill of very many texts by an embedding API that takes 250 ms and allows 500 requests a minute.

The API is a server on loopback in a process of its own; deployment, store, cache and search index are real, on disk.
Beside it the same texts sent one a request, as many as ``CLIPFARM_BENCHMARK_SINGLY`` says and extrapolated. CPU and
memory are this process's: the platform's own cost. ``CLIPFARM_BENCHMARK_TEXTS`` sets the number, 10,000 where it is not
set; a minute's 500 requests are 50,000 texts.
"""

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from benchmarks.instant import environment
from benchmarks.measure import Row
from benchmarks.search_http import metadata_csv
from benchmarks.search_speed import documents, vocabulary
from clipfarm_assets.discovery.backfill import Statistics, backfill
from clipfarm_assets.discovery.whole import gather, sync
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.metadata.read import read_metadata
from clipfarm_assets.metadata.tables import videos_from_table
from clipfarm_assets.settings import load_settings
from clipfarm_assets.text_provider.embedder import open_embedder, provider_settings
from clipfarm_assets_tests.embedding_server import serving

_LATENCY_SEC = 0.25
_PER_MINUTE = 500


def run() -> list[Row]:
    size = int(os.environ.get("CLIPFARM_BENCHMARK_TEXTS", "10000"))
    singly = int(os.environ.get("CLIPFARM_BENCHMARK_SINGLY", "100"))
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder, patch.dict(os.environ), _api() as (url, asked):
        os.environ.update(environment(Path(folder, "home"), 1))
        os.environ |= {
            "CLIPFARM_DB": f"sqlite:///{folder}/clipfarm.db", "EMBEDDING_FOLDER": f"{folder}/vectors",
            "EMBEDDING_PROVIDER": "openai", "EMBEDDING_MODEL": "text-embedding-3-small", "EMBEDDING_ENABLED": "true",
            "EMBEDDING_REQUESTS_PER_MINUTE": str(_PER_MINUTE), "OPENAI_API_KEY": "loopback", "OPENAI_BASE_URL": url,
        }  # fmt: skip
        one_by_one = _one_by_one(singly, Path(folder))
        before = asked()
        workshop = Workshop(load_settings())
        workshop.save_tables(read_metadata(metadata_csv(documents(size, vocabulary())).encode()))
        room = workshop.discovery
        rows = gather(room, list(videos_from_table(workshop.videos_table())), {}, embed=False).rows
        sync(room, rows)
        first, wall, cpu = _timed(lambda: backfill(room, rows))
        sent = asked() - before
        assert (first.succeeded, first.failed) == (size, 0), first
        again, again_wall, _ = _timed(lambda: backfill(Workshop(load_settings()).discovery, rows))
        assert (again.skipped, again.processed) == (size, 0), again
        assert room.index.facts().with_vector == size
        calls_again = asked() - before - sent
    slower = one_by_one / singly * size / wall
    at_limit = 60 * sent / _PER_MINUTE
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        Row(f"{size:,} texts: requests", sent, size / 100),
        Row(f"{size:,} texts: seconds", wall, note=f"the limit alone asks for {at_limit:.0f}"),
        Row(f"{size:,} texts: own CPU, ms a text", 1_000 * cpu / size, note=f"at most {peak_mb:.0f} MB"),
        Row("one text a request ÷ ours, time", slower, 10.0, "at least", note=f"{singly} texts in {one_by_one:.0f} s"),
        Row("a second run: requests", calls_again, 0, note=f"{again_wall:.1f} s"),
    ]


def _one_by_one(count: int, folder: Path) -> float:
    """Seconds for so many texts in as many requests, by the same provider with its threads and its limit."""
    settings = replace(provider_settings(load_settings()), texts_per_request=1, folder=folder / "singly")
    embedder = open_embedder(settings, load_settings(), None)
    began = time.monotonic()
    embedder.embed([f"text {number}" for number in range(count)])
    return time.monotonic() - began


def _timed(fill: Callable[[], Statistics]) -> tuple[Statistics, float, float]:
    wall, cpu = time.monotonic(), time.process_time()
    done = fill()
    return done, time.monotonic() - wall, time.process_time() - cpu


@contextmanager
def _api() -> Iterator[tuple[str, Callable[[], int]]]:
    """The API's address, and how many requests it has had."""
    ours, its = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(its,), daemon=True)
    process.start()
    url = str(ours.recv())

    def asked() -> int:
        ours.send("asked")
        return int(ours.recv())

    yield url, asked
    process.terminate()
    process.join(10)


def _serve(questions: Connection) -> None:
    with serving() as server:
        server.latency_sec = _LATENCY_SEC
        questions.send(server.url)
        while questions.recv():
            questions.send(len(server.requests))
