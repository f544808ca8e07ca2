"""Made videos whose replayed moments are known.

``passages.json`` holds passages, written by a language model: moments that people would watch again, and what fills
the time between them, of which some ask, count or speak to the viewer too. A made video is three to five moments among
fillers, spoken at a changing pace, with cuts, loudness, and a replay heatmap as YouTube has them: hot at the moments,
a little late, hot at the very start of some videos, and noisy. The passages of the half ``choose`` and of the half
``report`` have nothing in common; what is chosen is chosen on the first.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from clipfarm_assets.clips.loudness import STEP_MS, Loudness
from clipfarm_assets.media.cues import Cue, Word


@dataclass(frozen=True, eq=False)
class Made:
    """One video; ``heatmap`` as yt-dlp brings it, ``planted`` the moments' spans in seconds."""

    video_id: str
    duration_sec: float
    cues: tuple[Cue, ...]
    cuts_sec: tuple[float, ...]
    loudness: Loudness
    heatmap: tuple[dict[str, float], ...]
    planted: tuple[tuple[float, float], ...]


@cache
def passages() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("passages.json").read_text())
    return found


def made_videos(half: str, count: int, seed: int = 0) -> list[Made]:
    """The same for the same seed."""
    return [_made(half, number, np.random.default_rng([seed, number, len(half)])) for number in range(count)]


def _made(half: str, number: int, rng: np.random.Generator) -> Made:
    pool = passages()[half]
    n_moments = int(rng.integers(3, 6))
    parts = [(text, True) for text in rng.permutation(pool["moments"])[:n_moments]]
    parts += [(text, False) for text in rng.permutation(pool["dull"])[: 4 * n_moments - int(rng.integers(0, 3))]]
    order = rng.permutation(len(parts)).tolist()
    cues: list[Cue] = []
    planted: list[tuple[float, float]] = []
    cuts, loud, at = [0.0], [], float(rng.uniform(0, 6))
    for index in order:
        text, hot = parts[index]
        start = at
        spoken = list(_spoken(str(text), at, float(rng.uniform(0.32, 0.42)), rng))
        cues += spoken
        at = spoken[-1].end + float(rng.uniform(0.3, 1.6))
        loud.append((start, at, float(rng.normal(0.115 if hot else 0.1, 0.02))))
        if hot:
            planted.append((start, at))
        if rng.random() < 0.5:
            cuts.append(at - 0.2)
        if rng.random() < 0.3:
            cuts.append(float(rng.uniform(start, at)))
    return Made(
        f"{half}-{number}", at, tuple(cues), tuple(sorted(cuts)), _loudness(loud, at, rng), _heatmap(planted, at, rng),
        tuple(planted),
    )  # fmt: skip


def _spoken(text: str, at: float, word_sec: float, rng: np.random.Generator) -> Iterator[Cue]:
    """A cue a sentence."""
    for sentence in text.replace("? ", "?|").replace(". ", ".|").replace("! ", "!|").split("|"):
        words = []
        start = at
        for word in sentence.split():
            length = word_sec * (0.5 + len(word) / 9) * float(rng.uniform(0.8, 1.2))
            words.append(Word(round(at, 3), round(at + 0.9 * length, 3), word, 0.9))
            at += length
        yield Cue(round(start, 3), words[-1].end or at, sentence, tuple(words))
        at += float(rng.uniform(0.1, 0.7))


def _loudness(parts: list[tuple[float, float, float]], duration: float, rng: np.random.Generator) -> Loudness:
    rms = np.abs(rng.normal(0.01, 0.003, int(duration * 1000 / STEP_MS) + 1))
    for start, end, level in parts:
        first, last = int(start * 1000 / STEP_MS), int(end * 1000 / STEP_MS)
        rms[first:last] = np.abs(rng.normal(level, level / 3, last - first))
    return Loudness(rms.astype(np.float32))


def _heatmap(
    planted: list[tuple[float, float]], duration: float, rng: np.random.Generator
) -> tuple[dict[str, float], ...]:
    edges = np.linspace(0, duration, 101)
    middle = (edges[:-1] + edges[1:]) / 2
    heat = 0.15 + np.abs(rng.normal(0, 0.06, 100))
    for start, end in planted:
        late, height = float(rng.uniform(-2, 4)), float(rng.uniform(0.5, 1.0))
        inside = (middle > start + late) & (middle < end + late)
        heat = np.maximum(heat, np.where(inside, height * rng.uniform(0.8, 1.0, 100), 0))
    if rng.random() < 0.5:
        heat = np.maximum(heat, np.exp(-np.arange(100) / 2.0))
    heat = np.convolve(np.pad(heat, 1, mode="edge"), [0.2, 0.6, 0.2], mode="valid")
    heat /= heat.max()
    return tuple(
        {"start_time": float(edges[n]), "end_time": float(edges[n + 1]), "value": float(heat[n])} for n in range(100)
    )
