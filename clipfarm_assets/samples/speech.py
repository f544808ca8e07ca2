"""Narration: what is said, as samples, with the time of every word.

A line's start and end are exact: they are the first and last sample above silence of its own synthesis. A word's start
is where the synthesiser says that the word begins; a word's end is the next word's start, or the end of its sound
before a pause. Estimated are only the words that the synthesiser joins to the one before ("of the"): they share that
word's time by their letters, and carry probability 0.5 instead of 1.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.samples.espeak import MISSING_STATUS
from clipfarm_assets.samples.model import Line, Voice

RATE: Final = 22_050
PEAK: Final = 0.7
_SILENCE: Final = 0.01
_WINDOW: Final = 220


@dataclass(frozen=True)
class Word:
    """A word with its seconds from the start of its line (or of the file, once the line is placed)."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Spoken:
    """A line's sound, float32 at ``RATE``, without silence at either end, and its words."""

    line: Line
    samples: NDArray[np.float32]
    words: tuple[Word, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def speak(lines: Sequence[Line], voices: dict[str, Voice]) -> tuple[list[Spoken], str]:
    """Synthesise lines; returns them with the synthesiser's version (empty where there is nothing to say).

    Raises:
        ConfigurationError: espeak-ng is not installed, or does not answer.
    """
    if not lines:
        return [], ""
    request = [
        {"voice": voice.name, "words_per_minute": voice.words_per_minute, "pitch": voice.pitch, "text": line.text}
        for line in lines
        for voice in [voices[line.speaker]]
    ]
    command = [sys.executable, "-m", "clipfarm_assets.samples.espeak"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == MISSING_STATUS:
        what = "The samples' narration needs espeak-ng, which is not installed here."
        raise ConfigurationError(what, hint="Run `apt-get install espeak-ng`; the shipped samples need nothing.")
    if done.returncode != 0:
        raise ConfigurationError(f"espeak-ng failed: {done.stderr[-300:]}", hint="Reinstall espeak-ng.")
    answer = json.loads(done.stdout)
    if answer["rate"] != RATE:
        raise ConfigurationError(f"espeak-ng speaks at {answer['rate']} Hz, not {RATE}.", hint="Use espeak-ng 1.51.")
    spoken = [
        _spoken(line, base64.b64decode(made["pcm"]), made["words"])
        for line, made in zip(lines, answer["lines"], strict=True)
    ]
    return spoken, str(answer["version"])


def _spoken(line: Line, pcm: bytes, marks: Sequence[Sequence[int]]) -> Spoken:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    samples *= PEAK / max(float(np.abs(samples).max()), 1.0)
    loud = np.flatnonzero(np.abs(samples) > _SILENCE)
    first, last = int(loud[0]), int(loud[-1]) + 1
    trimmed = samples[first:last]
    return Spoken(line, trimmed, _words(line.text, trimmed, [(offset, at - first) for offset, at in marks]))


def _words(text: str, samples: NDArray[np.float32], marks: Sequence[tuple[int, int]]) -> tuple[Word, ...]:
    words, starts, sure = _starts(text, marks, len(samples))
    ends = [*starts[1:], len(samples)]
    made = []
    for word, start, end, probability in zip(words, starts, ends, sure, strict=True):
        sounding = np.flatnonzero(np.abs(samples[start:end]) > _SILENCE)
        stop = start + int(sounding[-1]) + 1 if len(sounding) else end
        made.append(Word(word, start / RATE, stop / RATE, probability))
    return tuple(made)


def _starts(text: str, marks: Sequence[tuple[int, int]], length: int) -> tuple[list[str], list[int], list[float]]:
    """The words, the sample where each begins, and how sure that is (1 marked, 0.5 shared out)."""
    words = text.split()
    offsets, at = [], 0
    for word in words:
        at = text.index(word, at)
        offsets.append(at)
        at += len(word)
    known: list[int | None] = []
    for word, offset in zip(words, offsets, strict=True):
        inside = [sample for position, sample in marks if offset <= position < offset + len(word)]
        known.append(min(max(min(inside), 0), length - 1) if inside else None)
    known[0] = 0
    sure = [0.5 if start is None else 1.0 for start in known]
    for index, start in enumerate(known):
        if start is None:
            known[index] = _shared(words, known, index, length)
    return words, [start for start in known if start is not None], sure


def _shared(words: Sequence[str], known: Sequence[int | None], index: int, length: int) -> int:
    """Where an unmarked word begins: the time up to the next mark is shared by letters. The word before is known."""
    following = next((i for i in range(index, len(words)) if known[i] is not None), len(words))
    end = known[following] if following < len(words) else length
    before = known[index - 1]
    assert before is not None and end is not None
    letters = [len(word) for word in words[index - 1 : following]]
    return before + round((end - before) * letters[0] / sum(letters))


def loudness(samples: NDArray[np.float32], at: float) -> float:
    """How loud speech is around a second of the file, 0-1."""
    middle = round(at * RATE)
    window = samples[max(middle - _WINDOW, 0) : middle + _WINDOW]
    return min(float(np.sqrt(np.mean(window**2))) * 4, 1.0) if len(window) else 0.0
