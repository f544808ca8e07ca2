"""How good answers are, against judgements of 0 (nothing to do with it) to 4 (exactly this).

In: for every query, the keys as they were ranked, and the judgement of every judged document. Out: the usual figures
(Järvelin and Kekäläinen 2002; Manning, Raghavan and Schütze, Introduction to Information Retrieval, chapter 8).
Gain 2^rel - 1, discount log2(i + 1), and the ideal is over all documents that are judged for the query, found or not.
A document counts as relevant from 2 on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

RELEVANT = 2

Judgements = Mapping[str, int]


@dataclass(frozen=True)
class Quality:
    """Means over queries, each from 0 to 1; ``precision`` and ``recall`` are at 10."""

    ndcg_5: float
    ndcg_10: float
    mrr: float
    precision: float
    recall: float
    queries: int
    precision_5: float
    recall_5: float


def ndcg(ranked: Sequence[str], judged: Judgements, k: int) -> float:
    """Normalised discounted cumulative gain of the first ``k``; 0 where nothing that is judged has any relevance."""
    ideal = _gained(sorted(judged.values(), reverse=True)[:k])
    return _gained([judged.get(key, 0) for key in ranked[:k]]) / ideal if ideal else 0.0


def reciprocal_rank(ranked: Sequence[str], judged: Judgements) -> float:
    """1 / the place of the first relevant document; 0 where there is none."""
    return next((1.0 / place for place, key in enumerate(ranked, 1) if _relevant(judged, key)), 0.0)


def precision(ranked: Sequence[str], judged: Judgements, k: int) -> float:
    """The relevant part of the first ``k`` places, empty ones included."""
    return sum(_relevant(judged, key) for key in ranked[:k]) / k


def recall(ranked: Sequence[str], judged: Judgements, k: int) -> float:
    """The part of all relevant documents that stands in the first ``k``; 0 where there is none."""
    relevant = sum(value >= RELEVANT for value in judged.values())
    return sum(_relevant(judged, key) for key in ranked[:k]) / relevant if relevant else 0.0


def quality(answers: Mapping[str, Sequence[str]], judgements: Mapping[str, Judgements]) -> Quality:
    """Means over every judged query; one that was not answered counts 0.

    Raises:
        ValueError: there are no judgements, a document stands twice in one answer, or a judgement is not 0 to 4.
    """
    if not judgements:
        raise ValueError("There is nothing to compare with.")
    for query, judged in judgements.items():
        if len(set(answers.get(query, ()))) != len(answers.get(query, ())):
            raise ValueError(f"A document stands twice in the answer to {query!r}.")
        if not set(judged.values()) <= {0, 1, 2, 3, 4}:
            raise ValueError(f"A judgement of {query!r} is not 0 to 4.")
    rows = [
        (
            *(ndcg(a, j, 5), ndcg(a, j, 10), reciprocal_rank(a, j), precision(a, j, 10), recall(a, j, 10)),
            *(precision(a, j, 5), recall(a, j, 5)),
        )
        for query, j in judgements.items()
        for a in [list(answers.get(query, ()))]
    ]
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return Quality(
        ndcg_5=means[0], ndcg_10=means[1], mrr=means[2], precision=means[3], recall=means[4], queries=len(rows),
        precision_5=means[5], recall_5=means[6],
    )  # fmt: skip


def _relevant(judged: Judgements, key: str) -> bool:
    return judged.get(key, 0) >= RELEVANT


def _gained(relevances: Sequence[int]) -> float:
    return sum((2.0**relevance - 1) / log2(place + 1) for place, relevance in enumerate(relevances, 1))
