"""How good the answers of the index that serves are, against what people have judged.

Every query is asked three times, by words, by meaning and by both, as a user would ask it. Where a query's vector
cannot be had, what needs it is not measured, and why is said: an answer by words alone is another search's figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.search.evaluation import RELEVANT, Judgements, Quality, ndcg, quality
from clipfarm_assets.search.index import IndexFacts
from clipfarm_assets.search.query import Mode, Question, search
from clipfarm_assets.search.rows import Vector

REPORT_KEY = "clipfarm/search/evaluation.json"
MODES: tuple[Mode, ...] = get_args(Mode)
DEPTH = 10  # answers that are looked at


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        quality: by mode; a mode that could not be measured is absent.
        unmeasured: why, by mode.
        ndcg_10: of each query, by mode.
        left_out: queries of which no judged item is relevant: no order of answers is better than another.
        judged: judgments that were used.
        not_indexed: judged items that the index does not hold; they count as not found.
    """

    facts: IndexFacts
    quality: Mapping[Mode, Quality]
    unmeasured: Mapping[Mode, str]
    ndcg_10: Mapping[str, Mapping[Mode, float]]
    left_out: tuple[str, ...]
    judged: int
    not_indexed: tuple[str, ...] = field(default=())


def evaluate(room: Discovery, judgments: Mapping[str, Judgements], now: datetime) -> Evaluation:
    """Asks every judged query, and compares.

    Raises:
        SearchError: there is no index to ask, or it does not answer.
    """
    used = {query: judged for query, judged in judgments.items() if max(judged.values()) >= RELEVANT}
    facts, there = room.index.facts(), room.index.indexed()
    vectors, why = _vectors(room, used)
    unmeasured: dict[Mode, str] = {}
    if not used:
        unmeasured = dict.fromkeys(MODES, "No judged item is relevant (2 or more) to its query.")
    elif why is not None:
        unmeasured = {"semantic": why, "hybrid": why}
    measured = [mode for mode in MODES if mode not in unmeasured]
    answers = {mode: {query: _answer(room, query, mode, vectors, now) for query in used} for mode in measured}
    return Evaluation(
        facts, {mode: quality(answers[mode], used) for mode in measured}, unmeasured,
        {query: {mode: ndcg(answers[mode][query], used[query], DEPTH) for mode in measured} for query in used},
        tuple(sorted(judgments.keys() - used.keys())), sum(len(judged) for judged in used.values()),
        tuple(sorted({key for judged in used.values() for key in judged} - there.keys())),
    )  # fmt: skip


def _vectors(room: Discovery, queries: Iterable[str]) -> tuple[dict[str, Vector], str | None]:
    """The vector of each query, or why one cannot be had; no more are asked for then."""
    vectors = {}
    for query in queries:
        found = meaning(room, query)
        if found.vector is None:
            return {}, found.why
        vectors[query] = found.vector
    return vectors, None


def _answer(
    room: Discovery, query: str, mode: Mode, vectors: Mapping[str, Vector], now: datetime
) -> Sequence[str]:  # fmt: skip
    vector = None if mode == "text" else vectors[query]
    page = search(room.index, Question(query, mode, size=DEPTH), now=now, vector=vector)
    return [hit.document.key for hit in page.hits]
