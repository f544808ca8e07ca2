"""Words come with the times that the transcript gives, or with a share of the time around them."""

import pytest

from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.media.cues import Cue, Word


def spans(timeline: Timeline) -> list[tuple[str, int, int, bool]]:
    return [(word.text, word.start_ms, word.end_ms, word.estimated) for word in timeline.words]


def test_given_times_are_kept_and_missing_ones_lie_between_them() -> None:
    words = (Word(1.0, 1.4, "one"), Word(None, None, "two"), Word(2.0, 2.5, " three."))
    timeline = Timeline.of([Cue(1.0, 2.5, "one two three.", words)], 10.0)
    assert spans(timeline) == [("one", 1000, 1400, False), ("two", 1400, 2000, True), ("three.", 2000, 2500, False)]


@pytest.mark.parametrize("bad", [(5.0, 6.0), (0.5, 0.2), (float("nan"), 1.5), (0.0, 0.5), (1.5, 1.5)])
def test_times_that_cannot_be_are_estimated(bad: tuple[float, float]) -> None:
    words = (Word(1.0, 1.4, "one"), Word(*bad, "two"), Word(2.0, 2.5, "three."))
    timeline = Timeline.of([Cue(1.0, 2.5, "one two three.", words)], 10.0)
    assert spans(timeline)[1] == ("two", 1400, 2000, True)


def test_without_word_times_a_cue_is_shared_by_characters() -> None:
    timeline = Timeline.of([Cue(0.0, 1.0, "a bcdefgh")], 10.0)
    assert spans(timeline) == [("a", 0, 200, True), ("bcdefgh", 200, 1000, True)]


def test_captions_that_stay_on_display_end_where_the_next_begin() -> None:
    timeline = Timeline.of([Cue(0.0, 5.0, "one"), Cue(2.0, 6.0, "two")], 10.0)
    assert spans(timeline) == [("one", 0, 2000, True), ("two", 2000, 6000, True)]


def test_what_lies_outside_of_the_video_is_not_there() -> None:
    timeline = Timeline.of([Cue(8.0, 12.0, "one two"), Cue(20.0, 21.0, "three")], 10.0)
    assert [(w.text, w.end_ms) for w in timeline.words] == [("one", 10000)]


@pytest.mark.parametrize(
    ("cues", "sentences"),
    [
        (["It fell. Why? Dr. Lee, i.e. nobody, knew!"], ["It fell.", "Why?", "Dr. Lee, i.e. nobody, knew!"]),
        (['He said "stop." And left...'], ['He said "stop."', "And left..."]),
        (["it fell down and", "nobody knew why"], ["it fell down and", "nobody knew why"]),
        (["桥塌了。为什么？"], ["桥塌了。", "为什么？"]),
    ],
)
def test_sentences_end_at_full_stops_and_without_any_at_cues(cues: list[str], sentences: list[str]) -> None:
    timeline = Timeline.of([Cue(3.0 * n, 3.0 * n + 3, text) for n, text in enumerate(cues)], 100.0)
    assert [each.text for each in timeline.sentences] == sentences


def test_a_long_pause_ends_a_sentence() -> None:
    words = (Word(0.0, 0.5, "It"), Word(2.0, 2.5, "fell."), Word(2.6, 3.0, "Why?"))
    assert [s.text for s in Timeline.of([Cue(0, 3, "It fell. Why?", words)], 5.0).sentences] == ["It", "fell.", "Why?"]


def test_silences_are_where_nobody_speaks() -> None:
    timeline = Timeline.of([Cue(1.0, 2.0, "one"), Cue(5.0, 6.0, "two")], 10.0)
    assert list(timeline.silences()) == [(0, 1000), (2000, 5000), (6000, 10000)]
    assert list(timeline.silences(3_500)) == [(6000, 10000)]
    assert list(Timeline.of([], 3.0).silences()) == [(0, 3000)]
