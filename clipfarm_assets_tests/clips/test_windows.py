"""Windows lie inside preset and timeframe, never overlap, cut no word, and are at least five wherever five fit."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfarm_assets.clips.loudness import Loudness
from clipfarm_assets.clips.model import LENGTHS, BatchConfig, LengthPreset, Timeframe
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.clips.windows import FEWEST, find_windows
from clipfarm_assets.media.cues import Cue, Word
from clipfarm_assets_tests.clips.videos import cue_of, talk

TEXTS = (
    "So.",
    "What is that?",
    "It broke in three hundred places",
    "and nobody knew why",
    "Listen to me now!",
    "好的。",
)


@st.composite
def cues(draw: st.DrawFn, words: bool = True) -> list[Cue]:
    """Cues one after another, some of them without word times, some with wrong ones, some overlapping."""
    found, at = [], draw(st.floats(0, 5))
    for _ in range(draw(st.integers(0, 60))):
        cue = cue_of(draw(st.sampled_from(TEXTS)) * draw(st.integers(1, 3)), at, draw(st.floats(0.1, 0.6)))
        if cue.words and words:
            cue = Cue(cue.start, cue.end, cue.text, draw(st.sampled_from([cue.words, None, _wrong(cue.words)])))
        found.append(cue)
        at = max(0.0, cue.end + draw(st.sampled_from([0.0, 0.1, 1.5, 8.0, -0.3])))
    return found


def _wrong(words: Sequence[Word]) -> tuple[Word, ...]:
    """Missing, backwards, endless, elsewhere."""
    bad = [(None, None), (5.0, 1.0), (float("nan"), 2.0), (1e6, 2e6)]
    return tuple(
        Word(*bad[number % 4], word.word) if number % 2 else word for number, word in enumerate(words)
    )  # fmt: skip


@st.composite
def wishes(draw: st.DrawFn) -> BatchConfig:
    start = draw(st.one_of(st.none(), st.floats(0, 200)))
    end = draw(st.one_of(st.none(), st.floats(200.001, 600)))
    preset = draw(st.sampled_from(LengthPreset))
    return BatchConfig(clip_length_preset=preset, processing_timeframe=Timeframe(start=start, end=end))


@settings(max_examples=150, deadline=None)
@given(cues(), st.floats(1, 500), st.lists(st.floats(0, 500), max_size=20), wishes(), st.integers(0, 2**32))
def test_windows_keep_to_preset_and_timeframe_and_to_the_edges_of_words(
    said: list[Cue], duration: float, cuts: list[float], config: BatchConfig, seed: int
) -> None:
    timeline = Timeline.of(said, duration)
    rms = np.random.default_rng(seed).random(int(duration * 10)).astype(np.float32) ** 4
    windows = find_windows(timeline, cuts, config, Loudness(rms))
    frame = config.processing_timeframe
    for window in windows:
        assert config.length.min_ms <= window.length_ms <= config.length.max_ms
        assert window.start_ms >= (frame.start or 0) * 1000 - 1e-6
        assert window.end_ms <= min(duration, frame.end or duration) * 1000 + 1e-6
        for edge in (window.start_ms, window.end_ms):
            assert not any(word.start_ms < edge < word.end_ms for word in timeline.words)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(windows))
    longest = max((word.end_ms - word.start_ms for word in timeline.words), default=0)
    start, end = frame.within_ms(duration)
    if longest < 2000 and end - start >= FEWEST * (config.length.min_ms + 2 * longest):
        assert len(windows) >= FEWEST


@settings(max_examples=100, deadline=None)
@given(cues(words=False), st.floats(30, 300))
def test_where_the_transcript_times_its_words_no_edge_lies_in_one(said: list[Cue], duration: float) -> None:
    """Against the transcript itself: nothing of the timeline is trusted here."""
    ends = itertools.accumulate((each.end for each in said), max, initial=0.0)
    apart = [each for each, before in zip(said, ends, strict=False) if before <= each.start and each.end <= duration]
    said = [each for each, after in itertools.pairwise(apart) if each.end <= after.start]
    for window in find_windows(Timeline.of(said, duration), [], BatchConfig()):
        for edge in (window.start_ms / 1000, window.end_ms / 1000):
            inside = [w for cue in said for w in cue.words or () if w.start + 0.002 < edge < w.end - 0.002]  # type: ignore[operator]
            assert not inside


@given(cues(), st.floats(1, 300))
def test_the_words_of_a_timeline_are_in_order_and_none_is_lost_that_lies_in_the_video(
    said: list[Cue], duration: float
) -> None:
    timeline = Timeline.of(said, duration)
    edges = [edge for word in timeline.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges) and all(0 <= edge <= duration * 1000 + 1e-6 for edge in edges)
    assert [n for s in timeline.sentences for n in range(s.first, s.last)] == list(range(len(timeline.words)))


@pytest.mark.parametrize("preset", LengthPreset)
def test_a_talk_is_cut_between_its_sentences_near_the_presets_middle(preset: LengthPreset) -> None:
    said, duration = talk([f"In the year {n} the harbour was closed for the winter and reopened." for n in range(200)])
    timeline = Timeline.of(said, duration)
    windows = find_windows(timeline, [], BatchConfig(clip_length_preset=preset))
    starts, ends = ({s.start_ms for s in timeline.sentences}, {s.end_ms for s in timeline.sentences})
    assert len(windows) >= FEWEST
    assert all(window.start_ms in starts and window.end_ms in ends for window in windows)
    target = LENGTHS[preset].target_ms
    assert np.median([window.length_ms for window in windows]) == pytest.approx(target, rel=0.35)


def test_without_a_word_the_picture_is_cut_where_its_scenes_are() -> None:
    cuts = [0.0, 31.0, 60.5, 93.0, 119.0, 150.0, 181.0]
    windows = find_windows(Timeline.of([], 210.0), cuts, BatchConfig())
    assert len(windows) >= FEWEST
    assert {window.start_ms / 1000 for window in windows} <= {*cuts} and len(windows) == 7


@pytest.mark.parametrize(("duration", "fitting"), [(14.9, 0), (15.0, 1), (74.9, 4), (75.0, 5), (76.0, 5)])
def test_five_are_found_as_soon_as_five_fit(duration: float, fitting: int) -> None:
    found = len(find_windows(Timeline.of([], duration), [], BatchConfig()))
    assert found >= fitting if fitting == FEWEST else 0 < found <= fitting or found == fitting == 0


def test_topic_shifts_are_where_a_window_ends() -> None:
    """Eight sentences on one thing, eight on another, told apart by their vectors alone."""
    said, duration = talk([f"The tale of number {n} goes on here for a while now and then." for n in range(16)])
    vectors = np.repeat(np.eye(4, dtype=np.float32)[:2], 8, axis=0)
    timeline = Timeline.of(said, duration)
    windows = find_windows(timeline, [], BatchConfig(clip_length_preset=LengthPreset.FROM_30_TO_60),
                           vectors=vectors)  # fmt: skip
    assert timeline.sentences[8].start_ms in {window.start_ms for window in windows}


def test_what_is_said_twice_is_offered_once() -> None:
    """Seven paragraphs of half a minute, and all of them again."""
    once = [" ".join(f"{letter}{n} of" for n in range(35)) + "." for letter in "abcdefg"]
    said, duration = talk([*once, *once])
    windows = find_windows(Timeline.of(said, duration), [], BatchConfig())
    assert [window.end_ms <= duration * 500 for window in windows] == [True] * 7
