"""How quick the search is over HTTP, beside bare LanceDB calls, and how that grows with the number of videos.

`clipfarm serve` runs as a user starts it, over a deployment whose metadata, database and index hold made-up videos (see
``search_speed``); one client asks over one kept connection. Milliseconds of wall time as the client sees them. ``new
text`` has its vector made by all-MiniLM-L6-v2 on the CPU within that time; ``known text`` was asked before, so that its
vector comes from the cache. ``bare calls`` are the two calls of LanceDB that the same question cannot do without, in
this process, with a vector that is there. CPU is the server's, a request. All take turns.

``python -m benchmarks.search_http 10000 100000`` prints it for several sizes.
"""

import csv
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import numpy as np
import psutil

from benchmarks.instant import environment
from benchmarks.measure import Row
from benchmarks.search_speed import DIM, bare_calls, documents, vectors, vocabulary
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.metadata.read import read_metadata
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.settings import load_settings
from clipfarm_assets_tests.journeys.deployment import free_port

Ask = Callable[[int], object]

_ASKED = 100
_EDITS = 10
_TARGETS = {"hybrid, new text": 60.0, "hybrid, known text": 60.0, "suggestion": 20.0}
_PATIENCE_SEC = 120.0


def run(sizes: Sequence[int] = (10_000,)) -> list[Row]:
    rows, medians = [], []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder, patch.dict(os.environ):
            fill(Path(folder), size)
            found, median = measured(size)
        rows += found
        medians.append(median)
    for name in medians[-1] if len(sizes) > 1 else ():
        rows.append(Row(f"{name}: {sizes[-1]:,} ÷ {sizes[0]:,} videos, median", medians[-1][name] / medians[0][name]))
    return rows


def fill(folder: Path, size: int) -> None:
    """Makes a deployment whose metadata and index hold so many videos, and enters its environment."""
    os.environ.update(environment(folder / "home", 1))
    os.environ["CLIPFARM_DB"] = f"sqlite:///{folder}/clipfarm.db"
    os.environ["EMBEDDING_FOLDER"] = str(folder / "vectors")
    workshop = Workshop(load_settings())
    words = vocabulary()
    workshop.save_tables(read_metadata(metadata_csv(documents(size, words)).encode()))
    entries = (Entry(*pair) for pair in zip(documents(size, words), vectors(size), strict=True))
    workshop.discovery.index.rebuild(entries, model=workshop.discovery.model()[0], dim=DIM)


def measured(size: int) -> tuple[list[Row], dict[str, float]]:
    """The rows of the deployment that the environment names, and the median of each way."""
    with _served() as (connection, process):
        ways = _ways(connection, SearchIndex(Workshop(load_settings()).store))
        taken: dict[str, list[float]] = {name: [] for name in ways}
        cpu = dict.fromkeys(ways, 0.0)
        for number in range(_ASKED):
            for name, ask in ways.items():
                before, began = _cpu_sec(process), time.perf_counter()
                ask(number)
                taken[name].append(1_000 * (time.perf_counter() - began))
                cpu[name] += _cpu_sec(process) - before
        edits = [_edit(connection, number) for number in range(_EDITS)]
    medians = {name: float(np.median(times)) for name, times in taken.items()}
    rows = []
    for name, times in taken.items():
        note = f"median {medians[name]:.1f}"
        note += "" if name == "bare calls" else f", {1_000 * cpu[name] / _ASKED:.1f} of CPU"
        p95 = float(np.quantile(times[5:], 0.95))
        rows.append(Row(f"{size:,}: {name}, p95 ms", p95, _TARGETS.get(name), note=note))
    ratio = medians["hybrid, known text"] / medians["bare calls"]
    rows.append(Row(f"{size:,}: hybrid over HTTP ÷ bare calls, median", ratio))
    return [*rows, Row(f"{size:,}: an edit is found after, s", max(edits), 2.0, note=f"longest of {_EDITS}")], medians


def _ways(connection: http.client.HTTPConnection, index: SearchIndex) -> Mapping[str, Ask]:
    draw, words, table = np.random.default_rng(1), vocabulary(), index.table()
    # Half of the texts have words that stand together often, half hardly ever: then typing errors are looked for too.
    texts = [" ".join(words[draw.integers(20, 200 if n % 2 else 2_000, 2)]) for n in range(_ASKED)]
    near = draw.standard_normal((_ASKED, DIM)).astype(np.float32)
    return {
        "hybrid, new text": lambda n: get(connection, "/search", q=texts[n]),
        "hybrid, known text": lambda n: get(connection, "/search", q=texts[n]),
        "hybrid, 1 % filter": lambda n: get(connection, "/search", q=texts[n], broadcaster_id=f"b{n % 100}"),
        "suggestion": lambda n: get(connection, "/search/suggest", q=texts[n][: 2 + n % 4]),
        "bare calls": lambda n: bare_calls(table, texts[n], near[n]),
    }


def _edit(connection: http.client.HTTPConnection, number: int) -> float:
    """Seconds from the request that changes a title to the answer that has it."""
    began = time.perf_counter()
    call(connection, "PATCH", f"/videos/{number}", {"title": f"zzedited{number} on a new title"})
    while not get(connection, "/search", q=f"zzedited{number}")["items"][0]["title"].startswith("zzedited"):
        pass
    return time.perf_counter() - began


def get(connection: http.client.HTTPConnection, path: str, **asked: str) -> Any:
    """The answer to a question; AssertionError where there is none."""
    return call(connection, "GET", f"{path}?{urlencode(asked)}")


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: Mapping[str, object] | None = None
) -> Any:
    """One request over the kept connection; AssertionError where it is refused."""
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    return json.loads(said)


@contextmanager
def _served() -> Iterator[tuple[http.client.HTTPConnection, psutil.Process]]:
    """`clipfarm serve` for the time of the block, once it answers by meaning."""
    port, program = free_port(), Path(sys.executable).parent / "clipfarm"
    with Path(os.environ["DAGSTER_HOME"], "serve.log").open("wb") as log:
        server = subprocess.Popen([program, "serve", "--port", str(port)], stdout=log, stderr=log)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SEC)
    try:
        until = time.monotonic() + _PATIENCE_SEC
        while True:
            try:
                found = get(connection, "/search", q="warm up")
                assert found["answered_by"] == "hybrid", found["why"]
                break
            except OSError:
                connection.close()
                if time.monotonic() > until or server.poll() is not None:
                    raise
                time.sleep(0.2)
        yield connection, psutil.Process(server.pid)
    finally:
        connection.close()
        server.terminate()
        server.wait(30)


def _cpu_sec(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def metadata_csv(every: Iterator[Document]) -> str:
    """The metadata file of videos."""
    rows = [_row(each) for each in every]
    file = StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(each: Document) -> dict[str, object]:
    moment = each.created_at.isoformat() if each.created_at else ""
    row: dict[str, object] = {"video_id": each.id, "url": "video.mp4", "tags": ", ".join(each.tags)}
    row |= {name: getattr(each, name) for name in ("title", "description", "game_id", "broadcaster_id", "language")}
    row |= {"game_name": each.game, "broadcaster_name": each.broadcaster, "view_count": each.views}
    return row | {"published_at": moment, "captured_at": moment}


if __name__ == "__main__":
    from benchmarks.__main__ import show

    show("search_http", run([int(size) for size in sys.argv[1:]] or (10_000,)))
