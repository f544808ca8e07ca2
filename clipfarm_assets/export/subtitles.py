"""The subtitles of one clip, from a transcript's cues.

In: cues of a whole video, with or without the times of words, and the clip's span. Out: ``Subtitle``s of one or two
short lines whose times count from the clip's start, in order, none overlapping another; and SRT or WebVTT of them.
Nothing can go wrong: cues outside of the clip give no subtitles, times that are missing or impossible are estimated
from the cue's.

Times are whole milliseconds, rounded half up from the decimal number that a time is written as: 1.001 s is 1,001 ms,
and 1.0005 s too, whatever the nearest binary fractions are.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from clipfarm_assets.media.cues import Cue

_SENTENCE_END = tuple(".!?…。！？")
_LONGEST_WORD_SEC = 10.0


@dataclass(frozen=True)
class SubtitleStyle:
    """How text is cut into subtitles.

    Attributes:
        max_characters: longest line; a wide character, such as a Chinese one, counts as two.
        max_lines: 1 or 2.
        min_sec: each stays that long where the next one and the clip's end leave room.
        max_sec: a longer one is divided.
        pause_sec: silence between two words that begins a new one.
    """

    max_characters: int = 42
    max_lines: int = 2
    min_sec: float = 1.0
    max_sec: float = 6.0
    pause_sec: float = 0.7


@dataclass(frozen=True)
class Subtitle:
    """Text on display from ``start_ms`` until before ``end_ms``, both from the clip's start."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    """A word, or a piece of one that is longer than a line; milliseconds from the clip's start.

    ``is_glued``: no space divides it from the word before.
    """

    text: str
    start_ms: int
    end_ms: int
    is_glued: bool


@dataclass(frozen=True)
class _Group:
    """Words of one subtitle."""

    tokens: tuple[_Token, ...]

    @property
    def start_ms(self) -> int:
        return self.tokens[0].start_ms

    @property
    def end_ms(self) -> int:
        return max(token.end_ms for token in self.tokens)


def clip_subtitles(
    cues: Iterable[Cue], start_sec: float, end_sec: float, style: SubtitleStyle | None = None
) -> list[Subtitle]:
    """What is said between two moments of the video; a word on an edge belongs to the side that its middle is on."""
    style = style or SubtitleStyle()
    length_ms = to_ms(end_sec, start_sec)
    groups: list[_Group] = []
    for cue in sorted(cues, key=lambda cue: (cue.start, cue.end)):
        inside = [t for t in _tokens(cue, start_sec, style) if 0 <= (t.start_ms + t.end_ms) / 2 < length_ms]
        groups += _grouped(inside, style)
    return _timed(_joined(groups, style), length_ms, style)


def to_srt(subtitles: Sequence[Subtitle]) -> str:
    """SubRip text, UTF-8 when encoded."""
    blocks = (
        f"{number}\n{_clock(s.start_ms, ',')} --> {_clock(s.end_ms, ',')}\n{_joined_lines(s.lines)}\n"
        for number, s in enumerate(subtitles, start=1)
    )
    return "\n".join(blocks)


def to_vtt(subtitles: Sequence[Subtitle]) -> str:
    """WebVTT text, UTF-8 when encoded (https://www.w3.org/TR/webvtt1/)."""
    blocks = ["WEBVTT\n"]
    for s in subtitles:
        text = _joined_lines(s.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(s.start_ms, '.')} --> {_clock(s.end_ms, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_ms(time_sec: float, origin_sec: float = 0.0) -> int:
    """Whole milliseconds since the origin, rounded half up as decimals."""
    exact = Decimal(repr(float(time_sec))) - Decimal(repr(float(origin_sec)))
    return int((exact * 1000).quantize(Decimal(1), ROUND_HALF_UP))


def width(text: str) -> int:
    """Columns that a text takes: combining marks none, wide characters two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def _joined_lines(lines: Sequence[str]) -> str:
    return "\n".join(lines).replace("-->", "→")


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"


def _tokens(cue: Cue, origin_sec: float, style: SubtitleStyle) -> list[_Token]:
    """A cue's words with times that never go back, those unknown spread by length between those known."""
    texts = [word for word in (clean(w.word) for w in cue.words or ()) if word]
    known = [(w.start, w.end) for w in cue.words or () if clean(w.word)]
    if not texts:
        texts = clean(cue.text).split()
        known = [(None, None)] * len(texts)
    times = _times([len(text) for text in texts], known, cue.start, cue.end)
    tokens: list[_Token] = []
    for text, is_glued, (start, end) in zip(texts, _glued(texts, clean(cue.text)), times, strict=True):
        pieces = _pieces(text, style.max_characters)
        edges = [start + (end - start) * n / len(pieces) for n in range(len(pieces) + 1)]
        tokens += [
            _Token(piece, to_ms(a, origin_sec), to_ms(b, origin_sec), is_glued or number > 0)
            for number, (piece, (a, b)) in enumerate(zip(pieces, pairwise(edges), strict=True))
        ]
    return tokens


def _glued(words: Sequence[str], text: str) -> list[bool]:
    """Which words follow the one before without a space in the cue's text, as Chinese ones do."""
    glued, at = [], 0
    for word in words:
        found = text.find(word, at)
        glued.append(found == at > 0)
        at = found + len(word) if found >= 0 else at
    return glued


def clean(text: str) -> str:
    """One line without control characters; format characters stay, as some scripts need them."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in text)
    return " ".join(kept.split())


def _times(
    lengths: list[int], known: Sequence[tuple[float | None, float | None]], start_sec: float, end_sec: float
) -> list[tuple[float, float]]:
    """A span for each word inside the cue; one is believed where it lies in the cue and after those before it."""
    believed: list[tuple[float, float] | None] = []
    last = start_sec
    for start, end in known:
        is_sound = (
            start is not None
            and end is not None
            and last <= start <= end <= end_sec
            and end - start < _LONGEST_WORD_SEC
        )
        believed.append((start, end) if is_sound and start is not None and end is not None else None)
        last = believed[-1][1] if believed[-1] else last
    spans: list[tuple[float, float]] = []
    at = 0
    while at < len(believed):
        own = believed[at]
        if own is not None:
            spans.append(own)
            at += 1
            continue
        stop = next((n for n in range(at, len(believed)) if believed[n] is not None), len(believed))
        after = believed[stop] if stop < len(believed) else None
        spans += _spread(lengths[at:stop], spans[-1][1] if spans else start_sec, after[0] if after else end_sec)
        at = stop
    return spans


def _spread(lengths: Sequence[int], start_sec: float, end_sec: float) -> list[tuple[float, float]]:
    total, passed = sum(lengths), 0
    edges = [start_sec]
    for length in lengths:
        passed += length
        edges.append(start_sec + (end_sec - start_sec) * passed / total)
    return list(pairwise(edges))


def _pieces(word: str, columns: int) -> list[str]:
    """A word cut where it is longer than a line; never before a combining mark."""
    pieces, piece = [], ""
    for character in word:
        if piece and not unicodedata.combining(character) and width(piece + character) > columns:
            pieces.append(piece)
            piece = ""
        piece += character
    return [*pieces, piece] if piece else pieces


def _grouped(tokens: Sequence[_Token], style: SubtitleStyle) -> list[_Group]:
    """Subtitles of one cue: full, but a sentence's end or a pause closes one that is a third full."""
    groups: list[list[_Token]] = []
    for token in tokens:
        if not groups or _begins(groups[-1], token, style):
            groups.append([])
        groups[-1].append(token)
    return [_Group(tuple(group)) for group in groups]


def _begins(group: Sequence[_Token], token: _Token, style: SubtitleStyle) -> bool:
    last = group[-1]
    room = style.max_characters * style.max_lines
    return (
        _broken([*group, token], style) is None
        or token.end_ms - group[0].start_ms > style.max_sec * 1000
        or token.start_ms - last.end_ms >= style.pause_sec * 1000
        or (last.text.endswith(_SENTENCE_END) and width(_text(group)) > room / 3)
    )


def _text(tokens: Sequence[_Token]) -> str:
    return "".join(t.text if t.is_glued or not n else f" {t.text}" for n, t in enumerate(tokens))


def _broken(tokens: Sequence[_Token], style: SubtitleStyle) -> tuple[str, ...] | None:
    """The words in as few and as equal lines as they take; None where they take more than there are."""
    whole = _text(tokens)
    if width(whole) <= style.max_characters:
        return (whole,)
    if style.max_lines == 1:
        return None
    halves = ((_text(tokens[:n]), _text(tokens[n:])) for n in range(1, len(tokens)))
    fitting = [pair for pair in halves if max(map(width, pair)) <= style.max_characters]
    return min(fitting, key=lambda pair: abs(width(pair[0]) - width(pair[1])), default=None)


def _joined(groups: Sequence[_Group], style: SubtitleStyle) -> list[_Group]:
    """Captions that come a word or two at a time, in subtitles long enough to be read."""
    joined: list[_Group] = []
    for group in groups:
        before = joined[-1] if joined else None
        if before is not None and _belongs(before, group, style):
            joined[-1] = replace(before, tokens=before.tokens + group.tokens)
        else:
            joined.append(group)
    return joined


def _belongs(before: _Group, group: _Group, style: SubtitleStyle) -> bool:
    shortest = min(before.end_ms - before.start_ms, group.end_ms - group.start_ms)
    return (
        shortest < style.min_sec * 1000
        and not before.tokens[-1].text.endswith(_SENTENCE_END)
        and 0 <= group.start_ms - before.end_ms < style.pause_sec * 1000
        and group.end_ms - before.start_ms <= style.max_sec * 1000
        and _broken(before.tokens + group.tokens, style) is not None
    )


def _timed(groups: Sequence[_Group], length_ms: int, style: SubtitleStyle) -> list[Subtitle]:
    """Starts in order with room between them, then ends: as late as said, or as it takes to read, before the next."""
    groups = groups[:length_ms]  # no more subtitles than milliseconds
    if not groups:
        return []
    slot = max(min(length_ms // len(groups), round(style.min_sec * 1000) // 4), 1)
    starts: list[int] = []
    for group in groups:
        starts.append(max(group.start_ms, starts[-1] + slot if starts else 0))
    latest = length_ms
    for number in range(len(starts) - 1, -1, -1):
        latest -= slot
        starts[number] = min(starts[number], latest)
        latest = starts[number]
    subtitles = []
    for group, start, following in zip(groups, starts, [*starts[1:], length_ms], strict=True):
        end = min(max(group.end_ms, start + max(round(style.min_sec * 1000), 1)), following)
        lines = _broken(group.tokens, style)
        assert lines is not None
        subtitles.append(Subtitle(start, end, lines))
    return subtitles


def spoken(subtitles: Iterable[Subtitle]) -> str:
    """All characters of all lines, for whoever must draw them."""
    return "".join(re.sub(r"\s", "", line) for s in subtitles for line in s.lines)
