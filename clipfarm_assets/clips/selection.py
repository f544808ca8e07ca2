"""Whether the clips are the moments that people watch again: judged against a replay heatmap.

In: a heatmap as yt-dlp brings it (``start_time``, ``end_time``, ``value`` 0 to 1), and a score for each hundredth of
the video. The truth are the hottest fifth of these hundred equal spans, the answer those with the best scores. Simple
ways to score are here too, to compare with.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from clipfarm_assets.clips.tiling import boundaries, depths
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.clips.vocabulary import content_words, vocabulary
from clipfarm_assets.segments.flags import Encode

SPANS = 100
HOT = 20
_KEYWORDS = 20
_SMOOTH = 5
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """How well an answer finds the hottest fifth.

    Attributes:
        hit: 1 where the middle of the best clip is hot, else 0.
        precision: of the chosen fifth, the share that is hot.
        recall: of the hot fifth, the share that was chosen.
        average_precision: over the whole ranking.
    """

    hit: float
    precision: float
    recall: float
    f1: float
    average_precision: float


def heat_of(rows: Iterable[Mapping[str, float]], duration_sec: float) -> Scores:
    """The mean heat of each hundredth of the video, (100,).

    Raises:
        ValueError: the heatmap leaves more than one of the spans uncovered, or a row has no numbers.
    """
    edges = np.linspace(0.0, duration_sec, SPANS + 1)
    heat, covered = np.zeros(SPANS), np.zeros(SPANS)
    for row in rows:
        start, end, value = float(row["start_time"]), float(row["end_time"]), float(row["value"])
        overlap = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, None)
        heat += overlap * value
        covered += overlap
    if int((covered <= 0).sum()) > 1 or not np.isfinite(heat).all():
        raise ValueError("The heatmap does not cover the video.")
    return np.asarray(heat / np.maximum(covered, 1e-9))


def moments(heat: Scores) -> npt.NDArray[np.bool_]:
    """The hottest fifth, (100,); of equals the earlier ones."""
    hot = np.zeros(SPANS, np.bool_)
    hot[np.argsort(-heat, kind="stable")[:HOT]] = True
    return hot


def judge(scores: Scores, hot: npt.NDArray[np.bool_]) -> Quality:
    """How well scores, (100,), find what is hot; minus infinity is what was not chosen at all."""
    from sklearn.metrics import average_precision_score

    order = [n for n in np.argsort(-scores, kind="stable").tolist() if np.isfinite(scores[n])]
    chosen = order[:HOT]
    right = int(hot[chosen].sum())
    precision, recall = right / max(1, len(chosen)), right / HOT
    best = _middle_of_best(scores) if order else None
    return Quality(
        hit=float(best is not None and bool(hot[best])),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if right else 0.0,
        average_precision=float(average_precision_score(hot, np.where(np.isfinite(scores), scores, -1e9))),
    )


def mean_quality(each: Sequence[Quality]) -> Quality:
    """Over several videos."""
    return Quality(*(float(value) for value in np.mean([astuple(quality) for quality in each], axis=0)))


def of_clips(clips: Iterable[tuple[float, float, float | None]], duration_sec: float) -> Scores:
    """The score of each span by the clip (start_sec, end_sec, score) that covers half of it or more, (100,)."""
    edges = np.linspace(0.0, duration_sec, SPANS + 1)
    scores = np.full(SPANS, -np.inf)
    for start, end, score in clips:
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        if score is not None:
            scores[overlap >= 0.5 * duration_sec / SPANS] = score
    return scores


def random_scores(seed: int) -> Scores:
    """Any span as good as any other."""
    return np.random.default_rng(seed).random(SPANS)


def first_spans() -> Scores:
    """The earlier, the better."""
    return -np.arange(SPANS, dtype=np.float64)


def keyword_frequency(timeline: Timeline, language: str | None) -> Scores:
    """How often the video's twenty most frequent words of content are said, smoothed over five spans."""
    known = vocabulary(language)
    said = [(word.start_ms, each) for word in timeline.words for each in content_words([word.text], known)]
    frequent = {word for word, _ in Counter(word for _, word in said).most_common(_KEYWORDS)}
    times = [at for at, word in said if word in frequent]
    counts = np.histogram(times, np.linspace(0, max(1, timeline.duration_ms), SPANS + 1))[0]
    return np.convolve(counts, np.ones(_SMOOTH) / _SMOOTH, mode="same")


def text_tiling(timeline: Timeline, encode: Encode) -> Scores:
    """Each topic by how deep the shift is that begins it."""
    sentences = timeline.sentences
    depth = depths(encode([sentence.text for sentence in sentences]))
    starts = [0, *boundaries(depth)]
    ends = [*starts[1:], len(sentences)]
    clips = [
        (sentences[first].start_ms / 1000, sentences[last - 1].end_ms / 1000, float(depth[first]))
        for first, last in zip(starts, ends, strict=True)
        if first < last
    ]
    return of_clips(clips, timeline.duration_ms / 1000)


def _middle_of_best(scores: Scores) -> int:
    """The middle of the first run of spans with the best score."""
    first = int(scores.argmax())
    last = first
    while last + 1 < SPANS and scores[last + 1] == scores[first]:
        last += 1
    return (first + last) // 2
