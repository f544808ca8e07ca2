"""How quick the search is beside a bare LanceDB call, and how that grows with the number of documents.

The documents are of made-up words in the distribution of English (Zipf), with drawn vectors of 384 numbers in clusters.
Milliseconds of wall time in this process, one question at a time; ``bare`` is the same hybrid question as the two calls
of LanceDB that it cannot do without. ``python -m benchmarks.search_speed 10000 100000`` prints it for several sizes.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row
from clipfarm_assets.search.candidates import every_word
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.filters import Filters
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.query import Question, search
from clipfarm_assets.search.rows import Entry, Vector
from clipfarm_assets.search.suggest import suggest
from clipfarm_assets.store.object_store import open_store

DIM = 384
NOW = datetime(2026, 3, 1, tzinfo=UTC)
_VOCABULARY = 20_000
_AT_ONCE = 1_000
_ASKED = 60


def run(sizes: Sequence[int] = (10_000,)) -> list[Row]:
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += _measured(size, Path(folder))
    return rows


def _measured(size: int, folder: Path) -> list[Row]:
    draw = np.random.default_rng(1)
    words = vocabulary()
    index = SearchIndex(open_store(folder.as_uri()))
    began = time.monotonic()
    entries = (Entry(*pair) for pair in zip(documents(size, words), vectors(size), strict=True))
    index.rebuild(entries, model="drawn", dim=DIM)
    rows = [Row(f"{size:,}: build, s", time.monotonic() - began)]
    texts = [" ".join(words[draw.integers(20, 2_000, 2)]) for _ in range(_ASKED)]
    near = draw.standard_normal((_ASKED, DIM)).astype(np.float32)
    table = index.table()

    def hybrid(n: int) -> object:
        return search(index, Question(texts[n]), now=NOW, vector=near[n])

    def filtered(n: int) -> object:
        question = Question(texts[n], filters=Filters(broadcaster_id=f"b{n % 100}"))
        return search(index, question, now=NOW, vector=near[n])

    def bare(n: int) -> object:
        return bare_calls(table, texts[n], near[n])

    def typed(n: int) -> object:
        return suggest(index, texts[n][: 2 + n % 4])

    ways: dict[str, Callable[[int], object]] = {
        "hybrid": hybrid, "hybrid, 1 % filter": filtered, "bare calls": bare, "suggestion": typed,
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(_ASKED):
        for name, way in ways.items():
            began = time.perf_counter()
            way(n)
            taken[name].append(1_000 * (time.perf_counter() - began))
    targets = {"hybrid": 60.0, "suggestion": 20.0}
    for name, times in taken.items():
        note = f"median {np.median(times):.1f}"
        rows.append(Row(f"{size:,}: {name}, p95 ms", float(np.quantile(times[5:], 0.95)), targets.get(name), note=note))
    ratio = float(np.median(taken["hybrid"]) / np.median(taken["bare calls"]))
    return [*rows, Row(f"{size:,}: hybrid ÷ bare calls", ratio), *_edits(index, words, size)]


def _edits(index: SearchIndex, words: "np.ndarray[Any, Any]", size: int) -> list[Row]:
    seen = []
    first = Entry(next(documents(1, words)), next(vectors(1)))
    for number in range(10):
        edited = replace(first, document=replace(first.document, title=f"zzedited{number}"))
        began = time.monotonic()
        index.upsert([edited])
        while not search(index, Question(f"zzedited{number}", "text"), now=NOW).hits:
            pass
        seen.append(time.monotonic() - began)
    return [Row(f"{size:,}: an edit is found after, s", max(seen), 2.0, note="the longest of 10")]


def bare_calls(table: Any, text: str, near: Vector) -> object:
    """The two calls of LanceDB without which no hybrid question is answered."""
    question: Any = every_word(text.split())
    found = table.search(question, query_type="fts").limit(100).select(["key", "_score"]).to_arrow()
    query = table.search(near, vector_column_name="vector").distance_type("cosine").ef(256).refine_factor(2)
    return found, query.limit(100).select(["key", "_distance"]).to_arrow()


def vocabulary() -> "np.ndarray[Any, Any]":
    """Made-up words, the commonest first."""
    draw, letters = np.random.default_rng(1), np.array(list("aabcdeeefghiijklmnooprsttuvwy"))
    return np.array(["".join(draw.choice(letters, draw.integers(3, 10))) for _ in range(_VOCABULARY)])


def documents(size: int, words: "np.ndarray[Any, Any]") -> Iterator[Document]:
    """Videos that say 30 words each."""
    draw = np.random.default_rng(2)
    likely = 1 / np.arange(1, len(words) + 1) ** 0.9
    likely /= likely.sum()
    for start in range(0, size, _AT_ONCE):
        drawn = draw.choice(len(words), (min(_AT_ONCE, size - start), 30), p=likely)
        for number, chosen in enumerate(drawn, start):
            yield Document(
                kind="video", id=str(number), title=" ".join(words[chosen[:7]]),
                description=" ".join(words[chosen[7:]]),
                tags=(words[chosen[0]], words[chosen[1]]), game_id=str(number % 50), game=f"Game {number % 50}",
                broadcaster_id=f"b{number % 100}", broadcaster=f"Streamer {number % 100}", language="en",
                created_at=NOW - timedelta(minutes=number), views=number,
            )  # fmt: skip


def vectors(size: int) -> Iterator[Vector]:
    """Vectors of ``DIM`` numbers around 200 centres."""
    draw = np.random.default_rng(3)
    centres = draw.standard_normal((200, DIM))
    return ((centres[number % 200] + draw.standard_normal(DIM)).astype(np.float32) for number in range(size))


if __name__ == "__main__":
    from benchmarks.__main__ import show

    show("search_speed", run([int(size) for size in sys.argv[1:]] or (10_000,)))
