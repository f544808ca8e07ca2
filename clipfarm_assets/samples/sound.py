"""Sounds beside the voice: a beat, and the noises of a game. Float32 mono at ``speech.RATE``."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.samples.model import Sound
from clipfarm_assets.samples.speech import RATE

BEATS_A_SECOND: Final = 2


def background(kind: Sound, length: int, starts: Sequence[float]) -> NDArray[np.float32]:
    """What sounds under the voice for ``length`` samples; ``starts`` are the seconds where shots begin."""
    if kind == "beat":
        return _beat(length)
    if kind == "game":
        return _game(length, starts)
    return np.zeros(length, dtype=np.float32)


def _beat(length: int) -> NDArray[np.float32]:
    """Two beats a second: a drum, a hat between, a bass that changes every four beats."""
    t = np.arange(length) / RATE
    phase = t * BEATS_A_SECOND % 1.0
    drum = np.sin(2 * np.pi * (90 * phase - 40 * phase**2)) * np.exp(-phase * 9)
    noise = np.random.default_rng(3).standard_normal(length)
    hat = noise * np.exp(-((phase + 0.5) % 1.0) * 30) * 0.25
    notes = np.array([55.0, 65.4, 49.0, 73.4])[(t * BEATS_A_SECOND / 4).astype(int) % 4]
    bass = np.sign(np.sin(2 * np.pi * notes * t)) * 0.18
    return np.asarray((drum * 0.6 + hat + bass) * 0.35, dtype=np.float32)


def _game(length: int, starts: Sequence[float]) -> NDArray[np.float32]:
    """A low hum, and a burst where each shot begins."""
    t = np.arange(length) / RATE
    made = np.sin(2 * np.pi * 70 * t) * 0.015
    noise = np.random.default_rng(4).standard_normal(length)
    for start in starts:
        since = t - start
        made += np.where(since >= 0, np.exp(-np.maximum(since, 0) * 12), 0.0) * noise * 0.08
    return made.astype(np.float32)
