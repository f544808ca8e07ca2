"""The timed lines of a transcript, and rolling captions made plain."""

from dataclasses import dataclass, replace
from itertools import pairwise


@dataclass(frozen=True)
class Word:
    """One word; recognisers do not always know when it was said, or how sure they are (0 … 1)."""

    start: float | None
    end: float | None
    word: str
    probability: float | None = None


@dataclass(frozen=True)
class Cue:
    """A timed line: seconds, ``start <= end``; ``words`` where the source times them."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] | None = None


def without_repeats(cues: list[Cue]) -> list[Cue]:
    """Cues in order of time, with each line of rolling captions once.

    Rolling captions show a line, then the same line above the next one. A line that the cue just before (touching in
    time) already shows is dropped; a cue that adds no line only lengthens its forerunner. Where no line ever rolls,
    two equal cues are two equal utterances and both stay.
    """
    if not cues:
        return []
    lines = [[line.strip() for line in cue.text.split("\n") if line.strip()] for cue in cues]
    touching = [False] + [b.start <= a.end + 0.05 for a, b in pairwise(cues)]
    repeated = [0] + [_overlap(a, b) for a, b in pairwise(lines)]
    if not any(t and 0 < r < len(own) for t, r, own in zip(touching, repeated, lines, strict=True)):
        return cues
    kept: list[Cue] = []
    for cue, own, touches, repeats in zip(cues, lines, touching, repeated, strict=True):
        if touches and repeats == len(own):
            kept[-1] = replace(kept[-1], end=max(kept[-1].end, cue.end))
        elif touches and repeats:
            kept.append(replace(cue, text="\n".join(own[repeats:])))
        else:
            kept.append(cue)
    return kept


def _overlap(shown: list[str], lines: list[str]) -> int:
    """How many of the first lines are the last ones shown."""
    for size in range(min(len(shown), len(lines)), 0, -1):
        if shown[-size:] == lines[:size]:
            return size
    return 0
