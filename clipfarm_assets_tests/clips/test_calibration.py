"""The calibration report finds what was planted, nothing where labels are shuffled, and refuses what leaks."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from clipfarm_assets.clips.calibration import Outcome, VideoRow, calibrate, realised_growth, refuse_leaks
from clipfarm_assets.clips.trend import Views
from clipfarm_assets.errors import ClipError
from clipfarm_assets.metadata.rows import COLUMNS

DAY_ONE = datetime(2026, 1, 1, tzinfo=UTC)
N = 120


def rows(strength: float, seed: int, shuffled: bool = False) -> list[VideoRow]:
    """Growth over several powers of ten, of which the score knows a part; length and the rest know nothing."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0, 10, N)
    growth = np.exp(strength * (score - 5) / 2.9 + rng.normal(0, 1, N) + 5)
    if shuffled:
        growth = rng.permutation(growth)
    return [
        VideoRow(f"v{n}", Outcome(float(growth[n])), {"score": float(score[n]), "length": float(rng.uniform(20, 300))})
        for n in range(N)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_correlation_is_found_and_chance_is_not_taken_for_one(seed: int) -> None:
    report = calibrate(rows(1.0, seed), ["title"], seed)
    ours = report.correlations["score"]
    assert ours.found and ours.low is not None and ours.high is not None
    assert ours.low < 0.69 < ours.high  # of a line with as much noise as signal
    growths = [each.median_growth for each in report.reliability]
    assert growths[-1] > 3 * growths[0] and [each.n for each in report.reliability] == [24] * 5


def test_shuffled_labels_show_nothing() -> None:
    """Of twenty shuffles about one correlates by chance at the level of 5 in 100; hardly ever four."""
    found = [calibrate(rows(1.0, seed, shuffled=True), [], seed) for seed in range(20)]
    assert sum(report.correlations["score"].found for report in found) <= 3
    assert np.abs(np.mean([report.correlations["score"].rho for report in found])) < 0.07
    assert sum(report.correlations["length"].found for report in found) <= 3


def test_the_same_seed_gives_the_same_report() -> None:
    assert calibrate(rows(0.3, 1), [], 7) == calibrate(rows(0.3, 1), [], 7)


def test_it_agrees_with_scipy() -> None:
    from scipy.stats import spearmanr

    data = rows(0.3, 3)
    expected = spearmanr([r.columns["score"] for r in data], [r.outcome.growth for r in data])
    found = calibrate(data, []).correlations["score"]
    assert found.rho == pytest.approx(expected.statistic) and found.p_value == pytest.approx(expected.pvalue, abs=0.03)


def test_what_cannot_be_computed_says_why() -> None:
    few = calibrate(rows(1.0, 0)[:9], []).correlations["score"]
    assert few.rho is None and not few.found and "10 are needed" in (few.reason or "")
    equal = [VideoRow(f"v{n}", Outcome(float(n)), {"score": 5.0}) for n in range(30)]
    assert calibrate(equal, []).correlations["score"].reason == "all values are equal"
    without = [VideoRow("a", Outcome(None, "no horizon"), {}), *rows(1.0, 0)]
    assert calibrate(without, []).left_out == {"no horizon": 1}
    nothing = calibrate([], [])
    assert nothing.correlations["score"].n == 0 and nothing.reliability == ()


def test_a_video_without_a_score_counts_for_the_other_columns_only() -> None:
    data = [
        VideoRow(r.video_id, r.outcome, {**r.columns, "score": None}) if n % 2 else r for n, r in enumerate(rows(1, 1))
    ]
    report = calibrate(data, [])
    assert (report.correlations["score"].n, report.correlations["length"].n) == (N // 2, N)


@pytest.mark.parametrize(
    "column",
    [
        "view_count", "views", "viewCount", "like_count", "likes", "comment_count", "like_rate", "comments_per_view",
        "engagement_rate", "virality_score", "age_days", "horizon_view_count", "horizon_days", "captured_at",
        "views_per_day", "log_views",
    ],
)  # fmt: skip
def test_columns_that_leak_the_label_are_refused_by_name(column: str) -> None:
    with pytest.raises(ClipError, match=column):
        refuse_leaks(["title", column])
    with pytest.raises(ClipError, match=column):
        calibrate(rows(1.0, 0), [column])
    with pytest.raises(ClipError, match=column):
        calibrate([VideoRow("v", Outcome(1.0), {"score": 1.0, column: 2.0})], [])


def test_of_the_metadatas_columns_those_that_are_known_at_publication_may_feed_a_score() -> None:
    leaking = {"captured_at", "view_count", "like_count", "comment_count", "horizon_days", "horizon_view_count"}
    refuse_leaks(set(COLUMNS) - leaking)
    for name in leaking:
        with pytest.raises(ClipError):
            refuse_leaks([name])


@pytest.mark.parametrize(
    ("counts", "days", "count", "growth"),
    [
        ([(10, 500)], 30, 3000, 100.0),
        ([(20, 1000), (40, 3000)], 30, None, 2000 / 30),
        ([(30, 600)], 30, None, 20.0),
        ([(10, 500), (29, 900)], 30, None, None),
        ([], 30, None, None),
        ([(30, 600)], None, None, None),
        ([], 30, 0, 0.0),
    ],
)
def test_growth_is_what_was_seen_at_the_horizon_and_never_guessed(
    counts: list[tuple[int, int]], days: int | None, count: int | None, growth: float | None
) -> None:
    views = Views(DAY_ONE, tuple((DAY_ONE + timedelta(days=at), seen) for at, seen in counts))
    found = realised_growth(views, days, count)
    assert found.growth == (None if growth is None else pytest.approx(growth))
    assert (found.reason is None) == (growth is not None)
