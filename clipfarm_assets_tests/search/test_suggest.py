"""Suggestions while somebody types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.errors import QueryRefused
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.search.suggest import Suggestion, suggest
from clipfarm_assets.search.words import fold, fold_any, prefixes, query_words, typed_words, words

DOCUMENTS = [
    Document(
        "video", "1", title="Insane ace on Ascent", game="Valorant", broadcaster="NovaKestrel", tags=("Highlights",)
    ),
    Document("video", "2", title="Valley walk", game="valorant", broadcaster="VelvetMeadow"),
    Document("video", "3", title="桜の花見で最高の一枚", game="Valorant", tags=("お花見",)),
    Document("clip", "4", title="Über cool café tour", tags=("Ünicode",)),
    Document("clip", "5", title="أجمل أهداف كرة القدم"),
    Document("clip", "6", title="🔥 set"),
]


@pytest.fixture
def index(local_index: SearchIndex) -> SearchIndex:
    local_index.upsert(Entry(document) for document in DOCUMENTS)
    return local_index


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("val", ["Valorant", "Valley walk"]), ("asc", ["Insane ace on Ascent"]), ("ace ins", ["Insane ace on Ascent"]),
        ("INSANE A", ["Insane ace on Ascent"]), ("kestrel", []), ("novak", ["NovaKestrel"]), ("high", ["Highlights"]),
        ("花見", ["お花見", "桜の花見で最高の一枚"]), ("花", ["お花見", "桜の花見で最高の一枚"]),
        ("uber", ["Über cool café tour"]),
        ("cafe", ["Über cool café tour"]), ("أهد", ["أجمل أهداف كرة القدم"]), ("🔥", ["🔥 set"]), ("v", []), ("", []),
        ("   ", []), ("'\"*", []), ("zzz", []), ("valorantvalorantvalorant", []), ("\ud800", []), ("a\x00c", []),
    ],
)  # fmt: skip
def test_words_are_completed_from_any_word_of_any_script(index: SearchIndex, typed: str, expected: list[str]) -> None:
    assert [suggestion.text for suggestion in suggest(index, typed)] == expected


def test_suggestions_come_and_go_with_their_item(index: SearchIndex) -> None:
    index.upsert([Entry(Document("video", "7", title="Zeppelin"))])
    index.optimize()
    assert suggest(index, "zep") == (Suggestion("Zeppelin", "title"),)
    index.delete(["video/7"])
    assert suggest(index, "zep") == ()


@pytest.mark.parametrize(("typed", "size"), [("x" * 1_001, 5), ("val", 0), ("val", 21)])
def test_what_is_beyond_the_limits_is_refused_by_name(index: SearchIndex, typed: str, size: int) -> None:
    with pytest.raises(QueryRefused):
        suggest(index, typed, size)


@given(st.text(st.sampled_from("'sS aB1_.-\0\n\x7f")) | st.text(st.characters(max_codepoint=127)))
def test_the_quick_folding_of_ascii_is_the_folding_of_any_text(text: str) -> None:
    assert fold(text) == fold_any(text)


@given(st.text(max_size=60))
def test_words_are_words_whatever_the_text(text: str) -> None:
    for word in [*words(text), *typed_words(text), *prefixes([text]), *(w.stem for w in query_words(text))]:
        assert word
        assert word.split() == [word]
        word.encode()


@given(st.text(max_size=60))
def test_a_text_holds_every_word_of_the_query_that_it_is(text: str) -> None:
    assert {word.stem for word in query_words(text)} <= set(words(text))
