"""Answers of the index, compared with slow simple references, and questions that no user should ask."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfarm_assets.errors import DimensionMismatch, QueryRefused
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.filters import Filters
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.popularity import Counts, engagement, hot, recency, trending
from clipfarm_assets.search.query import Mode, Page, Question, Sort, search, similar
from clipfarm_assets.search.rows import Entry, Vector
from clipfarm_assets.search.words import query_words
from clipfarm_assets_tests.search.corpus import DIM, NOW, bm25, nearest


def keys(page: Page) -> list[str]:
    return [hit.document.key for hit in page.hits]


def ask(
    index: SearchIndex, text: str = "", mode: Mode = "text", filters: Filters | None = None,
    vector: Vector | None = None, size: int = 100, offset: int = 0,
) -> list[str]:  # fmt: skip
    question = Question(text, mode, filters or Filters(), size=size, offset=offset)
    return keys(search(index, question, now=NOW, vector=vector))


def direction(seed: int) -> Vector:
    return np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)


class Votes:
    """Votes by key, as the database would give them."""

    def __init__(self, votes: dict[str, int]) -> None:
        self.votes = votes

    def counts(self, keys: Sequence[str]) -> Counts:
        zeros = np.zeros(len(keys), np.int64)
        return Counts(np.array([self.votes.get(key, 0) for key in keys]), zeros, zeros)

    def with_votes(self, least: int) -> set[str]:
        return {key for key, votes in self.votes.items() if votes >= least}


@pytest.mark.parametrize("text", ["clutch", "running ocean", "valorant ace boss", "streamer 17"])
def test_text_ranks_as_bm25_over_weighted_fields(filled_index: SearchIndex, filled: list[Entry], text: str) -> None:
    expected = bm25(filled, [word.stem for word in query_words(text)])
    found = search(filled_index, Question(text, "text", size=50), now=NOW)
    assert found.hits
    best = sorted(expected.values(), reverse=True)[: len(found.hits)]
    assert [hit.score for hit in found.hits] == pytest.approx(best, rel=2e-3)
    assert [expected[key] for key in keys(found)] == pytest.approx(best, rel=2e-3)


def put(index: SearchIndex, *documents: Document) -> None:
    index.upsert(Entry(document) for document in documents)


def test_every_word_is_required_across_all_fields_together(local_index: SearchIndex) -> None:
    put(
        local_index,
        Document("video", "both", title="An ace", game="Valorant"),
        Document("video", "game", title="A clutch", game="Valorant"),
        Document("video", "title", title="An ace", game="Fortnite"),
    )
    assert ask(local_index, "valorant ace") == ["video/both"]


def test_the_title_counts_more_than_tags_and_these_more_than_the_game(local_index: SearchIndex) -> None:
    same = "words words words"
    put(
        local_index,
        Document("video", "game", title=same, description=same, game="Portal"),
        Document("video", "tag", title=same, description=same, tags=("portal",)),
        Document("video", "title", title="portal", description=f"{same} {same}"),
    )
    assert ask(local_index, "portal") == ["video/title", "video/tag", "video/game"]


@pytest.mark.parametrize("typed", ["valarant", "Valoratn", "vlaorant", "VALORANTT", "valorant's", "valorants"])
def test_typing_errors_are_forgiven(local_index: SearchIndex, typed: str) -> None:
    put(local_index, Document("video", "v", game="Valorant"), Document("video", "m", game="Minecraft"))
    local_index.optimize()
    assert ask(local_index, typed) == ["video/v"]


def test_what_is_spelled_right_stands_before_what_is_nearly_so(local_index: SearchIndex) -> None:
    put(local_index, Document("clip", "near", title="casting"), Document("video", "right", title="castle"))
    local_index.optimize()
    assert ask(local_index, "castle")[0] == "video/right"


@pytest.mark.parametrize(
    ("title", "typed"),
    [
        ("桜の花見で最高の一枚", "桜"), ("桜の花見で最高の一枚", "花見"), ("ﾗｰﾒﾝの作り方", "ラーメン"),
        ("أجمل أهداف المُباراة", "مباراة"), ("أجمل أهداف", "اهداف"), ("watch 🔥🔥 this", "🔥"),
        ("한국어 게임을 하다", "게임"), ("Über den Dächern", "uber dachern"), ("runs and running", "run"),
        ("สวัสดีชาวโลก", "โลก"), ("Мои лучшие моменты", "ЛУЧШИЕ"),
    ],
)  # fmt: skip
def test_titles_of_any_script_are_found(local_index: SearchIndex, title: str, typed: str) -> None:
    put(local_index, Document("video", "it", title=title), Document("video", "no", title="something else"))
    assert ask(local_index, typed) == ["video/it"]


def test_hybrid_finds_what_has_no_vector_and_what_has_no_word(filled_index: SearchIndex, filled: list[Entry]) -> None:
    vector, worded = direction(1), bm25(filled, ["castl", "storm"]).keys()
    found = set(ask(filled_index, "castle storm", "hybrid", vector=vector))
    assert found & {entry.document.key for entry in filled if entry.vector is None} & worded
    assert found & set(nearest(filled, vector, 10)) - worded


@pytest.mark.parametrize(
    "filters",
    [
        Filters(), Filters(tags=("TAG 3",)), Filters(broadcaster_id="b17"), Filters(kind="clip", language="en"),
        Filters(created_from=NOW - timedelta(hours=30), created_to=NOW), Filters(game_id="1", creator_id="c2"),
    ],
)  # fmt: skip
def test_filters_come_before_the_nearest_neighbours(
    filled_index: SearchIndex, filled: list[Entry], filters: Filters
) -> None:
    def passes(document: Document) -> bool:
        simple = all(
            getattr(filters, name) in (None, getattr(document, name))
            for name in ("game_id", "broadcaster_id", "creator_id", "language", "kind")
        )
        tagged = {tag.casefold() for tag in filters.tags} <= {tag.casefold() for tag in document.tags}
        assert document.created_at
        since = filters.created_from is None or document.created_at >= filters.created_from
        return simple and tagged and since and (filters.created_to is None or document.created_at < filters.created_to)

    passing = [entry for entry in filled if passes(entry.document)]
    right = total = 0
    for seed in range(20):
        expected = nearest(passing, direction(seed), 10)
        found = ask(filled_index, "any", "semantic", filters, direction(seed), size=10)
        assert len(found) == len(expected) == 10
        right, total = right + len(set(found) & set(expected)), total + 10
    assert right / total >= 0.98
    assert set(ask(filled_index, filters=filters)) <= {entry.document.key for entry in passing}


@pytest.mark.parametrize("mode", ["text", "semantic", "hybrid"])
def test_pages_continue_each_other(filled_index: SearchIndex, mode: Mode) -> None:
    whole = [ask(filled_index, "castle", mode, vector=direction(3), size=100, offset=n) for n in (0, 100, 200)]
    flat = [key for page in whole for key in page]
    assert len(flat) == len(set(flat)) == 300
    thirds = [ask(filled_index, "castle", mode, vector=direction(3), size=30, offset=n) for n in range(0, 300, 30)]
    assert [key for page in thirds for key in page] == flat


def test_all_there_is_can_be_paged_through(filled_index: SearchIndex, filled: list[Entry]) -> None:
    expected = bm25(filled, ["castl"])
    seen = [key for n in range(0, 2_000, 100) for key in ask(filled_index, "castle", offset=n)]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected.keys()


def test_facets_count_all_that_matches(filled_index: SearchIndex, filled: list[Entry]) -> None:
    page = search(filled_index, Question("castle", "text", facets=True, size=1), now=NOW)
    worded = bm25(filled, ["castl"]).keys()
    matching = [entry.document for entry in filled if entry.document.key in worded]
    assert page.total == len(matching)
    assert page.total_is_exact
    assert page.facets["language"]["ja"] == sum(d.language == "ja" for d in matching)
    assert page.facets["game"]["Valorant"] == sum(d.game == "Valorant" for d in matching)
    recent = {f"i{number}" for number in range(25)}  # an item is as many hours old as its number
    assert page.facets["created"]["day"] == sum(d.id in recent for d in matching)
    assert sum(page.facets["created"].values()) == len(matching)


@pytest.mark.parametrize("sort", ["recent", "popular", "hot", "trending"])
def test_sorts_follow_their_formulas(filled_index: SearchIndex, filled: list[Entry], sort: Sort) -> None:
    votes = {f"video/i{n}": 5_000 - n for n in range(1_001, 1_040)} | {"clip/i4": -3}
    page = search(filled_index, Question("", sort=sort, size=50), now=NOW, popularity=Votes(votes))

    def value(document: Document) -> float:
        assert document.created_at
        age = (NOW - document.created_at) / timedelta(hours=1)
        counts = Counts(votes=votes.get(document.key, 0), views=document.views)
        formulas = {"recent": recency(age / 24), "popular": engagement(counts), "trending": trending(counts, age)}
        return float(formulas[sort] if sort in formulas else hot(counts.votes, age))

    documents = {entry.document.key: entry.document for entry in filled}
    best = sorted((value(document) for document in documents.values()), reverse=True)[:50]
    assert [value(documents[key]) for key in keys(page)] == pytest.approx(best)
    assert [hit.score for hit in page.hits] == pytest.approx(best)


def test_the_formulas_are_those_of_the_contract() -> None:
    counts = Counts(votes=4, comments=3, favourites=2, views=100)
    assert engagement(counts) == 40 + 15 + 6 + 1
    assert trending(counts, 0.25) == 100 + 8 + 9 + 4
    assert trending(counts, 11.0) == pytest.approx(11.0)
    assert hot(np.array([100, -100, 0, 1]), np.array([0, 0, 25, 12.5])) == pytest.approx([2, -2, -2, -1])
    assert recency(np.array([0, 7, 14])) == pytest.approx([100, 50, 25])


def test_min_votes_filters_before_the_search(filled_index: SearchIndex, filled: list[Entry]) -> None:
    votes = {entry.document.key: 3 for entry in filled[50:70]}
    question = Question("any", "semantic", Filters(min_votes=2), size=10)
    found = search(filled_index, question, now=NOW, vector=direction(2), popularity=Votes(votes))
    assert keys(found) == nearest(filled[50:70], direction(2), 10)


def test_similar_items_are_the_nearest_without_the_item_itself(filled_index: SearchIndex, filled: list[Entry]) -> None:
    own = filled[1]
    assert own.vector is not None
    found = similar(filled_index, own.document.key, size=5)
    assert found is not None
    assert [hit.document.key for hit in found] == nearest([e for e in filled if e is not own], own.vector, 5)
    assert similar(filled_index, filled[0].document.key) is None
    assert similar(filled_index, "video/nobody") is None


@pytest.mark.parametrize(
    "question",
    [
        Question(size=0), Question(size=101), Question(offset=-1), Question(offset=10_001), Question("x" * 10_000_000),
        Question(mode="magic"), Question(sort="magic"), Question("x", "semantic"), Question(sort="hot"),  # type: ignore[arg-type]
        Question(filters=Filters(language="x" * 1_000)), Question(filters=Filters(kind="film")),  # type: ignore[arg-type]
        Question(filters=Filters(created_from=NOW.replace(tzinfo=None))), Question(filters=Filters(min_votes=1)),
    ],
)  # fmt: skip
def test_questions_beyond_the_limits_are_refused_by_name(filled_index: SearchIndex, question: Question) -> None:
    with pytest.raises(QueryRefused):
        search(filled_index, question, now=NOW)


def test_a_vector_of_another_model_is_refused_by_name(filled_index: SearchIndex) -> None:
    for wrong in (np.ones(DIM + 1, np.float32), np.zeros(DIM, np.float32), np.full(DIM, np.nan, np.float32)):
        with pytest.raises(DimensionMismatch):
            search(filled_index, Question("x", "semantic"), now=NOW, vector=wrong)


HOSTILE = [
    "' OR 1=1 --", '"; DROP TABLE documents; --', "ace AND NOT (boss OR *)", "title:ace^5 ~2 +boss -clutch", "a\x00b",
    "\ud800\udfff lone", "{}[]\\/|&&!!", "%s %00 ../../etc/passwd", "')) OR array_has(tag_keys, 'All", "ace~ *",
    "\u202e\u200b",
    "x" * 1_000, "é" * 500, " ", "\n\t", "true", "key IN ('video/i1')", "<script>alert(1)</script>", "🔥" * 400,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("mode", ["text", "semantic", "hybrid"])
def test_hostile_queries_get_an_answer(filled_index: SearchIndex, text: str, mode: Mode) -> None:
    assert len(ask(filled_index, text, mode, vector=direction(0), size=5)) <= 5


@settings(max_examples=60, deadline=None)
@given(value=st.text(max_size=30) | st.sampled_from(HOSTILE))
def test_a_filters_value_never_lets_more_through(filled_index: SearchIndex, value: str) -> None:
    known = {"en", "ja"} | {f"b{number}" for number in range(100)}
    for filters in (Filters(language=value), Filters(broadcaster_id=value)):
        with suppress(QueryRefused):
            assert ask(filled_index, filters=filters, size=5) == [] or value in known


def test_an_odd_value_finds_exactly_its_item(local_index: SearchIndex) -> None:
    odd = ["it's", "a''b", 'say "x"', "back\\slash", "per%cent_", "line\nbreak", "--", "{f}", "日本", "$1", "E'x'"]
    put(local_index, *(Document("video", str(n), broadcaster_id=text, tags=(text,)) for n, text in enumerate(odd)))
    for number, text in enumerate(odd):
        assert ask(local_index, filters=Filters(broadcaster_id=text)) == [f"video/{number}"]
        assert ask(local_index, filters=Filters(tags=(text,))) == [f"video/{number}"]


def test_an_edit_is_found_at_once_and_changes_one_row(index: SearchIndex, filled: list[Entry]) -> None:
    index.upsert(filled[:30])
    document = replace(filled[3].document, title="zebra crossing")
    before = index.indexed()
    assert index.upsert([replace(filled[3], document=document)]) == 1
    assert ask(index, "zebra") == [document.key]
    after = index.indexed()
    assert {key for key in after if after[key] != before[key]} == {document.key}
    assert index.facts().documents == 30
    index.delete([document.key])
    assert ask(index, "zebra") == []
