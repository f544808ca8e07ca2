"""Topic shifts: TextTiling (Hearst 1997) with sentence embeddings in place of word counts.

At each gap between two sentences the mean vectors of the few sentences before and after are compared. How deep the
similarity dips there, against the peaks on both sides, is the gap's depth.
"""

import numpy as np
import numpy.typing as npt

from clipfarm_assets.segments.flags import Floats

Depths = npt.NDArray[np.float64]
BLOCK = 3  # sentences on each side that are compared


def depths(vectors: Floats) -> Depths:
    """How much the topic shifts before each sentence, 0 to 1 as a share of the deepest, (n,); 0 before the first.

    Args:
        vectors: of the sentences in their order, rows of length 1.
    """
    found = np.zeros(len(vectors))
    if len(vectors) < 2 * BLOCK:
        return found
    similarity = _similarities(np.asarray(vectors, np.float64))
    for gap in range(1, len(vectors)):
        found[gap] = _rise(similarity, gap, -1) + _rise(similarity, gap, 1)
    deepest = found.max()
    return found / deepest if deepest > 0 else found


def boundaries(depth: Depths) -> list[int]:
    """The sentences that begin a new topic: gaps deeper than mean less half a standard deviation, local peaks only."""
    dips = depth[depth > 0]
    if not len(dips):
        return []
    least = dips.mean() - dips.std() / 2
    padded = np.concatenate([[0.0], depth, [0.0]])
    peak = (depth >= padded[:-2]) & (depth > padded[2:])
    return [int(n) for n in np.flatnonzero(peak & (depth > max(0.0, least)))]


def _similarities(unit: npt.NDArray[np.float64]) -> Depths:
    """Between the blocks before and after each gap, (n,); the first is not used."""
    found = np.ones(len(unit))
    for gap in range(1, len(unit)):
        before, after = unit[max(0, gap - BLOCK) : gap].mean(axis=0), unit[gap : gap + BLOCK].mean(axis=0)
        length = np.linalg.norm(before) * np.linalg.norm(after)
        found[gap] = float(before @ after) / length if length else 1.0
    return found


def _rise(similarity: Depths, gap: int, step: int) -> float:
    """How far the similarity climbs from the gap to the nearest peak in one direction."""
    peak, at = similarity[gap], gap + step
    while 1 <= at < len(similarity) and similarity[at] >= peak:
        peak, at = similarity[at], at + step
    return float(peak - similarity[gap])
