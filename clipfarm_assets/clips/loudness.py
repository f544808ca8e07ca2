"""How loud a video is over time.

In: its sound as a mono WAV whose time 0 is the video's. Out: root mean square every tenth of a second, 0 to 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

STEP_MS = 100
_QUIET_MS = 300  # shorter dips are those between syllables
_QUIET = 0.15  # of the median loudness


@dataclass(frozen=True, eq=False)
class Loudness:
    """``rms``: float (n,), of each ``STEP_MS`` from the start of the video."""

    rms: npt.NDArray[np.float32]

    @property
    def typical(self) -> float:
        """The median over the video, 0 where it is silent throughout."""
        return float(np.median(self.rms)) if len(self.rms) else 0.0

    def mean(self, start_ms: int, end_ms: int) -> float | None:
        """Over a span; None where the sound does not reach."""
        part = self.rms[start_ms // STEP_MS : max(start_ms // STEP_MS + 1, -(-end_ms // STEP_MS))]
        return float(np.sqrt(np.mean(np.square(part, dtype=np.float64)))) if len(part) else None

    def silences(self) -> Iterator[tuple[int, int]]:
        """Spans of at least 0.3 s that are quiet next to the rest of the video."""
        quiet = self.rms < _QUIET * self.typical
        padded = np.concatenate([[False], quiet, [False]])
        edges = np.flatnonzero(padded[1:] != padded[:-1])
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if (last - first) * STEP_MS >= _QUIET_MS:
                yield first * STEP_MS, last * STEP_MS


def read_loudness(wav: Path) -> Loudness:
    """The loudness of a WAV file, read piece by piece."""
    import soundfile

    with soundfile.SoundFile(wav) as file:
        step = file.samplerate * STEP_MS // 1000
        pieces = [
            np.sqrt(np.add.reduceat(np.square(block, dtype=np.float64), range(0, len(block), step)) / step)
            for block in file.blocks(blocksize=step * 600, dtype="float32", always_2d=False)
            if len(block)
        ]
    return Loudness(np.concatenate(pieces).astype(np.float32) if pieces else np.zeros(0, np.float32))
