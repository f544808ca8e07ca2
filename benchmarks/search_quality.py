"""How good the answers are: text, semantic and hybrid against SQLite's FTS5 and an exact vector search.

The judged set has 614 items and 76 queries (``clipfarm_assets_tests.search.judged_set``); the figures that count are of
the half that nothing was tuned on. Vectors are all-MiniLM-L6-v2's, over the discovery text. FTS5 has its Porter stemmer
and the same field weights, and asks for all words; the exact search compares every vector.
"""

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Row
from clipfarm_assets.embeddings.text import load_text_encoder
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.search.documents import discovery_text
from clipfarm_assets.search.evaluation import Quality, quality
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.query import Mode, Question, search
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import open_store
from clipfarm_assets_tests.search.judged_set import Item, Query, corpus, judgements, queries

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TARGETS = {"ndcg_10": 0.80, "ndcg_5": 0.75, "mrr": 0.70, "recall": 0.70}
Answer = Callable[[Query], Sequence[str]]


def run() -> list[Row]:
    items = corpus()
    with tempfile.TemporaryDirectory() as folder:
        ways = answerers(items, Path(folder))
        reported = measured(items, [query for query in queries() if not query.tuned], ways)
        tuned = measured(items, [query for query in queries() if query.tuned], ways)
    rows = []
    for way, found in reported.items():
        for figure in ("ndcg_10", "ndcg_5", "mrr", "precision", "recall"):
            target = TARGETS.get(figure) if way == "hybrid" else None
            note = f"{getattr(tuned[way], figure):.3f} on the tuned half"
            rows.append(Row(f"{way}: {figure}", getattr(found, figure), target, "at least", note))
    for part in ("text", "semantic"):
        ratio = reported["hybrid"].ndcg_10 / reported[part].ndcg_10
        rows.append(Row(f"hybrid ÷ {part}, nDCG@10", ratio, 1.0, "at least"))
    return rows


def answerers(items: Sequence[Item], folder: Path) -> dict[str, Answer]:
    """Every way of answering, by name."""
    encode = _encoder()
    vectors = encode([discovery_text(item.document) for item in items])
    texts = [query.text for query in queries()]
    asked = dict(zip(texts, encode(texts), strict=True))
    index = SearchIndex(open_store(folder.as_uri()))
    entries = [Entry(item.document, vector) for item, vector in zip(items, vectors, strict=True)]
    index.rebuild(entries, model="all-MiniLM-L6-v2", dim=vectors.shape[1])

    def ours(mode: Mode) -> Answer:
        def answer(query: Query) -> list[str]:
            vector = None if mode == "text" else asked[query.text]
            page = search(index, Question(query.text, mode, size=10), now=NOW, vector=vector)
            return [hit.document.key for hit in page.hits]

        return answer

    def exact(query: Query) -> list[str]:
        near = np.argsort(-(vectors @ asked[query.text]), kind="stable")[:10]
        return [items[i].document.key for i in near]

    modes: tuple[Mode, ...] = ("text", "semantic", "hybrid")
    return {**{mode: ours(mode) for mode in modes}, "SQLite FTS5": _fts5(items), "exact vectors": exact}


def measured(items: Sequence[Item], asked: Sequence[Query], ways: Mapping[str, Answer]) -> dict[str, Quality]:
    """The quality of each way on the queries."""
    judged = {query.text: judgements(query, list(items)) for query in asked}
    return {name: quality({query.text: answer(query) for query in asked}, judged) for name, answer in ways.items()}


def _encoder() -> Callable[[Sequence[str]], NDArray[np.float32]]:
    settings = Settings(_env_file=None, device="cpu")  # type: ignore[call-arg]
    return load_text_encoder(resolve_models(settings, None).text, settings, None).embed_sentences


def _fts5(items: Sequence[Item]) -> Answer:
    database = sqlite3.connect(":memory:")
    columns = "title, description, tags, broadcaster, game"
    database.execute(f"CREATE VIRTUAL TABLE items USING fts5(key UNINDEXED, {columns}, tokenize='porter unicode61')")
    for item in items:
        document = item.document
        values = (document.key, document.title, document.description, " ".join(document.tags), document.broadcaster)
        database.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", (*values, document.game))

    def answer(query: Query) -> list[str]:
        words = " ".join('"' + word.replace('"', '""') + '"' for word in query.text.split())
        ranked = "SELECT key FROM items WHERE items MATCH ? ORDER BY bm25(items, 0, 3, 2, 2, 1, 1), key LIMIT 10"
        return [key for (key,) in database.execute(ranked, (words,))]

    return answer


def by_kind(half: bool) -> None:
    """Prints nDCG@10 by kind of query, of the tuned half where ``half``."""
    items = corpus()
    with tempfile.TemporaryDirectory() as folder:
        ways = answerers(items, Path(folder))
        kinds = dict.fromkeys(query.kind for query in queries())
        for kind in kinds:
            asked = [query for query in queries() if query.kind == kind and query.tuned is half]
            found = measured(items, asked, ways)
            print(f"{kind:12}", *(f"{way} {value.ndcg_10:.2f}/{value.recall:.2f}" for way, value in found.items()))
            if half:
                for query in asked:
                    print("      ", query.text, *(f"{v.ndcg_10:.2f}" for v in measured(items, [query], ways).values()))


if __name__ == "__main__":
    by_kind("tuned" in sys.argv)
