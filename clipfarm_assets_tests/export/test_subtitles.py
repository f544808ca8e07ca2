"""Subtitles as a reader sees them, for any transcript."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.export.subtitles import Subtitle, SubtitleStyle, clip_subtitles, to_ms, to_srt, to_vtt, width
from clipfarm_assets.media.cues import Cue, Word
from clipfarm_assets.media.subtitles import parse_srt, parse_vtt

SECONDS = st.floats(0, 200, allow_nan=False).map(lambda sec: round(sec, 3))
MAYBE_SECONDS = st.one_of(st.none(), SECONDS, st.floats(-5, 500, allow_nan=False))
WORDS = st.text(st.characters(categories=["L", "N", "M", "P"]), min_size=1, max_size=60)


@st.composite
def cues(draw: st.DrawFn) -> Cue:
    start = draw(SECONDS)
    end = start + draw(st.floats(0, 20))
    words = draw(st.lists(WORDS, max_size=30))
    timed = None
    if draw(st.booleans()):
        timed = tuple(Word(draw(MAYBE_SECONDS), draw(MAYBE_SECONDS), f" {word}") for word in words)
    return Cue(start, end, " ".join(words), timed)


STYLES = st.builds(
    SubtitleStyle, max_characters=st.sampled_from([20, 26, 42]), max_lines=st.sampled_from([1, 2]),
    min_sec=st.sampled_from([0.0, 0.5, 1.0]),
)  # fmt: skip


@given(st.lists(cues(), max_size=12), SECONDS, st.floats(1, 180), STYLES)
def test_every_subtitle_is_inside_the_clip_overlaps_no_other_and_fits(
    transcript: list[Cue], start: float, length: float, style: SubtitleStyle
) -> None:
    subtitles = clip_subtitles(transcript, start, start + length, style)
    for subtitle in subtitles:
        assert 0 <= subtitle.start_ms < subtitle.end_ms <= to_ms(start + length, start)
        assert 1 <= len(subtitle.lines) <= style.max_lines
        assert all(line.strip() == line != "" and width(line) <= style.max_characters for line in subtitle.lines)
    for one, after in pairwise(subtitles):
        assert one.end_ms <= after.start_ms


@given(st.lists(cues(), max_size=12), STYLES)
def test_a_clip_of_the_whole_video_says_every_word_in_order(transcript: list[Cue], style: SubtitleStyle) -> None:
    said = "".join("".join(s.lines).replace(" ", "") for s in clip_subtitles(transcript, -10.0, 1000.0, style))
    ordered = sorted(transcript, key=lambda cue: (cue.start, cue.end))
    assert said == "".join("".join(cue.text.split()) for cue in ordered)


@given(st.integers(0, 10**8), st.integers(0, 10**7))
def test_milliseconds_are_those_of_the_decimal_number(ms: int, later_ms: int) -> None:
    assert to_ms(ms / 1000) == ms
    assert to_ms((ms + later_ms) / 1000, ms / 1000) == later_ms


@pytest.mark.parametrize(
    ("time_sec", "ms"), [(1.001, 1001), (1.0005, 1001), (1.0004999, 1000), (0.0015, 2), (2.675, 2675), (4.0355, 4036)]
)
def test_half_a_millisecond_goes_up(time_sec: float, ms: int) -> None:
    assert to_ms(time_sec) == ms


def test_srt_and_vtt_as_players_read_them() -> None:
    subtitles = clip_subtitles([Cue(11.001, 13.5, "Ships <b> & sails --> home.")], 10.0, 20.0)
    assert to_srt(subtitles) == "1\n00:00:01,001 --> 00:00:03,500\nShips <b> & sails → home.\n"
    assert to_vtt(subtitles) == "WEBVTT\n\n00:00:01.001 --> 00:00:03.500\nShips &lt;b&gt; &amp; sails → home.\n"


@given(st.lists(st.builds(Cue, SECONDS, SECONDS.map(lambda s: s + 200), st.just("one two, three")), max_size=6))
def test_what_is_written_reads_back(transcript: list[Cue]) -> None:
    subtitles = clip_subtitles(transcript, 0.0, 400.0)
    expected = [Cue(s.start_ms / 1000, s.end_ms / 1000, "\n".join(s.lines)) for s in subtitles]
    assert parse_srt(to_srt(subtitles), "a.srt") == expected
    assert parse_vtt(to_vtt(subtitles), "a.vtt") == (expected, None)


def test_an_hour_and_more_is_written_in_hours() -> None:
    assert to_srt([Subtitle(3_661_001, 3_662_000, ("x",))]).startswith("1\n01:01:01,001 --> 01:01:02,000\n")


def test_a_word_belongs_to_the_clip_that_its_middle_is_in() -> None:
    words = (Word(9.0, 9.8, "before"), Word(9.8, 10.4, "middle"), Word(10.4, 11.0, "after"))
    cue = Cue(9.0, 11.0, "before middle after", words)
    (subtitle,) = clip_subtitles([cue], 10.0, 20.0)
    assert subtitle == Subtitle(0, 1000, ("middle after",))
    assert [s.lines for s in clip_subtitles([cue], 5.0, 10.1)] == [("before",)]


def test_long_speech_breaks_into_two_even_lines_at_sentence_ends_and_pauses() -> None:
    text = "We lost the whole catch that night. Nobody slept, and in the morning the harbour was empty."
    lines = [s.lines for s in clip_subtitles([Cue(0.0, 6.0, text)], 0.0, 10.0)]
    assert lines == [
        ("We lost the whole catch that night.",),
        ("Nobody slept, and in the", "morning the harbour was empty."),
    ]
    words = (Word(0.0, 0.5, "one"), Word(0.5, 1.0, "two"), Word(3.0, 3.5, "three"))
    paused = clip_subtitles([Cue(0.0, 3.5, "one two three", words)], 0.0, 10.0)
    assert [(s.start_ms, s.lines) for s in paused] == [(0, ("one two",)), (3000, ("three",))]


def test_a_short_word_stays_long_enough_to_be_read_where_there_is_room() -> None:
    found = clip_subtitles([Cue(1.0, 1.1, "Stop."), Cue(1.6, 1.7, "Now."), Cue(9.9, 9.95, "Go.")], 0.0, 10.0)
    assert [(s.start_ms, s.end_ms) for s in found] == [(1000, 1600), (1600, 2600), (9750, 10000)]


def test_captions_of_a_word_each_become_lines() -> None:
    words = ["this", "is", "how", "most", "captions", "come", "today"]
    found = clip_subtitles([Cue(n * 0.3, n * 0.3 + 0.3, word) for n, word in enumerate(words)], 0.0, 10.0)
    assert [s.lines for s in found] == [("this is how most captions come today",)]


def test_chinese_has_no_spaces_and_wide_characters() -> None:
    words = tuple(Word(n * 0.2, n * 0.2 + 0.2, character) for n, character in enumerate("今天我们谈谈大海和船的故事"))
    (subtitle,) = clip_subtitles([Cue(0.0, 2.6, "今天我们谈谈大海和船的故事", words)], 0.0, 10.0, SubtitleStyle(20))
    assert subtitle.lines == ("今天我们谈谈", "大海和船的故事")
