"""What people make of an item, as numbers. Anything that depends on the age is computed when it is asked for.

Works on whole columns: every argument is a number or a numpy array, and so is the result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

HOT_HOURS = 12.5
RECENCY_DAYS = 7.0


@dataclass(frozen=True)
class Counts:
    """What was counted of one item, or of many as arrays of equal length. ``votes`` is the sum of +1 and -1."""

    votes: Any = 0
    comments: Any = 0
    favourites: Any = 0
    views: Any = 0


def engagement(counts: Counts) -> Any:
    """10 · votes + 5 · comments + 3 · favourites + 0.01 · views."""
    return 10.0 * counts.votes + 5.0 * counts.comments + 3.0 * counts.favourites + 0.01 * counts.views


def trending(counts: Counts, age_hours: Any) -> Any:
    """(views + 2 · votes + 3 · comments + 2 · favourites) / max(age in hours, 1)."""
    made = counts.views + 2.0 * counts.votes + 3.0 * counts.comments + 2.0 * counts.favourites
    return made / np.maximum(age_hours, 1.0)


def hot(votes: Any, age_hours: Any) -> Any:
    """sign(votes) · log10(max(|votes|, 1)) - age in hours / 12.5."""
    return np.sign(votes) * np.log10(np.maximum(np.abs(votes), 1)) - np.asarray(age_hours, np.float64) / HOT_HOURS


def recency(age_days: Any) -> Any:
    """100 · 0.5^(days / 7): halves every week."""
    return 100.0 * 0.5 ** (np.asarray(age_days, np.float64) / RECENCY_DAYS)
