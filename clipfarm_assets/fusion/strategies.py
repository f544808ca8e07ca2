"""How three vectors of one video become one.

Every modality's vector comes in L2-normalised; the fused one is left as its strategy makes it. A modality that is
not there comes in as zeros. The last component of every fused vector is the text mask: 1 where the video has a text
vector, else 0. Whether it has sound and pictures stands in columns beside the vector.

============ =============== ===================================================================================
strategy     dim (768 each)  components before the mask
============ =============== ===================================================================================
``concat``   2305            video, audio, text, one after the other
``sum_pool`` 769             the sum; shorter vectors are padded with zeros to the longest
``max_pool`` 769             the greatest of each component over the modalities that are there, padded likewise
============ =============== ===================================================================================

In ``max_pool`` a modality that is not there takes no part: its zeros would win over the negative components of the
others, and half of a vector's components are negative. The padding of one that is there does take part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipfarm_assets.embeddings.manifest import MODALITIES, Modality
from clipfarm_assets.errors import ConfigurationError

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Vectors = Mapping[Modality, FloatArray]
Presence = Mapping[Modality, BoolArray]
Dims = Mapping[Modality, int]


@dataclass(frozen=True)
class Strategy:
    """One way to fuse.

    Attributes:
        dim: length of the fused vector, the mask included, from the lengths of the modalities.
        fuse: from vectors of shape (n, dim of the modality), float32, zeros where absent, and presence of shape
            (n,), makes the fused vectors: shape (n, dim), float32.
    """

    name: str
    dim: Callable[[Dims], int]
    fuse: Callable[[Vectors, Presence], FloatArray]


def strategy(name: str) -> Strategy:
    """The strategy of that name; ConfigurationError where there is none."""
    if name not in STRATEGIES:
        raise ConfigurationError(
            f"There is no fusion strategy {name!r}.", hint=f"CLIPFARM_FUSION_STRATEGIES knows {', '.join(STRATEGIES)}."
        )
    return STRATEGIES[name]


def _concat(vectors: Vectors, present: Presence) -> FloatArray:
    mask = present["text"].astype(np.float32)[:, None]
    return np.concatenate([*(vectors[modality] for modality in MODALITIES), mask], axis=1)


def _sum_pool(vectors: Vectors, present: Presence) -> FloatArray:
    fused = _zeros(vectors)
    for modality in MODALITIES:
        fused[:, : vectors[modality].shape[1]] += vectors[modality]
    fused[:, -1] = present["text"]
    return fused


def _max_pool(vectors: Vectors, present: Presence) -> FloatArray:
    fused = np.full_like(_zeros(vectors), -np.inf)
    for modality in MODALITIES:
        dim, rows = vectors[modality].shape[1], present[modality]
        fused[rows, :dim] = np.maximum(fused[rows, :dim], vectors[modality][rows])
        fused[rows, dim:] = np.maximum(fused[rows, dim:], np.float32(0))
    fused[np.isneginf(fused)] = 0
    fused[:, -1] = present["text"]
    return fused


def _zeros(vectors: Vectors) -> FloatArray:
    longest = max(vectors[modality].shape[1] for modality in MODALITIES)
    return np.zeros((len(vectors["video"]), longest + 1), dtype=np.float32)


def _pooled_dim(dims: Dims) -> int:
    return max(dims[modality] for modality in MODALITIES) + 1


STRATEGIES: Mapping[str, Strategy] = {
    "concat": Strategy("concat", lambda dims: sum(dims[modality] for modality in MODALITIES) + 1, _concat),
    "sum_pool": Strategy("sum_pool", _pooled_dim, _sum_pool),
    "max_pool": Strategy("max_pool", _pooled_dim, _max_pool),
}
