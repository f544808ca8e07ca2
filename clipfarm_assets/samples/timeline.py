"""Where everything lies: shots on whole frames, lines and words in seconds, one track of sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.samples.model import Line, Sample, Shot
from clipfarm_assets.samples.sound import background
from clipfarm_assets.samples.speech import RATE, Spoken, Word

LEAD_SEC: Final = 0.3
GAP_SEC: Final = 0.35


@dataclass(frozen=True)
class PlacedShot:
    """A shot on the grid of frames: from ``start`` up to, not with, ``end``."""

    shot: Shot
    start: int
    end: int


@dataclass(frozen=True)
class PlacedLine:
    """A line with its seconds in the file."""

    line: Line
    shot: int
    start: float
    end: float
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Timeline:
    """One sample, planned.

    Attributes:
        frames: positions on the grid of ``sample.fps`` that are shown; all but for a variable rate.
        voice: the narration alone, float32 mono at ``speech.RATE``, as long as the video.
        sound: what is heard; None for no audio track.
    """

    sample: Sample
    shots: tuple[PlacedShot, ...]
    lines: tuple[PlacedLine, ...]
    frames: tuple[int, ...]
    voice: NDArray[np.float32]
    sound: NDArray[np.float32] | None

    @property
    def grid_frames(self) -> int:
        return self.shots[-1].end

    @property
    def seconds(self) -> float:
        return float(self.grid_frames / self.sample.fps)


def plan(sample: Sample, spoken: list[Spoken]) -> Timeline:
    """Place shots and lines; ``spoken`` are the sample's lines in order."""
    fps = sample.fps
    shots: list[PlacedShot] = []
    lines: list[PlacedLine] = []
    waiting = iter(spoken)
    frame = 0
    for index, shot in enumerate(sample.shots):
        at = float(frame / fps) + LEAD_SEC
        for said in (next(waiting) for _ in shot.lines):
            at = round(at * RATE) / RATE
            words = tuple(Word(w.text, w.start + at, w.end + at, w.probability) for w in said.words)
            lines.append(PlacedLine(said.line, index, at, at + said.seconds, words))
            at += said.seconds + GAP_SEC
        until = (at - GAP_SEC if shot.lines else float(frame / fps)) + shot.hold_sec
        end = max(round(until * fps), frame + 1)
        shots.append(PlacedShot(shot, frame, end))
        frame = end
    length = round(frame / fps * RATE)
    voice = np.zeros(length, dtype=np.float32)
    for placed, said in zip(lines, spoken, strict=True):
        first = round(placed.start * RATE)
        voice[first : first + len(said.samples)] = said.samples
    starts = [float(placed.start / fps) for placed in shots]
    return Timeline(
        sample,
        tuple(shots),
        tuple(lines),
        tuple(_shown(sample, shots)),
        voice,
        None if sample.sound == "none" else voice + background(sample.sound, length, starts),
    )


def _shown(sample: Sample, shots: list[PlacedShot]) -> Iterator[int]:
    """Frames that are kept; a variable rate drops some, never the first or last of a shot, never three in a row."""
    rng = np.random.default_rng(17)
    for placed in shots:
        dropped = 0
        for frame in range(placed.start, placed.end):
            edge = frame in (placed.start, placed.end - 1)
            drop = sample.variable_rate and not edge and dropped < 2 and rng.random() < 0.4
            dropped = dropped + 1 if drop else 0
            if not drop:
                yield frame
