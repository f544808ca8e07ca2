"""Clusters: equal to the library's, the same whatever the order, right where the library is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from clipfarm_assets.tasks.clustering import NOISE, cluster, hierarchy_labels, reduce, spanning_tree
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.vectors import Floats, normalize

PARAMETERS = ClusteringParameters()


def around(n_groups: int, n_each: int, dim: int = 384, width: float = 0.6, seed: int = 0) -> Floats:
    """Groups of unit vectors around random directions; within one the average cosine is 1 / (1 + width²)."""
    random = np.random.default_rng(seed)
    centers = normalize(random.normal(size=(n_groups, dim)))
    noise = random.normal(size=(n_groups * n_each, dim)) * width / np.sqrt(dim)
    return normalize(np.repeat(centers, n_each, axis=0) + noise)


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(5, 1_500),
    dim=st.integers(10, 100),
    min_samples=st.integers(1, 4),
    min_cluster_size=st.integers(2, 6),
    seed=st.integers(0, 10**6),
)
def test_tree_and_clusters_are_those_of_the_library(
    n: int, dim: int, min_samples: int, min_cluster_size: int, seed: int
) -> None:
    from hdbscan import HDBSCAN

    random = np.random.default_rng(seed)
    points = normalize(random.normal(size=(n, dim)) + random.integers(0, 5, (n, 1)))  # as in use
    reference = HDBSCAN(
        min_cluster_size=min_cluster_size,
        min_samples=min(min_samples, n - 1),
        algorithm="boruvka_kdtree",
        approx_min_span_tree=False,
        gen_min_span_tree=True,
        core_dist_n_jobs=1,
    ).fit(points.astype(np.float64))
    ends, lengths = spanning_tree(points, min(min_samples, n - 1))
    expected = np.sort(reference.minimum_spanning_tree_.to_numpy()[:, 2])
    assert np.sort(lengths) == pytest.approx(expected, abs=2e-3)
    # Where many edges are equally long the hierarchy is the library's choice; with one sample they are not.
    if min_samples == 1:
        found = hierarchy_labels(ends, lengths, min_cluster_size)
        assert adjusted_rand_score(found, reference.labels_) == 1


@pytest.mark.parametrize(("n", "dim"), [(150, 400), (400, 150)])
def test_the_projection_keeps_the_distances_of_an_exact_pca(n: int, dim: int) -> None:
    unit = around(5, n // 5, dim)
    ours, exact = reduce(unit, 100), PCA(100, svd_solver="full").fit_transform(unit.astype(np.float64))
    assert ours.shape == (n, 100)
    for row in (0, n // 2, n - 1):
        expected = np.linalg.norm(exact - exact[row], axis=1)
        assert np.linalg.norm(ours - ours[row], axis=1) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("n", [2, 3, 5, 30, 150])
def test_one_true_group_is_one_cluster(n: int) -> None:
    assert cluster(around(1, n), PARAMETERS).tolist() == [0] * n


@pytest.mark.parametrize("n", [2, 3, 150])
def test_identical_segments_are_one_cluster(n: int) -> None:
    assert cluster(np.tile(around(1, 1), (n, 1)), PARAMETERS).tolist() == [0] * n


def test_identical_descriptions_do_not_tear_their_cluster_apart() -> None:
    unit = around(2, 12)
    unit[1] = unit[2] = unit[0]
    assert cluster(unit, PARAMETERS).tolist() == [0] * 12 + [1] * 12


@pytest.mark.parametrize("n", [0, 1, 2, 3, 50, 300])
def test_pure_noise_has_no_clusters(n: int) -> None:
    unit = normalize(np.random.default_rng(0).normal(size=(n, 384)))
    assert cluster(unit, PARAMETERS).tolist() == [NOISE] * n


@pytest.mark.parametrize("n_each", [2, 10, 40])
def test_ten_true_groups_are_ten_clusters(n_each: int) -> None:
    expected = np.repeat(np.arange(10), n_each)
    assert cluster(around(10, n_each, dim=3072), PARAMETERS).tolist() == expected.tolist()


def test_segments_without_a_vector_are_noise() -> None:
    unit = np.concatenate([around(1, 4), np.zeros((3, 384), np.float32)])
    assert cluster(unit, PARAMETERS).tolist() == [0] * 4 + [NOISE] * 3
