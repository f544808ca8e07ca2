"""Clusters among vectors: L2-normalise, PCA, HDBSCAN. Deterministic: no random state anywhere.

HDBSCAN's hierarchy depends on nothing but the minimum spanning tree of the mutual reachability distances. The tree is
made here, from blocked matrix products and Prim's algorithm, which at 100 dimensions takes less time than the
tree searches of the library (``benchmarks/cluster_scale.py``); the hierarchy and its clusters are the library's own.

Two bounds are put on the tree's edges. Longer ones are cut to ``max_linkage_distance``: what is farther apart has
nothing to do with each other. Two points at that distance from everything stand for the rest of the world; so the
segments as a whole may be one cluster, which HDBSCAN finds neither without ``allow_single_cluster`` nor reliably with
it, and pure noise has no clusters, while HDBSCAN with clusters of two finds pairs in any. Shorter ones are drawn out to
``min_linkage_distance``: identical descriptions are infinitely dense, and would else outweigh the cluster around them.
"""

import numpy as np
import numpy.typing as npt

from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.vectors import Floats, blocks, spread

NOISE = -1
Labels = npt.NDArray[np.int64]
_NEARER = 0.9
_COMPACT_AT = 0.8  # of the rows that are still outside the tree


def cluster(unit: Floats, parameters: ClusteringParameters) -> Labels:
    """The cluster of each row, counted from 0 in the order of their first rows; ``NOISE`` for none.

    ``unit`` has rows of length 1, shape (n, dim), any n. The result depends on the order of rows only where distances
    are exactly equal.
    """
    if len(unit) < parameters.min_cluster_size:
        return np.full(len(unit), NOISE, np.int64)
    points = reduce(unit, parameters.pca_components)
    return _in_order_of_appearance(_clusters(points, unit, parameters.max_linkage_distance, parameters))


def _clusters(points: Floats, unit: Floats, horizon: float, parameters: ClusteringParameters) -> Labels:
    """Clusters within a cosine distance; one that is too wide as a whole is taken apart within a nearer horizon.

    Width is judged on the vectors as they were: a projection brings together what is far apart in what it leaves out.
    """
    shortest, longest = (_chord(distance) for distance in (parameters.min_linkage_distance, horizon))
    ends, lengths = spanning_tree(points, parameters.min_samples)
    ends, lengths = _with_the_rest_of_the_world(ends, np.clip(lengths, shortest, longest), longest)
    labels = hierarchy_labels(ends, lengths, parameters.min_cluster_size)[: len(unit)]
    labels[_n_within(ends, lengths, longest)[: len(unit)] < parameters.min_cluster_size] = NOISE
    nearer = horizon * _NEARER
    for number in range(labels.max(initial=NOISE) + 1):
        members = np.flatnonzero(labels == number)
        if spread(unit[members]) < parameters.max_task_spread:
            continue
        labels[members] = NOISE
        if nearer > parameters.min_linkage_distance and len(members) > parameters.min_cluster_size:
            parts = _clusters(points[members], unit[members], nearer, parameters)
            labels[members] = np.where(parts == NOISE, NOISE, parts + labels.max() + 1)
    return labels


def reduce(unit: Floats, n_components: int) -> Floats:
    """Rows projected on their principal components: (n, at most ``n_components``), float32.

    By the eigenvectors of the covariance, or where rows are fewer than dimensions of the products of rows; both exact.
    Left as they are where rows or dimensions are no more than the components. Euclidean distances stay what they were
    in the components kept. Beside the vectors it holds one such matrix (float64) and one block.
    """
    n, dim = unit.shape
    if min(n, dim) <= n_components:
        return unit
    center = unit.mean(axis=0, dtype=np.float64).astype(np.float32)
    if n < dim:
        centered = unit - center
        values, vectors = _greatest(centered @ centered.T, n_components)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
    covariance = np.zeros((dim, dim))
    for rows in blocks(n, dim):
        centered = unit[rows] - center
        covariance += centered.T @ centered
    _, components = _greatest(covariance.astype(np.float32), n_components)
    projected = unit @ components
    projected -= center @ components
    return np.asarray(projected)


def _greatest(matrix: Floats, k: int) -> tuple[Floats, Floats]:
    """The k greatest eigenvalues (k) of a symmetric matrix, which is overwritten, and their vectors (n, k).

    In float32: distances in the projection then differ by less than 1e-6, for half the time.
    """
    from scipy.linalg import eigh

    n = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[n - k, n - 1], overwrite_a=True)
    return values, vectors


def spanning_tree(points: Floats, min_samples: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The minimum spanning tree of HDBSCAN's mutual reachability distances, by Prim: ends (n − 1, 2), lengths (n − 1).

    The distance of two points is the greatest of their Euclidean distance and of each one's distance to its
    ``min_samples``-th neighbour. Memory grows with n, time with n².
    """
    n = len(points)
    norms = np.einsum("ij,ij->i", points, points)
    core = _core_distances_squared(points, norms, min_samples)
    ends, lengths = np.empty((n - 1, 2), np.int64), np.empty(n - 1)
    # Of the points outside the tree: who, where, and the nearest point of the tree so far. Taken ones get infinity,
    # and are swept out when a fifth has gone.
    who, outside, reach, near = np.arange(n), points, np.full(n, np.inf, np.float32), np.zeros(n, np.int64)
    norms_outside, core_outside, taken = norms, core, np.zeros(n, np.bool_)
    newest, n_left = 0, n - 1
    taken[0] = True
    for edge in range(n - 1):
        if n_left < _COMPACT_AT * len(who):
            left = ~taken
            who, outside, reach, near = who[left], outside[left], reach[left], near[left]
            norms_outside, core_outside, taken = norms_outside[left], core_outside[left], taken[left]
        distances = outside @ points[newest]
        distances *= -2
        distances += norms_outside
        distances += norms[newest]
        np.maximum(distances, core_outside, out=distances)
        np.maximum(distances, core[newest], out=distances)
        closer = (distances < reach) & ~taken
        reach[closer], near[closer] = distances[closer], newest
        place = int(reach.argmin())
        newest = int(who[place])
        ends[edge], lengths[edge] = (near[place], newest), reach[place]
        reach[place], taken[place], n_left = np.inf, True, n_left - 1
    return ends, np.sqrt(np.maximum(lengths, 0))


def hierarchy_labels(ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.float64], min_cluster_size: int) -> Labels:
    """HDBSCAN's clusters (``eom``) of a spanning tree with lengths above 0: what the library makes of its points."""
    from hdbscan import hdbscan
    from scipy.sparse import coo_array

    rows, columns = np.concatenate([ends, ends[:, ::-1]]).T
    tree = coo_array((np.tile(lengths, 2), (rows, columns)), shape=(len(ends) + 1,) * 2).tocsr()
    # With one sample a point's core distance is its shortest edge, which is no longer than any edge it has: the
    # library sees the lengths as they are.
    labels = hdbscan(tree, metric="precomputed", min_samples=1, min_cluster_size=min_cluster_size)[0]
    return np.asarray(labels, np.int64)


def _with_the_rest_of_the_world(
    ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.float64], longest: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Adds two points, together as near as the nearest, at the distance ``longest`` from all others."""
    n = len(ends) + 1
    return np.concatenate([ends, [[n, n + 1], [n, 0]]]), np.concatenate([lengths, [lengths.min(), longest]])


def _n_within(ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.float64], longest: float) -> Labels:
    """How many points each point is joined with by shorter edges than ``longest``, itself included.

    Edges cut to one length are joined up in any order, and HDBSCAN counts what falls off a cluster at its very birth
    as a member of it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = ends[lengths < longest].T
    joined = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(ends) + 1,) * 2)
    _, component = connected_components(joined, directed=False)
    return np.asarray(np.bincount(component)[component])


def _core_distances_squared(points: Floats, norms: Floats, min_samples: int) -> Floats:
    n = len(points)
    k = min(min_samples, n - 1)
    core = np.empty(n, np.float32)
    for rows in blocks(n, n):
        distances = points[rows] @ points.T
        distances *= -2
        distances += norms
        distances += norms[rows, None]
        distances.partition(k, axis=1)  # the point itself is the nearest
        core[rows] = distances[:, k]
    return core


def _chord(cosine_distance: float) -> float:
    """The Euclidean distance of unit vectors at this cosine distance."""
    return float(np.sqrt(2 * cosine_distance))


def _in_order_of_appearance(labels: Labels) -> Labels:
    numbers: dict[int, int] = {NOISE: NOISE}
    return np.array([numbers.setdefault(int(label), len(numbers) - 1) for label in labels], np.int64)
