"""Whether what a video is about is being watched: the views of videos like it, as they stood before it was published.

In: the nearest videos in fused space, and the metadata's snapshots of every video's views. Out: a ``Judged`` from 0 to
10: the share of all videos known by then that had fewer views a day than the nearest, on a weighted average. Nearer
and more recent videos weigh more. The video's own views, and whatever was measured at or after its publication, are
never looked at.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clipfarm_assets.clips.local_score import Evidence, Judged
from clipfarm_assets.clips.model import MAX_SCORE

NO_VECTOR_YET = Judged.unknown("No fused vector of the video can be read yet; its trend is judged when one can.")
FEWEST_NEIGHBOURS = 3
FEWEST_KNOWN = 8
_DAY_SEC = 86_400.0
_HALF_LIFE_DAYS = 60.0  # a neighbour as much older weighs half
_YOUNGEST_DAYS = 0.5  # a count of the first hours says little about a day


@dataclass(frozen=True)
class Views:
    """How often a video had been seen, when; moments with a time zone."""

    published_at: datetime
    counts: tuple[tuple[datetime, int], ...]

    def per_day(self, before: datetime) -> tuple[float, float] | None:
        """Views a day by the last count before a moment, and the video's age in days at that moment; None without."""
        known = [(at, count) for at, count in self.counts if self.published_at < at < before]
        if not known:
            return None
        at, count = max(known)
        days = (at - self.published_at).total_seconds() / _DAY_SEC
        if days < _YOUNGEST_DAYS:
            return None
        return count / days, (before - self.published_at).total_seconds() / _DAY_SEC


def judge_trend(
    video_id: str, published_at: datetime | None, nearest: Sequence[tuple[str, float]], views: Mapping[str, Views]
) -> Judged:
    """The trend of a video.

    Args:
        published_at: None where nobody knows; then nothing is known to be earlier.
        nearest: video ids with their similarity (cosine), in any order; the video itself is skipped.
        views: of every video, by id.
    """
    if published_at is None:
        return Judged.unknown("It is not known when the video was published, so no views are known to be earlier.")
    earlier = {
        other: found
        for other, each in views.items()
        if other != video_id and (found := each.per_day(published_at)) is not None
    }
    used = [
        (other, similarity, *earlier[other]) for other, similarity in nearest if other in earlier and similarity > 0
    ]
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
    share = _share_below(level, [math.log1p(rate) for rate, _ in earlier.values()])
    what = (
        f"the {len(used)} nearest videos had {math.expm1(level):,.0f} views a day before this one was published, "
        f"more than {share:.0%} of the {len(earlier)} then known"
    )
    names = ", ".join(other for other, *_ in sorted(used, key=lambda each: -each[1])[:5])
    return Judged.of([Evidence(f"{what} ({names})", MAX_SCORE * share)])


def _share_below(level: float, known: Iterable[float]) -> float:
    """Equal ones count by half."""
    ranks = [1.0 if each < level else 0.5 if each == level else 0.0 for each in known]
    return sum(ranks) / len(ranks)
