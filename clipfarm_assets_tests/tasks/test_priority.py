"""Priority: who outranks whom, and the reference formula."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.tasks.priority import priority, recency

NOW = datetime(2025, 6, 1, tzinfo=UTC)
DAYS = st.floats(-100, 1000)


@pytest.mark.parametrize(("days", "expected"), [(0, 1), (7, 0.5), (14, 0.25), (-3, 1), (-400, 1)])
def test_recency_halves_every_seven_days_and_the_future_counts_as_now(days: float, expected: float) -> None:
    assert recency(NOW - timedelta(days=days), NOW) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("users", "impact", "days", "expected"),
    [(10, 0.5, 7, 2.797895), (0, 0, 0, 0.3), (1, 0.9, 14, 1.218147), (100, 0.3, -5, 5.065121)],
)
def test_the_additive_formula_gives_the_known_numbers(users: int, impact: float, days: float, expected: float) -> None:
    found = priority(users, impact, NOW - timedelta(days=days), NOW, formula="additive")
    assert found.score == pytest.approx(expected, abs=1e-6)
    assert found.score == pytest.approx(found.users + found.impact + found.recency)


@given(blocked_days=DAYS, confused_days=DAYS, confused=st.integers(1, 500))
def test_five_blocked_users_outrank_hundreds_who_were_confused_and_succeeded(
    blocked_days: float, confused_days: float, confused: int
) -> None:
    blocked = priority(5, 0.6, NOW - timedelta(days=blocked_days), NOW)
    assert blocked.score > priority(confused, 0.3, NOW - timedelta(days=confused_days), NOW).score
    assert blocked.score == pytest.approx(blocked.users * blocked.impact * blocked.recency)


@given(users=st.integers(0, 10**6), impact=st.floats(0, 0.9), days=st.floats(0, 900))
def test_more_users_more_impact_and_later_never_rank_lower(users: int, impact: float, days: float) -> None:
    score = priority(users, impact, NOW - timedelta(days=days), NOW).score
    assert priority(users + 1, impact, NOW - timedelta(days=days), NOW).score > score
    assert priority(users, impact + 0.05, NOW - timedelta(days=days), NOW).score > score
    assert priority(users, impact, NOW - timedelta(days=days * 0.9), NOW).score >= score
