"""Long sound in overlapping chunks, and what was heard in them as one again.

In: a length in seconds; words with times, chunk by chunk. Out: spans to listen to; each word once. Nothing can go
wrong: where two chunks do not agree at all, what either heard alone stays.

A recogniser cuts or invents words at the edges of what it hears. Chunks therefore overlap, the words of both that are
the same at about the same time are paired, and the later chunk takes over at the pair nearest to the middle of the
overlap, as far from both edges as can be.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# Two chunks time the same word differently by some tenths.
_SAME_WORD_SEC = 1.0
# A piece of a word at a chunk's edge may seem to lie beside the whole word in the other chunk.
_JITTER_SEC = 0.1
_PAIR = 100.0  # what a pair is worth in seconds of difference: pairs first, then the nearest ones


@dataclass(frozen=True)
class HeardWord:
    """A word in seconds of the whole sound; its text with the space before it, as the recogniser writes it."""

    start: float
    end: float
    text: str
    probability: float | None = None

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Span:
    """Seconds of the whole sound."""

    start: float
    end: float


def spans_of(duration_sec: float, chunk_sec: float, overlap_sec: float) -> list[Span]:
    """Spans of ``chunk_sec`` that cover the sound, each sharing ``overlap_sec`` with the one before.

    The last ones are moved so that none is left with less than the overlap for itself.
    """
    if not 0 < overlap_sec < chunk_sec / 2:
        raise ValueError("the overlap must be more than nothing and less than half a chunk")
    spans = []
    start = 0.0
    while start + chunk_sec < duration_sec:
        spans.append(Span(start, start + chunk_sec))
        start += chunk_sec - overlap_sec
    if duration_sec > 0:
        spans.append(Span(start, duration_sec))
    return spans


def merged(chunks: Sequence[tuple[Span, Sequence[HeardWord]]]) -> list[HeardWord]:
    """The words of consecutive chunks, each once, in order."""
    if not chunks:
        return []
    spans = [span for span, _ in chunks]
    words = list(chunks[0][1])
    for (before, span), (_, heard) in zip(pairwise(spans), chunks[1:], strict=True):
        words = _joined(words, list(heard), span.start, before.end)
    return words


def _joined(words: list[HeardWord], heard: list[HeardWord], start: float, end: float) -> list[HeardWord]:
    """Two chunks that share the seconds from ``start`` to ``end``."""
    middle = (start + end) / 2
    first = next((n for n, word in enumerate(words) if word.end > start - _SAME_WORD_SEC), len(words))
    stop = next((n for n, word in enumerate(heard) if word.start > end + _SAME_WORD_SEC), len(heard))
    pairs = _pairs(words[first:], heard[:stop])
    if pairs:
        at, taken = min(pairs, key=lambda pair: abs(words[first + pair[0]].middle - middle))
        return words[: first + at + 1] + heard[taken + 1 :]
    return _side_by_side(words, heard, middle)


def _side_by_side(words: list[HeardWord], heard: list[HeardWord], middle: float) -> list[HeardWord]:
    """No word in common: each chunk's own half of the overlap, and of the other half what the other did not hear."""
    until = heard[0].start if heard else float("inf")
    since = words[-1].end if words else float("-inf")
    kept = [word for word in words if word.middle <= middle or word.middle < until - _JITTER_SEC]
    added = [word for word in heard if word.middle > middle or word.middle > since + _JITTER_SEC]
    return sorted(kept + added, key=lambda word: word.middle)


def _pairs(one: Sequence[HeardWord], other: Sequence[HeardWord]) -> list[tuple[int, int]]:
    """Words that are the same, in both orders: as many as possible, then as near in time as possible."""
    names, other_names = [plain(word.text) for word in one], [plain(word.text) for word in other]
    worth = [[0.0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) - 1, -1, -1):
        for j in range(len(other) - 1, -1, -1):
            best = max(worth[i + 1][j], worth[i][j + 1])
            if names[i] == other_names[j] and (apart := abs(one[i].middle - other[j].middle)) <= _SAME_WORD_SEC:
                best = max(best, worth[i + 1][j + 1] + _PAIR - apart)
            worth[i][j] = best
    pairs = []
    i = j = 0
    while i < len(one) and j < len(other):
        if worth[i][j] == worth[i + 1][j]:
            i += 1
        elif worth[i][j] == worth[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def plain(text: str) -> str:
    """A word as it sounds: without case, spaces and punctuation; punctuation alone stays what it is."""
    folded = unicodedata.normalize("NFKC", text).casefold().strip()
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c)[0] == "M") or folded
