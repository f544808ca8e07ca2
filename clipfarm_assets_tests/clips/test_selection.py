"""Clips against replay heatmaps: the numbers are right, and ours beat the simple ways on what they never saw."""

import numpy as np
import pytest

from benchmarks.clip_selection import BASELINES, cached, case_of, compare
from clipfarm_assets.clips.selection import (
    HOT,
    SPANS,
    first_spans,
    heat_of,
    judge,
    keyword_frequency,
    moments,
    of_clips,
    random_scores,
    text_tiling,
)
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets_tests.clips.made import made_videos, passages
from clipfarm_assets_tests.clips.videos import talk
from clipfarm_assets_tests.tasks.labelled_set import packaged_encoder

DURATION = 250.0


def rows(hot: range, spans: int = SPANS) -> list[dict[str, float]]:
    """As yt-dlp brings them."""
    length = DURATION / spans
    return [
        {"start_time": n * length, "end_time": (n + 1) * length, "value": 0.9 if n in hot else 0.1}
        for n in range(spans)
    ]


def hot_from(first: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return moments(heat_of(rows(range(first, first + HOT)), DURATION))


def test_the_hottest_fifth_is_the_truth() -> None:
    assert np.flatnonzero(hot_from(40)).tolist() == list(range(40, 60))
    assert moments(heat_of(rows(range(0)), DURATION)).sum() == HOT


def test_a_heatmap_of_other_spans_is_spread_over_ours() -> None:
    heat = heat_of(rows(range(10, 15), spans=50), DURATION)
    assert np.flatnonzero(heat > 0.5).tolist() == list(range(20, 30))
    assert heat_of(rows(range(10), spans=7), DURATION).shape == (SPANS,)


def test_a_heatmap_with_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="does not cover"):
        heat_of(rows(range(5))[:90], DURATION)
    with pytest.raises(ValueError, match="does not cover"):
        heat_of([{**row, "value": float("nan")} for row in rows(range(5))], DURATION)


def test_a_perfect_answer_and_a_wrong_one() -> None:
    hot = hot_from(40)
    right = judge(of_clips([(100.0, 150.0, 9.0), (0.0, 60.0, 2.0)], DURATION), hot)
    assert (right.hit, right.precision, right.recall, right.f1, right.average_precision) == (1, 1, 1, 1, 1)
    wrong = judge(of_clips([(0.0, 50.0, 9.0)], DURATION), hot)
    assert (wrong.hit, wrong.precision, wrong.recall, wrong.f1) == (0, 0, 0, 0)
    nothing = judge(of_clips([(0.0, 50.0, None)], DURATION), hot)
    assert (nothing.hit, nothing.precision, nothing.recall) == (0, 0, 0)
    assert nothing.average_precision == pytest.approx(0.2)


def test_few_clips_have_precision_without_recall() -> None:
    part = judge(of_clips([(100.0, 125.0, 9.0)], DURATION), hot_from(40))
    assert (part.precision, part.recall, part.f1) == (1.0, 0.5, pytest.approx(2 / 3))


def test_random_finds_a_fifth() -> None:
    found = [judge(random_scores(seed), hot_from(40)).precision for seed in range(200)]
    assert np.mean(found) == pytest.approx(0.2, abs=0.03)


def test_the_first_spans_come_first() -> None:
    assert judge(first_spans(), hot_from(0)).average_precision == pytest.approx(1.0)


def test_keywords_and_topics_are_what_they_say() -> None:
    cues, duration = talk(
        ["Nothing was in there at all, or so it was said."] * 10 + ["Salt salt salt salt salt salt."] * 5
    )
    timeline = Timeline.of(cues, duration)
    assert keyword_frequency(timeline, "en").argmax() > 70
    vectors = np.repeat(np.eye(2, dtype=np.float32), [10, 5], axis=0)
    scores = text_tiling(timeline, lambda texts: vectors)
    assert timeline.sentences[10].start_ms / 1000 / duration * SPANS == pytest.approx(int(scores.argmax()), abs=1)


def test_the_halves_of_the_made_videos_have_nothing_in_common() -> None:
    choose, report = ({text for kind in passages()[half].values() for text in kind} for half in ("choose", "report"))
    assert not choose & report
    first, again = made_videos("report", 2), made_videos("report", 2)
    assert [each.cues for each in first] == [each.cues for each in again] and first[0].cues != first[1].cues


def test_ours_lead_every_simple_way_on_the_half_that_nothing_was_chosen_on() -> None:
    videos = made_videos("report", 12)
    encode = cached(packaged_encoder(), videos)
    found = compare(case_of(made, encode) for made in videos)
    ours = found.pop("ours")
    for name in BASELINES:
        other = found[name]
        for measure in ("hit", "precision", "recall", "f1", "average_precision"):
            assert getattr(ours, measure) > getattr(other, measure), (name, measure)
