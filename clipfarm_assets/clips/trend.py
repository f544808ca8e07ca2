"""Whether what a video is about is being watched: the views of videos like it, as they stood before it was published.

In: the nearest videos in fused space, and the metadata's snapshots of every video's views. Out: a ``Judged`` from 0 to
10: the share of all videos known by then that had fewer views a day than the nearest, on a weighted average. Nearer
and more recent videos weigh more. The video's own views, and whatever was measured at or after its publication, are
never looked at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from clipfarm_assets.clips.local_score import Evidence, Judged
from clipfarm_assets.clips.model import MAX_SCORE

NO_VECTOR_YET = Judged.unknown("No fused vector of the video can be read yet; its trend is judged when one can.")
FEWEST_NEIGHBOURS = 3
FEWEST_KNOWN = 8
Floats = npt.NDArray[np.float64]
_DAY_SEC = 86_400.0
_HALF_LIFE_DAYS = 60.0  # a neighbour as much older weighs half
_YOUNGEST_DAYS = 0.5  # a count of the first hours says little about a day


@dataclass(frozen=True)
class Views:
    """How often a video had been seen, when; moments with a time zone."""

    published_at: datetime
    counts: tuple[tuple[datetime, int], ...]


class KnownViews:
    """The views of all videos, laid out so that what was known at a moment is found for all at once."""

    def __init__(self, views: Mapping[str, Views]) -> None:
        self._place = {name: place for place, name in enumerate(views)}
        self._published = np.array([each.published_at.timestamp() for each in views.values()], np.float64)
        counts = [
            (place, at.timestamp(), count)
            for place, each in enumerate(views.values())
            for at, count in sorted(each.counts)
            if at > each.published_at
        ]
        self._of, self._at, self._count = np.array(counts, np.float64).reshape(-1, 3).T
        self._of = self._of.astype(np.int64)
        self._first = np.searchsorted(self._of, np.arange(len(views)))

    def place(self, video_id: str) -> int | None:
        """Where a video stands in the columns."""
        return self._place.get(video_id)

    def before(self, moment: datetime) -> tuple[Floats, Floats]:
        """Views a day by each video's last count before a moment, and its age in days then, both (n,); NaN without."""
        at = moment.timestamp()
        seen = np.bincount(self._of[self._at < at], minlength=len(self._first))  # by video the earlier ones come first
        rates = np.full(len(self._first), np.nan)
        there = np.flatnonzero(seen)
        last = self._first[there] + seen[there] - 1
        days = (self._at[last] - self._published[there]) / _DAY_SEC
        rates[there] = np.where(days >= _YOUNGEST_DAYS, self._count[last] / days, np.nan)
        return rates, (at - self._published) / _DAY_SEC


def judge_trend(
    video_id: str, published_at: datetime | None, nearest: Sequence[tuple[str, float]], views: KnownViews
) -> Judged:
    """The trend of a video.

    Args:
        published_at: None where nobody knows; then nothing is known to be earlier.
        nearest: video ids with their similarity (cosine), in any order; the video itself is skipped.
        views: of every video.
    """
    if published_at is None:
        return Judged.unknown("It is not known when the video was published, so no views are known to be earlier.")
    rates, ages_days = views.before(published_at)
    if (own := views.place(video_id)) is not None:
        rates[own] = np.nan
    used = [
        (other, similarity, float(rates[place]), float(ages_days[place]))
        for other, similarity in nearest
        if similarity > 0 and (place := views.place(other)) is not None and np.isfinite(rates[place])
    ]
    earlier = rates[np.isfinite(rates)]
    if len(used) < FEWEST_NEIGHBOURS:
        return Judged.unknown(
            f"Of the nearest videos {len(used)} had known views before this one was published; "
            f"{FEWEST_NEIGHBOURS} are needed."
        )
    if len(earlier) < FEWEST_KNOWN:
        return Judged.unknown(
            f"{len(earlier)} videos had known views before this one was published; "
            f"{FEWEST_KNOWN} are needed to compare."
        )
    weights = [similarity * 0.5 ** (age_days / _HALF_LIFE_DAYS) for _, similarity, _, age_days in used]
    # on a logarithmic scale: one video that went through the roof is not a trend
    level = sum(w * math.log1p(rate) for w, (_, _, rate, _) in zip(weights, used, strict=True)) / sum(weights)
    known = np.log1p(earlier)
    share = float(np.mean((known < level) + 0.5 * (known == level)))  # equal ones count by half
    what = (
        f"the {len(used)} nearest videos had {math.expm1(level):,.0f} views a day before this one was published, "
        f"more than {share:.0%} of the {len(earlier)} then known"
    )
    names = ", ".join(other for other, *_ in sorted(used, key=lambda each: -each[1])[:5])
    return Judged.of([Evidence(f"{what} ({names})", MAX_SCORE * share)])
