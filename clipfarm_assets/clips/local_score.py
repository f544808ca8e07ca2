"""The score of a clip without a language model: hook, flow, value and trend, each with what it rests on.

In: a window, the timeline of words, the loudness, the video's trend (``trend``). Out: a ``LocalScore``. A part that
cannot be judged has no score and says why; the whole is the weighted mean of the parts that there are, and has no
score itself where nothing of the clip could be judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipfarm_assets.clips.loudness import Loudness
from clipfarm_assets.clips.model import MAX_SCORE, Part
from clipfarm_assets.clips.telling import LEAST, MOST
from clipfarm_assets.clips.timeline import PAUSE_MS, Sentence, Spoken, Timeline, ends_sentence, joined
from clipfarm_assets.clips.vocabulary import content_words, vocabulary, words_in
from clipfarm_assets.clips.windows import Window

WEIGHTS: Mapping[Part, float] = {Part.HOOK: 0.35, Part.FLOW: 0.20, Part.VALUE: 0.25, Part.TREND: 0.20}
HOOK_MS = 3_000
_PACE_MS = 5_000
_VALUE_POINTS = {"density": 2.5, "specific": 1.0, "opening": 1.0, "telling": 5.5}
_VALUE_POINTS_UNTOLD = {"density": 5.0, "specific": 2.5, "opening": 2.5}
_DENSE = 0.4  # distinct content words of all words: few fillers, little said twice
_SPECIFIC_MS = 5_000  # a number or name every so often is as specific as talk gets
_SILENT = 0.5  # a clip that is silent for half of its time does not flow at all


@dataclass(frozen=True)
class Evidence:
    """What a part's score rests on.

    Attributes:
        what: in words.
        points: what it adds to the part's 0 to 10.
        quote: the words of the transcript.
        at_sec: when, from the start of the video.
    """

    what: str
    points: float
    quote: str | None = None
    at_sec: float | None = None


@dataclass(frozen=True)
class Judged:
    """A part's score, 0 to 10, with its evidence; or None, with the reason."""

    score: float | None
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None

    @classmethod
    def of(cls, evidence: Sequence[Evidence]) -> "Judged":
        """The sum of the evidence, at most 10."""
        return cls(min(MAX_SCORE, max(0.0, sum(each.points for each in evidence))), tuple(evidence))

    @classmethod
    def unknown(cls, reason: str) -> "Judged":
        return cls(None, reason=reason)


@dataclass(frozen=True)
class LocalScore:
    """The four parts of a clip's score."""

    parts: Mapping[Part, Judged]

    @property
    def total(self) -> float | None:
        """The weighted mean of the parts that there are; None where none of them speaks of the clip itself.

        Trend is the whole video's, so it alone says nothing about a clip.
        """
        known = {part: judged.score for part, judged in self.parts.items() if judged.score is not None}
        if not known.keys() - {Part.TREND}:
            return None
        return sum(WEIGHTS[part] * score for part, score in known.items()) / sum(WEIGHTS[part] for part in known)


class LocalScorer:
    """Scores the windows of one video."""

    def __init__(
        self,
        timeline: Timeline,
        language: str | None,
        loudness: Loudness | None,
        trend: Judged,
        told: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """``told``: of each sentence by ``telling.telling``, (n,); None where nothing encodes them."""
        self._timeline, self._loudness, self._trend, self._told = timeline, loudness, trend, told
        self._language, self._known = language, vocabulary(language)
        self._sentence_starts = {sentence.start_ms for sentence in timeline.sentences}
        self._sentence_ends = {sentence.end_ms for sentence in timeline.sentences}

    def score(self, window: Window) -> LocalScore:
        words = self._timeline.between(window.start_ms, window.end_ms)
        silent = self._why_silent(words)
        return LocalScore(
            {
                Part.HOOK: self._hook(window, words, silent),
                Part.FLOW: Judged.unknown(silent) if silent else self._flow(window, words),
                Part.VALUE: Judged.unknown(silent) if silent else self._value(window, words),
                Part.TREND: self._trend,
            }
        )

    def _why_silent(self, words: Sequence[Spoken]) -> str | None:
        if words:
            return None
        return "Nothing is said in this clip." if self._timeline.words else "The video has no timed transcript."

    def _hook(self, window: Window, words: Sequence[Spoken], silent: str | None) -> Judged:
        """Words carry 7 of the 10 points, the sound 3; where one of them is missing, the other is the whole."""
        energy = self._energy(window)
        first = [word for word in words if word.start_ms < window.start_ms + HOOK_MS]
        if silent and energy is None:
            return Judged.unknown(f"{silent} The loudness of its first seconds is not known.")
        if silent:
            assert energy is not None
            return Judged.of([Evidence(f"{energy.what}; {silent}", energy.points / 3 * 10, None, energy.at_sec)])
        share = 10.0 if energy is None else 7.0
        kinds = self._hook_words(first, words)
        # each further kind halves what is missing
        evidence = [
            Evidence(what, share * 0.5 ** (number + 1), quote, at_ms / 1000)
            for number, (what, quote, at_ms) in enumerate(kinds)
        ]
        if not kinds:
            missing = "no question, number or direct address" if self._known else "no question mark or digit"
            evidence.append(Evidence(f"{missing} in the first 3 s", 0.0, joined(first), window.start_ms / 1000))
        if energy is None:
            return Judged.of([*evidence, Evidence("the loudness is not known, so the words alone count", 0.0)])
        return Judged.of([*evidence, energy])

    def _hook_words(self, first: Sequence[Spoken], words: Sequence[Spoken]) -> list[tuple[str, str, int]]:
        """Each kind of hook in the first seconds with its words and when they are said."""
        found: list[tuple[str, str, int]] = []
        if question := self._question(first, words):
            found.append(("a question", question[0], question[1]))
        numbers = self._known.numbers if self._known else frozenset()
        told = [word for word in first if any(c.isdigit() for c in word.text) or _any_in(word, numbers)]
        if told:
            found.append(("a number", joined(told), told[0].start_ms))
        if self._known and (spoken_to := [word for word in first if _any_in(word, self._known.address)]):
            found.append(("speaks to the viewer", joined(spoken_to), spoken_to[0].start_ms))
        return found

    def _question(self, first: Sequence[Spoken], words: Sequence[Spoken]) -> tuple[str, int] | None:
        """The first sentence that begins in the first seconds and asks."""
        for number, word in enumerate(first):
            if word.start_ms not in self._sentence_starts:
                continue
            last = next((n for n in range(number, len(words)) if words[n].end_ms in self._sentence_ends), None)
            if last is not None and self._asks(word, words[last]):
                return joined(words[number : last + 1]), word.start_ms
        return None

    def _asks(self, first: Spoken, last: Spoken) -> bool:
        """By its question mark; where no full stops are written, by its first word."""
        if ends_sentence(last.text):
            return last.text.rstrip("\"'”’»)]").endswith(("?", "？", "؟"))
        return self._known is not None and _any_in(first, self._known.questions)

    def _energy(self, window: Window) -> Evidence | None:
        if self._loudness is None or not self._loudness.typical:
            return None
        loud = self._loudness.mean(window.start_ms, window.start_ms + HOOK_MS)
        if loud is None:
            return None
        times = loud / self._loudness.typical
        points = 3.0 * float(np.clip(times / 2, 0.0, 1.0))  # as loud as the video is half of them, twice as loud all
        return Evidence(
            f"the first 3 s are {times:.1f} times as loud as the video", points, None, window.start_ms / 1000
        )

    def _flow(self, window: Window, words: Sequence[Spoken]) -> Judged:
        starts, ends = words[0].start_ms in self._sentence_starts, words[-1].end_ms in self._sentence_ends
        silence = _silent_share(window, words)
        uneven = _unevenness(window, words)
        return Judged.of(
            [
                Evidence(
                    "starts with a sentence" if starts else "starts within a sentence",
                    3.0 * starts, joined(words[:5]), words[0].start_ms / 1000,
                ),
                Evidence(
                    "ends with a sentence" if ends else "ends within a sentence",
                    3.0 * ends, joined(words[-5:]), words[-1].end_ms / 1000,
                ),
                Evidence(f"{silence:.0%} of it is silent", 2.0 * max(0.0, 1 - silence / _SILENT)),
                Evidence(f"its pace varies by {uneven:.0%}", 2.0 * max(0.0, 1 - uneven)),
            ]
        )  # fmt: skip

    def _value(self, window: Window, words: Sequence[Spoken]) -> Judged:
        """Density, what is specific, a start that needs nothing before it, and how much the sentences tell."""
        told = self._telling(window)
        points = _VALUE_POINTS if told else _VALUE_POINTS_UNTOLD
        evidence = [
            self._density(words, points["density"]),
            self._specific(window, words, points["specific"]),
            self._opening(words, points["opening"]),
        ]
        if told is None:
            return Judged.of([*evidence, Evidence("no encoder, so what the sentences tell is not weighed", 0.0)])
        mean, sentence = told
        share = float(np.clip((mean - LEAST) / (MOST - LEAST), 0.0, 1.0))
        what = f"tells more than it fills by {mean:.2f}, most of all here"
        return Judged.of(
            [*evidence, Evidence(what, points["telling"] * share, sentence.text, sentence.start_ms / 1000)]
        )

    def _telling(self, window: Window) -> tuple[float, Sentence] | None:
        """The mean over the window's whole sentences by their length, and the one that tells most."""
        inside = [
            (number, each)
            for number, each in enumerate(self._timeline.sentences)
            if each.start_ms >= window.start_ms and each.end_ms <= window.end_ms
        ]
        if self._told is None or not inside:
            return None
        told = self._told[[number for number, _ in inside]]
        lengths = [each.end_ms - each.start_ms for _, each in inside]
        return float(np.average(told, weights=lengths)), inside[int(told.argmax())][1]

    def _density(self, words: Sequence[Spoken], points: float) -> Evidence:
        content = list(dict.fromkeys(content_words([word.text for word in words], self._known)))
        share = len(content) / len(words)
        of = "different words of content" + ("" if self._known else " (of more than 3 letters)")
        return Evidence(f"{share:.0%} of the words are {of}", points * min(1.0, share / _DENSE), ", ".join(content[:8]))

    def _specific(self, window: Window, words: Sequence[Spoken], points: float) -> Evidence:
        found = self._specifics(words)
        share = min(1.0, len(found) * _SPECIFIC_MS / window.length_ms)
        return Evidence(f"{len(found)} numbers and names", points * share, joined(found[:8]) or None)

    def _opening(self, words: Sequence[Spoken], points: float) -> Evidence:
        known, first = self._known, next(iter(words_in(words[0].text)), "")
        leans = known is not None and first in known.dangling
        what = "leans on what was said before" if leans else "begins by itself"
        if known is None:
            what += f" as far as can be told: no word list for {self._language}"
        return Evidence(what, 0.0 if leans else points, words[0].text, words[0].start_ms / 1000)

    def _specifics(self, words: Sequence[Spoken]) -> list[Spoken]:
        """Numbers, and words with a capital that begin no sentence."""
        numbers = self._known.numbers if self._known else frozenset()
        return [
            word
            for word in words
            if any(c.isdigit() for c in word.text)
            or _any_in(word, numbers)
            or (len(word.text) > 2 and word.text[0].isupper() and word.start_ms not in self._sentence_starts)
        ]


def _any_in(word: Spoken, listed: frozenset[str]) -> bool:
    return any(part in listed for part in words_in(word.text))


def _silent_share(window: Window, words: Sequence[Spoken]) -> float:
    """The share of the window in silences of a second or more, its edges included."""
    edges = [window.start_ms, *(edge for word in words for edge in (word.start_ms, word.end_ms)), window.end_ms]
    gaps = [after - before for before, after in zip(edges[::2], edges[1::2], strict=True)]
    return sum(gap for gap in gaps if gap >= PAUSE_MS) / window.length_ms


def _unevenness(window: Window, words: Sequence[Spoken]) -> float:
    """Standard deviation over mean of the words in each 5 s or so."""
    bins = max(1, round(window.length_ms / _PACE_MS))
    edges = np.linspace(window.start_ms, window.end_ms, bins + 1)
    counts = np.histogram([word.start_ms for word in words], edges)[0]
    return float(counts.std() / counts.mean())
