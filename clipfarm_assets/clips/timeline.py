"""What is said when: a transcript's cues as words that do not overlap, sentences, and the silences between.

In: cues as they come, with word times, without, or with wrong ones. Out: a ``Timeline`` in whole milliseconds. Words
whose time is missing or cannot be (outside of its cue, backwards, no number) get a share of the time around them by
their number of characters, and are marked as estimated.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from clipfarm_assets.media.cues import Cue, Word

PAUSE_MS = 1_000  # what is longer than that ends a sentence, and counts as a silence in a clip
_SLACK_MS = 300  # by which recognisers' words may lie outside of their cue
_FEW_STOPS = 60  # words to a full stop, above which a transcript counts as written without any
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"  # kana, Han, Thai: no spaces
_MARKS = "\u3001-\u303f\uff01-\uff0f\uff1a-\uff20"  # their punctuation belongs to the character before it
_TOKEN = re.compile(rf"[{_UNSPACED}][{_MARKS}]*|[^\s{_UNSPACED}]+")
_ENDS = re.compile(r"[.!?…。！？؟।]+[\"'”’»)\]]*$")
_ABBREVIATION = re.compile(r"^(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e)\.$")


@dataclass(frozen=True)
class Spoken:
    """A word, from ``start_ms`` up to ``end_ms``; ``estimated`` where the transcript does not time it."""

    text: str
    start_ms: int
    end_ms: int
    estimated: bool = False


@dataclass(frozen=True)
class Sentence:
    """Words ``first`` up to ``last`` (not included) of the timeline."""

    first: int
    last: int
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Timeline:
    """The words of a video in the order of time, none overlapping, all inside ``duration_ms``."""

    words: tuple[Spoken, ...]
    sentences: tuple[Sentence, ...]
    duration_ms: int

    @classmethod
    def of(cls, cues: Iterable[Cue], duration_sec: float) -> "Timeline":
        """The timeline of a video of this length; what lies outside of it is cut off."""
        duration_ms = math.floor(duration_sec * 1000 + 1e-6)
        kept = _apart([cue for cue in cues if cue.text.strip() and math.isfinite(cue.start + cue.end)])
        timed = [(word, number) for number, cue in enumerate(kept) for word in _words_of(cue)]
        timed.sort(key=lambda pair: (pair[0].start_ms, pair[0].end_ms))
        following_ms = [*(word.start_ms for word, _ in timed[1:]), duration_ms][: len(timed)]
        words = [
            (replace(word, start_ms=max(0, word.start_ms), end_ms=min(word.end_ms, following, duration_ms)), cue)
            for (word, cue), following in zip(timed, following_ms, strict=True)
        ]
        words = [(word, cue) for word, cue in words if word.start_ms < word.end_ms]
        spoken = tuple(word for word, _ in words)
        return cls(spoken, tuple(_sentences(spoken, [cue for _, cue in words])), duration_ms)

    @cached_property
    def starts_ms(self) -> tuple[int, ...]:
        return tuple(word.start_ms for word in self.words)

    def silences(self, at_least_ms: int = 1) -> Iterator[tuple[int, int]]:
        """Where nobody speaks, from the start of the video to its end."""
        before = 0
        for word in self.words:
            if word.start_ms - before >= at_least_ms:
                yield before, word.start_ms
            before = word.end_ms
        if self.duration_ms - before >= at_least_ms:
            yield before, self.duration_ms

    def between(self, start_ms: int, end_ms: int) -> tuple[Spoken, ...]:
        """The words that lie wholly inside."""
        return tuple(word for word in self.words if word.start_ms >= start_ms and word.end_ms <= end_ms)


def joined(words: Sequence[Spoken]) -> str:
    """The words as text; scripts without spaces get none."""
    text = " ".join(word.text for word in words)
    return re.sub(rf"(?<=[{_UNSPACED}{_MARKS}]) (?=[{_UNSPACED}])", "", text)


def ends_sentence(text: str) -> bool:
    """The word ends with a full stop, a question mark or the like."""
    return bool(_ENDS.search(text)) and not _ABBREVIATION.match(text)


def _apart(cues: Sequence[Cue]) -> list[Cue]:
    """In order of time; a cue without word times ends where the next begins: captions stay on display for longer."""
    ordered = sorted(cues, key=lambda cue: (cue.start, cue.end))
    following = [*(cue.start for cue in ordered[1:]), math.inf][: len(ordered)]
    return [
        replace(cue, end=after) if not cue.words and cue.start < after < cue.end else cue
        for cue, after in zip(ordered, following, strict=True)
    ]


def _words_of(cue: Cue) -> list[Spoken]:
    start_ms, end_ms = round(cue.start * 1000), round(cue.end * 1000)
    given = [word for word in cue.words or () if word.word.strip()]
    if not given:
        given = [Word(None, None, token) for token in _TOKEN.findall(cue.text)]
    times = _believed(given, start_ms, end_ms)
    found: list[Spoken] = []
    number = 0
    while number < len(given):
        span = times[number]
        if span is not None:
            found.append(Spoken(given[number].word.strip(), *span))
            number += 1
            continue
        until = next((n for n in range(number, len(given)) if times[n] is not None), len(given))
        following = times[until] if until < len(given) else None
        found += _shared(
            [word.word.strip() for word in given[number:until]],
            found[-1].end_ms if found else start_ms,
            following[0] if following else end_ms,
        )
        number = until
    return found


def _believed(words: Sequence[Word], start_ms: int, end_ms: int) -> list[tuple[int, int] | None]:
    """The times of the words that can be right: inside their cue, forwards, and none before the one before it."""
    found: list[tuple[int, int] | None] = []
    latest = start_ms - _SLACK_MS
    for word in words:
        span: tuple[int, int] | None = None
        if word.start is not None and word.end is not None and math.isfinite(word.start + word.end):
            first, last = round(word.start * 1000), round(word.end * 1000)
            if latest <= first < last <= end_ms + _SLACK_MS:
                span, latest = (first, last), last
        found.append(span)
    return found


def _shared(texts: Sequence[str], start_ms: int, end_ms: int) -> Iterator[Spoken]:
    sizes = [len(text) + 1 for text in texts]
    total, before = sum(sizes), 0
    for text, size in zip(texts, sizes, strict=True):
        first = start_ms + (end_ms - start_ms) * before // total
        before += size
        yield Spoken(text, first, start_ms + (end_ms - start_ms) * before // total, estimated=True)


def _sentences(words: Sequence[Spoken], cue_of: Sequence[int]) -> Iterator[Sentence]:
    """Up to a full stop or a long pause; where a transcript has next to no full stops, up to the end of its cue."""
    stops = sum(ends_sentence(word.text) for word in words)
    unpunctuated = stops * _FEW_STOPS < len(words)
    first = 0
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else None
        if (
            following is None
            or ends_sentence(word.text)
            or following.start_ms - word.end_ms >= PAUSE_MS
            or (unpunctuated and cue_of[number] != cue_of[number + 1])
        ):
            said = words[first : number + 1]
            yield Sentence(first, number + 1, said[0].start_ms, word.end_ms, joined(said))
            first = number + 1
