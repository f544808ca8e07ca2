"""Whether the score says anything about what really happened to a video.

In: one row a video, with its score (the best clip's), simple baselines, and the growth that was seen. Out: for each of
these columns the rank correlation with growth, with what chance would give; and how growth goes with the score
(reliability curve). What leaks the label is refused by name: a score that was fed by views explains views.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.clips.trend import Views
from clipfarm_assets.clips.vocabulary import content_words, vocabulary
from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.errors import ClipError

SCORE, RANDOM = "score", "random"
FEWEST_VIDEOS = 10
RESAMPLES = 1_000
BINS = 5
_AT_ONCE = 50
_DAY_SEC = 86_400.0
_LEAKING = (
    "view views viewcount like likes dislike dislikes comment comments share shares subscriber subscribers virality "
    "engagement growth horizon age velocity rate rates retention replay heatmap captured popularity popular trending "
    "watched watch"
)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Views a day at the horizon; None with a reason where nobody saw them."""

    growth: float | None
    reason: str | None = None


@dataclass(frozen=True)
class VideoRow:
    """One video: its growth and the columns that are to explain it; None where a value could not be made."""

    video_id: str
    outcome: Outcome
    columns: Mapping[str, float | None]


@dataclass(frozen=True)
class Correlation:
    """Spearman's, over the ``n`` videos that have both.

    Attributes:
        rho: None with a reason where it cannot be computed.
        low, high: 95 % interval by bootstrap over videos.
        p_value: how often shuffled growth correlates at least as much, either way.
    """

    n: int
    rho: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None

    @property
    def found(self) -> bool:
        """There is a correlation: the interval leaves out 0, and chance gives as much in less than 5 of 100."""
        if self.low is None or self.high is None or self.p_value is None:
            return False
        return (self.low > 0 or self.high < 0) and self.p_value < 0.05


@dataclass(frozen=True)
class Bin:
    """A fifth of the videos by score: from ``least`` to ``most``."""

    n: int
    least: float
    most: float
    mean_score: float
    median_growth: float


@dataclass(frozen=True)
class Calibration:
    """The report.

    Attributes:
        correlations: by column; ``score`` is ours, ``random`` a column of random numbers.
        reliability: bins in rising score.
        left_out: videos without growth, by reason.
    """

    correlations: Mapping[str, Correlation]
    reliability: tuple[Bin, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def refuse_leaks(columns: Iterable[str]) -> None:
    """Of columns that feed a score which is to be judged.

    Raises:
        ClipError: some tell what happened after publication (views, likes, comments, rates, age, …); it names them.
    """
    leaking = sorted({name for name in columns if _words(name) & set(_LEAKING.split())})
    if leaking:
        raise ClipError(
            f"These columns leak what the score is judged on: {', '.join(leaking)}.",
            hint="Leave them out of what makes the score.",
        )


def realised_growth(views: Views, horizon_days: int | None, horizon_view_count: int | None) -> Outcome:
    """Views a day up to the horizon: as the metadata gives them, else between the snapshots on both sides of it."""
    if not horizon_days:
        return Outcome(None, "no horizon")
    if horizon_view_count is not None:
        return Outcome(horizon_view_count / horizon_days)
    at = views.published_at + timedelta(days=horizon_days)
    before = max((each for each in views.counts if each[0] <= at), default=None)
    after = min((each for each in views.counts if each[0] >= at), default=None)
    if before is None or after is None:
        return Outcome(None, "no count at the horizon, nor on both sides of it")
    return Outcome(_between(before, after, at) / horizon_days)


def columns_of(clips: Sequence[Clip], duration_sec: float, timeline: Timeline) -> dict[str, float | None]:
    """Our score of a video and the simple ways to guess its growth, from its clips and its words.

    ``score``: the best clip's; ``length``: seconds; ``first_segment``: the earliest clip's score;
    ``keyword_frequency``: how large a share of the words of content its five most frequent ones are.
    """
    first = min(clips, key=lambda clip: clip.start_time_sec, default=None)
    counts = Counter(content_words([word.text for word in timeline.words], vocabulary(None)))
    frequent = sum(count for _, count in counts.most_common(5))
    return {
        SCORE: max((clip.viral_score for clip in clips if clip.viral_score is not None), default=None),
        "length": duration_sec,
        "first_segment": first.viral_score if first else None,
        "keyword_frequency": frequent / counts.total() if counts else None,
    }


def calibrate(rows: Sequence[VideoRow], fed_by: Iterable[str], seed: int = 0) -> Calibration:
    """The report over all videos.

    Args:
        fed_by: the names of all columns that fed the score.
        seed: of the random column, the shuffles and the resamples; the same gives the same report.

    Raises:
        ClipError: a column leaks; nothing is computed.
    """
    names = sorted({name for row in rows for name in row.columns} | {SCORE})
    refuse_leaks([*fed_by, *names])
    left_out: dict[str, int] = {}
    for row in rows:
        if row.outcome.growth is None:
            reason = row.outcome.reason or "not known"
            left_out[reason] = left_out.get(reason, 0) + 1
    known = [row for row in rows if row.outcome.growth is not None]
    growth = np.array([row.outcome.growth for row in known], np.float64)
    columns = {
        name: np.array([np.nan if (v := row.columns.get(name)) is None else v for row in known], np.float64)
        for name in names
    }
    columns[RANDOM] = np.random.default_rng([seed, 1]).random(len(known))
    return Calibration(
        {name: correlate(values, growth, seed) for name, values in columns.items()},
        _reliability(columns[SCORE], growth),
        left_out,
    )


def correlate(values: Floats, growth: Floats, seed: int = 0) -> Correlation:
    """Spearman's rho of two columns, (n,); NaN in ``values`` is a video without one."""
    there = np.isfinite(values)
    values, growth = values[there], growth[there]
    n = len(values)
    if n < FEWEST_VIDEOS:
        return Correlation(n, reason=f"{n} videos have both; {FEWEST_VIDEOS} are needed")
    rho = float(_spearman(values[None], growth[None])[0])
    if np.isnan(rho):
        return Correlation(n, reason="all values are equal")
    rng = np.random.default_rng([seed, n])
    again, shuffled = [], []
    for _ in range(RESAMPLES // _AT_ONCE):
        rows = rng.integers(0, n, (_AT_ONCE, n))
        again.append(_spearman(values[rows], growth[rows]))
        shuffled.append(_spearman(np.tile(values, (_AT_ONCE, 1)), rng.permuted(np.tile(growth, (_AT_ONCE, 1)), axis=1)))
    low, high = np.nanquantile(np.concatenate(again), [0.025, 0.975])
    as_much = int((np.abs(np.concatenate(shuffled)) >= abs(rho) - 1e-12).sum())
    return Correlation(n, rho, float(low), float(high), (as_much + 1) / (RESAMPLES + 1))


def _spearman(one: Floats, other: Floats) -> Floats:
    """Of each pair of rows, (m, n) to (m,); NaN where all values of a row are equal."""
    from scipy.stats import rankdata

    ranks, others = (rankdata(each, axis=1) - (each.shape[1] + 1) / 2 for each in (one, other))
    spread = np.sqrt((ranks**2).sum(axis=1) * (others**2).sum(axis=1))
    return np.asarray((ranks * others).sum(axis=1) / np.where(spread > 0, spread, np.nan))


def _reliability(scores: Floats, growth: Floats) -> tuple[Bin, ...]:
    """Five bins of equal size by score; fewer where there are too few videos."""
    there = np.isfinite(scores)
    scores, growth = scores[there], growth[there]
    order = np.argsort(scores, kind="stable")
    return tuple(
        Bin(
            len(rows),
            float(scores[rows].min()),
            float(scores[rows].max()),
            float(scores[rows].mean()),
            float(np.median(growth[rows])),
        )
        for rows in np.array_split(order, BINS)
        if len(rows)
    )


def _between(before: tuple[datetime, int], after: tuple[datetime, int], at: datetime) -> float:
    span = (after[0] - before[0]).total_seconds()
    share = (at - before[0]).total_seconds() / span if span else 0.0
    return before[1] + share * (after[1] - before[1])


def _words(name: str) -> set[str]:
    return {part.lower() for part in _PART.findall(name)}
