"""How urgent a Task is, from how many users it touches, how badly, and how lately. Computed when read, never stored.

``severity``, the default::

    severity · (1 + ln(1 + users)) · (0.5 + 0.5 · recency)        severity = (0.1 + impact)³

``additive``, the known reference::

    ln(1 + users) + 0.5 · impact + 0.3 · recency

with ``recency = 0.5 ** (days since last seen / half-life)``, 1 for a time in the future. The reference lets a crowd
outweigh any harm: 100 users who were confused and got through (5.1) outrank 5 who were blocked (2.4). With severity
multiplying they do not: 0.7³ times the users' 2.8 is 0.96, 0.4³ times 5.6 is 0.36. Recency takes away no more than
half, since an old blocking error is still one, so this order holds whenever the two were last seen. The tenth keeps a
Task without any harm from being worth nothing whatever its users.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Formula = Literal["severity", "additive"]
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Priority:
    """A score and the parts that it is made of, in the formula's own terms.

    Attributes:
        score: greater is more urgent; comparable within one formula only.
        users, impact, recency: the parts; the score is their product (``severity``) or sum (``additive``).
    """

    score: float
    users: float
    impact: float
    recency: float
    formula: Formula


def recency(last_seen: datetime, now: datetime, half_life_days: float = 7) -> float:
    """1 for now or later, 0.5 after a half-life, 0.25 after two."""
    days = max(0.0, (now - last_seen).total_seconds() / SECONDS_A_DAY)
    return float(0.5 ** (days / half_life_days))


def priority(
    distinct_users: int,
    avg_impact: float,
    last_seen: datetime,
    now: datetime,
    *,
    half_life_days: float = 7,
    formula: Formula = "severity",
) -> Priority:
    """The priority at the moment ``now`` (both times with a time zone), with its parts."""
    fresh = recency(last_seen, now, half_life_days)
    crowd = math.log1p(distinct_users)
    if formula == "additive":
        parts = (crowd, 0.5 * avg_impact, 0.3 * fresh)
        return Priority(math.fsum(parts), *parts, formula)
    parts = (1 + crowd, (0.1 + avg_impact) ** 3, 0.5 + 0.5 * fresh)
    return Priority(math.prod(parts), *parts, formula)
