"""A question becomes a page of answers.

In: the question, the index, the question's own vector where meaning is searched, and what people made of the items
where that is sorted or filtered by. Out: a ``Page``. Wrong questions are ``QueryRefused``.

By relevance, candidates come in tiers of depth: the best 100 of each search, then the best 1,000, then all that paging
can reach. The order within a tier never depends on the page that is asked for, and a later tier only adds what is new:
so page 2 continues page 1. Hybrid merges both searches of a tier by reciprocal rank fusion (Cormack, Clarke, Büttcher
2009): an item counts with 1 / (60 + rank) for each search that has it, so one without a vector is found by its words.
"""

from asyncio import gather
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from clipfarm_assets.errors import QueryRefused
from clipfarm_assets.search.candidates import FACTS, KEY, NEAR, Found, by_meaning, by_words, everything
from clipfarm_assets.search.connection import answer_to
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.filters import Filters, both, expression, literal, one_of
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.popularity import Counts, engagement, hot, recency, trending
from clipfarm_assets.search.rows import Vector, microseconds, to_document
from clipfarm_assets.search.words import Word, query_words

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import AsyncTable

Mode = Literal["text", "semantic", "hybrid"]
Sort = Literal["relevance", "popular", "recent", "hot", "trending"]

MAX_SIZE = 100
MAX_OFFSET = 10_000
MAX_QUERY = 1_000
RRF_K = 60
_TIERS = (NEAR, 1_000, MAX_OFFSET + MAX_SIZE)
_RANGES = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        text: what a user typed; empty asks for everything that passes the filters.
        mode: text by words, semantic by meaning, hybrid by both. Without a text it makes no difference.
        sort: anything but relevance orders the candidates: what has the words, and for the modes with meaning the 100
            nearest. Without a text relevance is ``recent``.
        facets: whether to count languages, games and dates of the candidates.
    """

    text: str = ""
    mode: Mode = "hybrid"
    filters: Filters = field(default_factory=Filters)
    sort: Sort = "relevance"
    size: int = 20
    offset: int = 0
    facets: bool = False


@dataclass(frozen=True)
class Hit:
    """One answer. ``score`` is of the order that was asked for, and comparable within one answer only."""

    document: Document
    score: float


@dataclass(frozen=True)
class Page:
    """Answers from ``offset`` on.

    Attributes:
        total: how many candidates there are; at least so many where ``total_is_exact`` is False.
        facets: counts by value: ``language``, ``game``, ``created`` (day, week, month, year, older). Of games, names
            by id.
    """

    hits: tuple[Hit, ...]
    total: int
    total_is_exact: bool
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Counted(Protocol):
    """Sums of many items, as arrays of equal length."""

    @property
    def votes(self) -> Any: ...

    @property
    def comments(self) -> Any: ...

    @property
    def favourites(self) -> Any: ...


class Popularity(Protocol):
    """What people made of the items; see ``database.discovery``."""

    def counts(self, keys: Sequence[str]) -> Counted:
        """Votes, comments and favourites of each key, in order, as arrays; 0 where nobody did anything."""

    def with_votes(self, least: int) -> set[str]:
        """Keys of the items with at least so many votes, for ``least`` of 1 or more."""


def search(
    index: SearchIndex,
    question: Question,
    *,
    now: datetime,
    vector: Vector | None = None,
    popularity: Popularity | None = None,
) -> Page:
    """Answers a question.

    Args:
        vector: the discovery vector of the question's text; needed for semantic. Hybrid without it goes by words.
        popularity: needed to sort by popular, hot or trending, and for ``min_votes``.

    Raises:
        QueryRefused: the question is not one that is answered.
        SearchError: the index cannot be used.
    """
    check(question)
    words = query_words(question.text) if question.text else []
    if question.mode == "semantic" and question.text and vector is None:
        raise QueryRefused("A search by meaning needs the vector of its text.")
    table = index.reader()
    where = both(expression(question.filters), _votes(question.filters, popularity))
    asked = _Asked(table, words, vector if question.mode != "text" else None, question.mode, where)
    ranked = question.sort == "relevance" and bool(question.text.strip())
    if ranked and not question.facets:
        keys, scores, exact = _by_relevance(asked, question.offset + question.size)
        return Page(_hits(table, question, keys, scores), len(keys), exact)
    rows, complete = answer_to(asked.matching() if question.text.strip() else asked.all_that_passes())
    facets = _facets(rows, now) if question.facets else {}
    if ranked:
        keys, scores, _ = _by_relevance(asked, question.offset + question.size)
        return Page(_hits(table, question, keys, scores), max(rows.num_rows, len(keys)), complete, facets)
    keys, scores = _sorted(rows, "recent" if question.sort == "relevance" else question.sort, popularity, now)
    return Page(_hits(table, question, keys, scores), len(keys), complete, facets)


def similar(index: SearchIndex, key: str, *, size: int = 20, filters: Filters | None = None) -> tuple[Hit, ...] | None:
    """The items nearest to one by discovery vector, itself left out; None where it is not there or has no vector."""
    check(Question(size=size))
    table = index.reader()
    rows = answer_to(table.query().where(f"key = {literal(key)}").select(["vector"]).limit(1).to_arrow())
    own = rows["vector"].to_pylist()
    if not own or own[0] is None:
        return None
    where = both(expression(filters or Filters()), f"key <> {literal(key)}")
    vector = np.asarray(own[0], np.float32)
    found = answer_to(by_meaning(table, vector, where, size))
    return _hits(table, Question(size=size), found.keys, found.rows["score"].to_pylist())


def check(question: Question) -> None:
    """QueryRefused where sizes, offsets, modes or the text are beyond what is answered."""
    if not 1 <= question.size <= MAX_SIZE:
        raise QueryRefused(f"size is 1 to {MAX_SIZE}.")
    if not 0 <= question.offset <= MAX_OFFSET:
        raise QueryRefused(f"offset is 0 to {MAX_OFFSET:,}.")
    if len(question.text) > MAX_QUERY:
        raise QueryRefused(f"A query may have {MAX_QUERY:,} characters.")
    for name, value, allowed in (("mode", question.mode, get_args(Mode)), ("sort", question.sort, get_args(Sort))):
        if value not in allowed:
            raise QueryRefused(f"{name} is one of {', '.join(allowed)}.")


def fuse(rankings: Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    """Reciprocal rank fusion: keys with their scores, best first, equal ones by key."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1.0 / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class _Asked:
    """A question made ready. ``vector`` is None where meaning is not searched."""

    table: "AsyncTable"
    words: Sequence[Word]
    vector: Vector | None
    mode: Mode
    where: str | None

    async def tier(self, depth: int) -> list[Found]:
        """What each search has, down to a depth; they run side by side."""
        return await gather(*self._searches(depth, depth, KEY))

    async def all_that_passes(self) -> "tuple[pa.Table, bool]":
        """Every item that passes the filters, and that these are all."""
        return (await everything(self.table, self.where)).rows, True

    async def matching(self) -> "tuple[pa.Table, bool]":
        """Every candidate, in no order, and whether these are all."""
        import pyarrow as pa

        found = [each.rows for each in await gather(*self._searches(_TIERS[-1], NEAR, FACTS))]
        if not found:
            return (await everything(self.table, "false")).rows, True
        rows, seen = pa.concat_tables(found), set[str]()
        first = [not (key in seen or seen.add(key)) for key in rows["key"].to_pylist()]  # type: ignore[func-returns-value]
        return rows.filter(pa.array(first, pa.bool_())), all(each.num_rows < _TIERS[-1] for each in found)

    def _searches(self, words_deep: int, near: int, columns: Sequence[str]) -> Iterator[Coroutine[Any, Any, Found]]:
        if self.mode != "semantic" and self.words:
            yield by_words(self.table, self.words, self.where, words_deep, columns)
        if self.vector is not None:
            yield by_meaning(self.table, self.vector, self.where, near, columns)


def _by_relevance(asked: _Asked, needed: int) -> tuple[list[str], list[float], bool]:
    """Keys and scores, at least as many as are needed where there are so many, and whether these are all."""
    seen: dict[str, float] = {}
    complete = True
    for depth in _TIERS:
        found = answer_to(asked.tier(depth))
        merged = _merged(found)
        for key, score in merged:
            seen.setdefault(key, score)
        complete = all(each.rows.num_rows < depth for each in found)
        if complete or len(seen) >= needed:
            break
    return list(seen), list(seen.values()), complete


def _merged(found: Sequence[Found]) -> Iterator[tuple[str, float]]:
    if len(found) == 1:
        yield from zip(found[0].keys, found[0].rows["score"].to_pylist(), strict=True)
    else:
        yield from fuse([each.keys for each in found])


def _votes(filters: Filters, popularity: Popularity | None) -> str | None:
    """The items with enough votes as an expression; items that nobody voted for have 0."""
    if filters.min_votes is None:
        return None
    if popularity is None:
        raise QueryRefused("min_votes needs the database of votes.")
    if filters.min_votes < 1:
        raise QueryRefused("min_votes is 1 or more.")
    return one_of("key", sorted(popularity.with_votes(filters.min_votes)))


def _sorted(
    rows: "pa.Table", sort: Sort, popularity: Popularity | None, now: datetime
) -> tuple[list[str], list[float]]:
    """Keys and scores by another order than relevance; what has no date counts as made in 1970."""
    keys: list[str] = rows["key"].to_pylist()
    created = rows["created_us"].fill_null(0).to_numpy().astype(np.float64)
    hours = np.maximum(microseconds(now) - created, 0.0) / 3.6e9
    if sort == "recent":
        scores, rank = recency(hours / 24), created
    else:
        if popularity is None:
            raise QueryRefused(f"Sorting by {sort} needs the database of votes.")
        made = popularity.counts(keys)
        counts = Counts(made.votes, made.comments, made.favourites, rows["views"].fill_null(0).to_numpy())
        scores = rank = {
            "popular": lambda: engagement(counts),
            "hot": lambda: hot(counts.votes, hours),
            "trending": lambda: trending(counts, hours),
        }[sort]()
    order = np.lexsort((np.asarray(keys, dtype=object), -rank))
    return [keys[i] for i in order], [float(scores[i]) for i in order]


def _hits(table: "AsyncTable", question: Question, keys: Sequence[str], scores: Sequence[float]) -> tuple[Hit, ...]:
    """The asked page's documents; one that was deleted meanwhile is left out."""
    wanted = slice(question.offset, question.offset + question.size)
    page = dict(zip(keys[wanted], scores[wanted], strict=True))
    if not page:
        return ()
    rows = answer_to(table.query().where(one_of("key", page)).select(["key", "shown"]).to_arrow())
    documents = {row["key"]: to_document(row["shown"]) for row in rows.to_pylist()}
    return tuple(Hit(documents[key], score) for key, score in page.items() if key in documents)


def _facets(rows: "pa.Table", now: datetime) -> dict[str, dict[str, int]]:
    languages = Counter(rows["language"].to_pylist())
    games = Counter(game or game_id for game, game_id in zip(*(rows[n].to_pylist() for n in ("game", "game_id"))))  # noqa: B905
    dates: dict[str, int] = dict.fromkeys([*_RANGES, "older"], 0)
    starts = {name: microseconds(now - timedelta(days=days)) for name, days in _RANGES.items()}
    for created in rows["created_us"].to_pylist():
        if created is not None:
            dates[next((name for name, start in starts.items() if created >= start), "older")] += 1
    counted = {"language": dict(languages.most_common()), "game": dict(games.most_common()), "created": dates}
    return {name: {value: n for value, n in values.items() if value} for name, values in counted.items()}
