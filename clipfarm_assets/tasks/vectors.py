"""Unit vectors and groups of them.

A group (a cluster, a Task) is represented by the plain mean of its members' unit vectors. Its direction is the
centroid; its product with a unit vector is that vector's average cosine similarity to all members, and the product of
two means is the average similarity between the members of both. So "the group as a whole" costs no more than its
centroid.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Means = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_BLOCK_ENTRIES = 1 << 25  # of a block of distances: 128 MiB of float32


def normalize(vectors: npt.NDArray[np.floating], order: Sequence[int] | None = None) -> Floats:
    """A copy with rows of length 1, float32, (n, dim), in the order given.

    A row of zeros stays one, and is at distance 1 from everything.

    Raises:
        ValueError: the array is not two-dimensional, or holds NaN or infinity.
    """
    if vectors.ndim != 2:
        raise ValueError(f"Vectors have shape {vectors.shape}; expected are two dimensions.")
    places = np.arange(len(vectors)) if order is None else np.asarray(order, np.intp)
    unit = np.empty((len(places), vectors.shape[1]), np.float32)
    for rows in blocks(len(unit), unit.shape[1]):
        chosen = vectors[places[rows]].astype(np.float64)
        lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            raise ValueError("Vectors hold NaN or infinity.")
        unit[rows] = chosen / np.where(lengths > 0, lengths, 1)
    return unit


def directions(means: npt.NDArray[np.floating]) -> Floats:
    """The centroids' directions: rows of length 1, float32."""
    return normalize(means)


def among_nearest(unit: Floats, others: Floats, distance: float, k: int) -> npt.NDArray[np.bool_]:
    """Whether each row is one of the k nearest to any of the others, and nearer than this cosine distance: (n,)."""
    near = np.zeros(len(unit), np.bool_)
    if not len(unit):
        return near
    for rows in blocks(len(others), len(unit)):
        similarity = others[rows] @ unit.T
        chosen = np.argpartition(-similarity, min(k, len(unit)) - 1, axis=1)[:, :k]
        near[chosen[np.take_along_axis(similarity, chosen, axis=1) > 1 - distance]] = True
    return near


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows whose products with ``n_columns`` columns stay within 128 MiB."""
    step = max(1, _BLOCK_ENTRIES // max(1, n_columns))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def mean(unit: Floats, members: Sequence[int] | Indices) -> Means:
    """The mean of these rows, (dim,), float64."""
    return np.asarray(unit[members].mean(axis=0, dtype=np.float64))


def spread(unit: Floats) -> float:
    """Average cosine distance between two different rows; 0 for a single one."""
    n = len(unit)
    if n < 2:
        return 0.0
    total = unit.sum(axis=0, dtype=np.float64)
    return 1 - (float(total @ total) - n) / (n * (n - 1))


def join_means(first: Means, n_first: int, second: Means, n_second: int) -> Means:
    """The mean of two groups together."""
    return np.asarray((n_first * first + n_second * second) / (n_first + n_second))


def cosine_distance(first: Means, second: Means) -> float:
    """1 − cosine; 1 where either is a vector of zeros."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return 1 - float(first @ second) / lengths if lengths else 1.0
