"""The trend knows nothing that was not known before the video was published, and never its own views."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.clips.local_score import Judged
from clipfarm_assets.clips.trend import KnownViews, Views, judge_trend

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NEAR = [(f"v{n}", 0.9 - n / 20) for n in range(5)]


def views(*counts: tuple[float, int], age_days: float = 20.0) -> Views:
    """Published so many days before ``NOW``; counts so many days before ``NOW``."""
    return Views(NOW - timedelta(days=age_days), tuple((NOW - timedelta(days=at), seen) for at, seen in counts))


def corpus(**changes: Views) -> dict[str, Views]:
    """Twenty videos; the higher the number, the more were they seen."""
    return {f"v{n}": views((5, 1000 * (n + 1))) for n in range(20)} | changes


def score(known: dict[str, Views], nearest: list[tuple[str, float]] = NEAR) -> Judged:
    return judge_trend("own", NOW, nearest, KnownViews(known))


def test_it_is_the_share_of_videos_that_were_watched_less() -> None:
    low, high = score(corpus()), score(corpus(), [(f"v{n}", 0.9) for n in range(15, 20)])
    assert 0 <= (low.score or 0) < 2 and 8 < (high.score or 0) <= 10
    assert "views a day before this one was published" in low.evidence[0].what and "v0" in low.evidence[0].what


@given(st.lists(st.tuples(st.floats(-300, 0), st.integers(0, 10**9)), max_size=5), st.integers(0, 10**9))
def test_what_is_counted_at_or_after_publication_changes_nothing(later: list[tuple[float, int]], own: int) -> None:
    known = corpus()
    changed = {
        name: Views(each.published_at, each.counts + views(*later).counts) for name, each in known.items()
    }  # fmt: skip
    changed["own"] = views((19, own), (3, own))
    changed["published later"] = Views(NOW + timedelta(days=1), ((NOW + timedelta(days=2), own),))
    assert score(changed, [*NEAR, ("own", 1.0), ("published later", 0.99)]) == score(known)


def test_recent_neighbours_weigh_more() -> None:
    old_hit = corpus(v0=views((399, 10**6), age_days=400), v1=views((5, 100)), v2=views((5, 100)))
    new_hit = corpus(v0=views((399, 10), age_days=400), v1=views((5, 10**6)), v2=views((5, 10**6)))
    near = [("v0", 0.9), ("v1", 0.9), ("v2", 0.9)]
    assert (score(new_hit, near).score or 0) > (score(old_hit, near).score or 0)
    alone = corpus(v0=views((1, 10**6), age_days=2), v1=views((5, 100)), v2=views((5, 100)))
    assert (score(alone, near).score or 0) > (score(old_hit, near).score or 0)


@pytest.mark.parametrize(
    ("published_at", "nearest", "known", "why"),
    [
        (None, NEAR, corpus(), "not known when"),
        (NOW, [], corpus(), "0 had known views"),
        (NOW, NEAR[:2], corpus(), "3 are needed"),
        (NOW, [("v0", 0.9), ("v1", -0.1), ("v2", 0.0)], corpus(), "3 are needed"),
        (NOW, NEAR, {}, "0 had known views"),
        (NOW, NEAR, {name: each for name, each in corpus().items() if name in ("v0", "v1", "v2")}, "8 are needed"),
        (NOW - timedelta(days=100), NEAR, corpus(), "0 had known views"),
    ],
)
def test_what_cannot_be_known_has_no_score_and_says_why(
    published_at: datetime | None, nearest: list[tuple[str, float]], known: dict[str, Views], why: str
) -> None:
    judged = judge_trend("own", published_at, nearest, KnownViews(known))
    assert judged.score is None and why in (judged.reason or "")
