"""Candidate clips: spans near the preset's length, that begin and end where a viewer would cut.

Every place where a clip may begin or end has a weight: where a sentence does, more where the topic shifts there (by
TextTiling), at a cut of the picture, at a silence of the sound. Where nobody speaks any moment will do, with little
weight. No place lies within a word, and none within a sentence unless five clips would not fit otherwise. Of all the
spans between such places that fit preset and timeframe, those without overlap are chosen whose lengths and edges are
best on the whole (weighted interval scheduling), at least five of them wherever five fit.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipfarm_assets.clips.loudness import Loudness
from clipfarm_assets.clips.model import BatchConfig, Length
from clipfarm_assets.clips.tiling import depths
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.segments.flags import Floats

FEWEST = 5
_SCENE, _QUIET, _ANYWHERE, _LAST_RESORT = 0.5, 0.35, 0.1, 0.0
_SENTENCE, _TOPIC, _CUT_TOO = 0.6, 0.4, 0.2
_SAME_CUT_MS = 700  # a cut so near to a sentence's edge belongs to it
_LONG_SILENCE_MS = 2_000
_ENDLESS_MS = 20_000  # a sentence as long is none that a clip could wait for
_SPREAD = 0.7  # of the logarithm of the length around the target
_PURE = 6.0  # how much a window of one kind is preferred to a mixed one
_SAME_WORDS = 0.8  # share of words in common of near-duplicates
_FEW_WORDS = 8

Interest = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Window:
    """From ``start_ms`` up to ``end_ms`` of a video."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms

    def overlap_ms(self, other: "Window") -> int:
        return max(0, min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms))


@dataclass(frozen=True)
class Places:
    """Where clips may begin and where they may end, in milliseconds, with the weight of each, 0 to 1."""

    starts: dict[int, float]
    ends: dict[int, float]

    def add(self, place_ms: int, weight: float) -> None:
        """A place of both kinds."""
        for known in (self.starts, self.ends):
            known[place_ms] = max(weight, known.get(place_ms, 0.0))


def find_windows(
    timeline: Timeline,
    cuts_sec: Sequence[float],
    config: BatchConfig,
    loudness: Loudness | None = None,
    vectors: Floats | None = None,
    interest: Interest | None = None,
) -> list[Window]:
    """The windows of a video in the order of time: none overlaps, all inside the preset and the timeframe.

    At least five wherever five fit; fewer near-duplicates (in words) than that are kept.

    Args:
        cuts_sec: where scenes begin.
        vectors: of the timeline's sentences, rows of length 1; without them topic shifts are not looked for.
        interest: of each sentence, (n,), in standard deviations from the video's mean. Windows are laid so that what
            is of interest is not cut in two, nor mixed with what is not.
    """
    frame = config.processing_timeframe.within_ms(timeline.duration_ms / 1000)
    chain = list(_earliest(timeline, config.length, *frame))
    if not chain:
        return []
    places = _places(timeline, cuts_sec, config.length, loudness, vectors)
    for window in chain:
        places.add(window.start_ms, _LAST_RESORT)
        places.add(window.end_ms, _LAST_RESORT)
    need = FEWEST if len(chain) >= FEWEST else 1
    purity = None if interest is None else _Purity.of(timeline, interest)
    best = _best(_inside(places, *frame), config.length, need, purity)
    return _without_duplicates(best, timeline)


def snapped(place_ms: int, timeline: Timeline) -> int:
    """The place itself where nobody speaks, else the nearer edge of the word that it lies in."""
    number = bisect_right(timeline.starts_ms, place_ms) - 1
    if number < 0:
        return place_ms
    word = timeline.words[number]
    if not word.start_ms < place_ms < word.end_ms:
        return place_ms
    return word.start_ms if place_ms - word.start_ms <= word.end_ms - place_ms else word.end_ms


def _earliest(timeline: Timeline, length: Length, first_ms: int, last_ms: int) -> Iterator[Window]:
    """As many windows as fit: each begins and ends as early as it can without cutting a word."""

    def free(place_ms: int) -> int:
        number = bisect_right(timeline.starts_ms, place_ms) - 1
        inside = number >= 0 and timeline.words[number].start_ms < place_ms < timeline.words[number].end_ms
        return timeline.words[number].end_ms if inside else place_ms

    start = free(first_ms)
    while (end := free(start + length.min_ms)) <= last_ms:
        if end - start > length.max_ms:
            start = free(end - length.max_ms)
            continue
        yield Window(start, end)
        start = end


def _places(
    timeline: Timeline, cuts_sec: Iterable[float], length: Length, loudness: Loudness | None, vectors: Floats | None
) -> Places:
    places = Places({}, {})
    for silence in timeline.silences(_LONG_SILENCE_MS):
        for place in (*range(*silence, max(1_000, length.min_ms // 5)), silence[1]):
            places.add(place, _ANYWHERE)
    if loudness is not None:
        for quiet in loudness.silences():
            for place in quiet:
                if place <= timeline.duration_ms and not _mid_sentence(place, timeline):
                    places.add(snapped(place, timeline), _QUIET)
    cuts = sorted(round(cut * 1000) for cut in cuts_sec if 0 <= cut * 1000 <= timeline.duration_ms)
    for cut in (0, *cuts, timeline.duration_ms):
        if not _mid_sentence(cut, timeline):
            places.add(snapped(cut, timeline), _SCENE)
    sentences = timeline.sentences
    depth = np.zeros(len(sentences))
    if vectors is not None and sentences:
        depth = depths(vectors)
    for number, sentence in enumerate(sentences):
        begins = _SENTENCE + _TOPIC * (1.0 if number == 0 else depth[number])
        ends = _SENTENCE + _TOPIC * (1.0 if number + 1 == len(sentences) else depth[number + 1])
        places.starts[sentence.start_ms] = min(1.0, begins + _CUT_TOO * _near(cuts, sentence.start_ms))
        places.ends[sentence.end_ms] = min(1.0, ends + _CUT_TOO * _near(cuts, sentence.end_ms))
    return places


def _mid_sentence(place_ms: int, timeline: Timeline) -> bool:
    """The place would cut a sentence in two; one that goes on for ever may be cut."""
    number = bisect_right(timeline.sentences, place_ms, key=lambda sentence: sentence.start_ms) - 1
    if number < 0:
        return False
    sentence = timeline.sentences[number]
    return sentence.start_ms < place_ms < sentence.end_ms and sentence.end_ms - sentence.start_ms <= _ENDLESS_MS


def _near(cuts: Sequence[int], place_ms: int) -> bool:
    number = bisect_left(cuts, place_ms - _SAME_CUT_MS)
    return number < len(cuts) and cuts[number] <= place_ms + _SAME_CUT_MS


def _inside(places: Places, first_ms: int, last_ms: int) -> Places:
    def within(known: dict[int, float]) -> dict[int, float]:
        return {place: known[place] for place in sorted(known) if first_ms <= place <= last_ms}

    return Places(within(places.starts), within(places.ends))


@dataclass(frozen=True)
class _Purity:
    """The interest of spans: ``total`` sums it over time up to the edges of the sentences."""

    edges: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]

    @classmethod
    def of(cls, timeline: Timeline, interest: Interest) -> "_Purity":
        spans = np.array([(each.start_ms, each.end_ms) for each in timeline.sentences], np.int64).reshape(-1, 2)
        gains = np.zeros(2 * len(spans))
        gains[1::2] = interest * (spans[:, 1] - spans[:, 0])
        return cls(np.concatenate([[0], spans.ravel()]), np.concatenate([[0.0], np.cumsum(gains)]))

    def mean(self, starts: npt.NDArray[np.int64], end: int) -> npt.NDArray[np.float64]:
        """Over the time from each start to the end; silence counts as the video's mean."""
        upto = np.interp([end], self.edges, self.total) - np.interp(starts, self.edges, self.total)
        return np.asarray(upto / (end - starts))


def _best(places: Places, length: Length, need: int, purity: "_Purity | None") -> list[Window]:
    """The windows without overlap, at least ``need`` of them, with the largest sum of their weights."""
    starts = np.array(list(places.starts), np.int64)
    weights = np.array(list(places.starts.values()))
    every = sorted(set(places.starts) | set(places.ends))
    at = {place: number for number, place in enumerate(every)}
    start_at = np.array([at[place] for place in starts.tolist()], np.int64)
    # total[c, i]: the best sum of c windows (of need or more, in the last row) that end by the i-th place
    total = np.full((need + 1, len(every)), -np.inf)
    total[0] = 0.0
    came: list[list[int]] = [[-1] * len(every) for _ in range(need + 1)]  # the start of the window that ends there
    for i, end in enumerate(every):
        if i:
            total[:, i] = np.maximum(total[:, i], total[:, i - 1])
        if end not in places.ends:
            continue
        first, last = np.searchsorted(starts, [end - length.max_ms, end - length.min_ms + 1])
        if first == last:
            continue
        value = _values(starts[first:last], end, weights[first:last] + places.ends[end], length, purity)
        for count in range(need, -1, -1):
            before = total[max(0, count - 1), start_at[first:last]]
            if count == need:
                before = np.maximum(before, total[need, start_at[first:last]])
            elif count == 0:
                continue
            sums = before + value
            chosen = int(sums.argmax())
            if sums[chosen] > total[count, i]:
                total[count, i], came[count][i] = sums[chosen], int(first) + chosen
    return _traced(every, starts, start_at, total, came, need)


def _values(
    starts: npt.NDArray[np.int64], end: int, edges: npt.NDArray[np.float64], length: Length, purity: "_Purity | None"
) -> npt.NDArray[np.float64]:
    """A window's weight: its length, less where it is far from the target, times how good its edges are."""
    lengths = (end - starts).astype(np.float64)
    fit = np.exp(-((np.log(lengths / length.target_ms) / _SPREAD) ** 2) / 2)
    value = lengths / length.target_ms * (0.25 + 0.75 * fit) * (0.2 + edges / 2)
    if purity is not None:
        value *= 1 + _PURE * np.square(purity.mean(starts, end))
    return np.asarray(value)


def _traced(
    every: Sequence[int],
    starts: npt.NDArray[np.int64],
    start_at: npt.NDArray[np.int64],
    total: npt.NDArray[np.float64],
    came: Sequence[Sequence[int]],
    need: int,
) -> list[Window]:
    found: list[Window] = []
    count, i = need, len(every) - 1
    while i >= 0:
        # where the sum has not grown, no chosen window ends here
        if came[count][i] < 0 or (i and total[count, i] == total[count, i - 1]):
            i -= 1
            continue
        chosen = came[count][i]
        found.append(Window(int(starts[chosen]), every[i]))
        i = int(start_at[chosen])
        if count and not (count == need and total[need, i] >= total[count - 1, i]):
            count -= 1
    return found[::-1]


def _without_duplicates(windows: list[Window], timeline: Timeline) -> list[Window]:
    """Without those that say what an earlier one says, but never fewer than five for that."""
    said = [
        frozenset(word.text.casefold().strip(".,;:!?\"'") for word in timeline.between(window.start_ms, window.end_ms))
        for window in windows
    ]
    left = list(range(len(windows)))
    for number in range(len(windows) - 1, 0, -1):
        if len(left) <= FEWEST:
            break
        if any(_alike(said[number], said[earlier]) for earlier in range(number)):
            left.remove(number)
    return [windows[number] for number in left]


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one) >= _FEW_WORDS and len(one & other) >= _SAME_WORDS * len(one | other)
