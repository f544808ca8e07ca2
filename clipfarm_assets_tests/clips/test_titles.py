"""Titles are at most sixty characters, never cut in a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.clips.blend import LlmScore
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.clips.titles import MAX_TITLE, Namer, clock, shortened
from clipfarm_assets.clips.windows import Window
from clipfarm_assets_tests.clips.videos import talk


@given(
    st.lists(st.text(st.characters(categories=["Ll", "Lu", "Nd", "Po"]), min_size=1, max_size=30), max_size=30),
    st.integers(5, 80),
)
def test_a_line_is_shortened_between_words(words: list[str], most: int) -> None:
    text = " ".join(words)
    short = shortened(text, most)
    assert len(short) <= most
    if len(" ".join(text.split())) <= most:
        assert short == " ".join(text.split())
    elif short:
        assert short.endswith("…")
        kept = short[:-1]
        rest = " ".join(text.split()).removeprefix(kept)
        assert " ".join(text.split()).startswith(kept) and rest.lstrip(",;:-–—")[:1] in (" ", "")


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    assert shortened("桥" * 100, 60) == "桥" * 59 + "…"


def test_a_word_that_fits_nowhere_is_no_title() -> None:
    assert shortened("x" * 61, 60) == ""


def namer(*sentences: str, title: str = "The harbour") -> tuple[Namer, Window]:
    cues, duration = talk(sentences)
    timeline = Timeline.of(cues, duration)
    return Namer(timeline, "en", title), Window(0, timeline.duration_ms)


def told(title: str, hashtags: tuple[str, ...] = ()) -> LlmScore:
    return LlmScore(5.0, {}, title, "", hashtags=hashtags)


def test_a_clip_is_called_by_its_most_telling_sentence() -> None:
    names, window = namer("So that was that.", "Salt ate the bridge in ninety days.", "And it was what it was.")
    assert names.title(window, None) == "Salt ate the bridge in ninety days"
    assert names.description(window, None) == "Salt ate the bridge in ninety days."
    assert names.preview(window).startswith("So that was that. Salt ate")
    assert set(names.hashtags(window, None)) == {"#salt", "#bridge", "#days", "#ninety"}


def test_a_models_title_is_taken_and_cut() -> None:
    names, window = namer("Salt ate the bridge.")
    assert names.title(window, told("Why it   fell")) == "Why it fell"
    long = names.title(window, told("Nobody believed that the salt of the sea could eat a bridge like this one"))
    assert len(long) <= MAX_TITLE and long == "Nobody believed that the salt of the sea could eat a bridge…"
    assert names.title(window, told(" ")) == "Salt ate the bridge"


def test_hashtags_are_words_and_at_most_five() -> None:
    names, window = namer("Salt ate the bridge.")
    given_tags = ("#Salt", "salt", "two words", "c++", "", "#", "a", "b1", "c2", "d3", "e4")
    assert names.hashtags(window, told("T", given_tags)) == ["#salt", "#twowords", "#b1", "#c2", "#d3"]


def test_where_nothing_is_said_the_clip_is_called_by_the_video_and_its_time() -> None:
    names, _ = namer()
    assert names.title(Window(83_000, 99_000), None) == "The harbour (1:23)"
    assert namer(title="")[0].title(Window(83_000, 99_000), None) == "(1:23)"
    assert len(namer(title="Harbour " * 20)[0].title(Window(83_000, 99_000), None)) <= MAX_TITLE


@pytest.mark.parametrize(("ms", "text"), [(0, "0:00"), (59_999, "0:59"), (83_000, "1:23"), (3_723_000, "1:02:03")])
def test_times_read_as_people_write_them(ms: int, text: str) -> None:
    assert clock(ms) == text
