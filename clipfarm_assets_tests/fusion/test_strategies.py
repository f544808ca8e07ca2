"""Every strategy equals a slow, simple reference exactly."""

import numpy as np
import pytest

from clipfarm_assets.embeddings.manifest import MODALITIES
from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.fusion.strategies import STRATEGIES, strategy
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.fusion.corpus import Corpus


def test_the_lengths_are_those_of_the_contract() -> None:
    dims = dict.fromkeys(MODALITIES, 768)
    assert {name: one.dim(dims) for name, one in STRATEGIES.items()} == {
        "concat": 2305,
        "sum_pool": 769,
        "max_pool": 769,
    }


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("dims", [(6, 5, 4), (4, 6, 5), (3, 3, 7), (5, 5, 5)])
def test_a_strategy_equals_the_reference_exactly(local_store: ObjectStore, name: str, dims: tuple[int, ...]) -> None:
    corpus = Corpus(local_store, dims=dict(zip(MODALITIES, dims, strict=True)))
    absences = [{}, {"audio": Status.NO_AUDIO_TRACK}, {"text": Status.EMPTY_TRANSCRIPT}]
    absences.append(absences[1] | absences[2])
    ids = [f"v{number:02d}" for number in range(40)]
    for number, video_id in enumerate(ids):
        corpus.add(video_id, seed=number, **absences[number % 4])
    vectors, present = {}, {}
    for modality in MODALITIES:
        made = [corpus.vectors.get((modality, video_id)) for video_id in ids]
        zeros = np.zeros(corpus.dims[modality], np.float32)
        vectors[modality] = np.array([zeros if vector is None else vector for vector in made])
        present[modality] = np.array([vector is not None for vector in made])
    fused = strategy(name).fuse(vectors, present)
    assert fused.dtype == np.float32
    assert fused.shape == (40, strategy(name).dim(corpus.dims))
    assert fused.tolist() == [corpus.reference(name, video_id) for video_id in ids]


def test_an_absent_modality_does_not_win_over_negative_components() -> None:
    vectors = {m: np.full((1, 3), value, np.float32) for m, value in zip(MODALITIES, (-0.5, 0, 0), strict=True)}
    present = {m: np.array([m == "video"]) for m in MODALITIES}
    assert strategy("max_pool").fuse(vectors, present).tolist() == [[-0.5, -0.5, -0.5, 0]]


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_leaves_its_inputs_as_they_are(name: str) -> None:
    vectors = {m: np.full((2, 3), -1, np.float32) for m in MODALITIES}
    for vector in vectors.values():
        vector.setflags(write=False)
    strategy(name).fuse(vectors, {m: np.array([True, False]) for m in MODALITIES})


def test_an_unknown_strategy_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"'mean'.*concat, sum_pool, max_pool"):
        strategy("mean")
