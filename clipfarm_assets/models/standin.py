"""Small models of the real classes, for machines without weights.

They have the real input sizes and the real output dimension, so that everything after them is exercised as with the
real ones; their vectors mean nothing beyond "same input, same vector". Weights come from numpy's PCG64 by parameter
name: they are the same in every process, whatever torch draws, and torch's own random state stays untouched.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

LICENCE = "none (random weights)"
_WEIGHTS_RULE = 1  # raise it with any change of `_weights`: other weights are another revision


@dataclass(frozen=True)
class StandIn:
    """A model's class and the configuration that its seed and weights follow from."""

    name: str
    model_class: str
    seed: int
    config: Mapping[str, Any] = field(hash=False)

    @property
    def revision(self) -> str:
        """The first 12 hex digits of the SHA-256 of class, seed, configuration and the rule of ``_weights``."""
        shaping = json.dumps([_WEIGHTS_RULE, self.model_class, self.seed, self.config], sort_keys=True)
        return hashlib.sha256(shaping.encode()).hexdigest()[:12]


VIDEO = StandIn(
    "stand-in/videomae",
    "transformers.VideoMAEModel",
    seed=20220323,
    config={
        "image_size": 224,
        "num_frames": 16,
        "hidden_size": 768,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    },
)
AUDIO = StandIn(
    "stand-in/wav2vec2",
    "transformers.Wav2Vec2Model",
    seed=20200620,
    config={
        "feat_extract_norm": "group",
        "conv_dim": [16] * 7,
        "hidden_size": 768,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 16,
    },
)


def build_video() -> tuple[Any, Any]:
    """A ``VideoMAEModel`` (16 frames of 224 by 224, 768 out) on the CPU, and its image processor."""
    from transformers import VideoMAEConfig, VideoMAEImageProcessorPil, VideoMAEModel

    return _filled(VideoMAEModel, VideoMAEConfig(**VIDEO.config), VIDEO.seed), VideoMAEImageProcessorPil()


def build_audio() -> tuple[Any, Any]:
    """A ``Wav2Vec2Model`` (16 kHz, group norm, 768 out) on the CPU, and its feature extractor."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor()  # type: ignore[no-untyped-call]
    return _filled(Wav2Vec2Model, Wav2Vec2Config(**AUDIO.config), AUDIO.seed), extractor


def _filled(model_class: Any, config: Any, seed: int) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        model = model_class(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(_weights(name, parameter, seed)))
    return model.eval()


def _weights(name: str, parameter: "torch.Tensor", seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Norms start at one; matrices and kernels keep the variance of what goes through them.

    Biases are small and not zero, so that silence gets a vector too.
    """
    shape = tuple(parameter.shape)
    is_norm, is_kernel_length = len(shape) == 1 and name.endswith("weight"), name.endswith("original0")
    if is_norm or is_kernel_length:
        return np.ones(shape, np.float32)
    draw = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape, np.float32)
    scale = 0.1 if len(shape) == 1 else 1 / np.sqrt(np.prod(shape[1:]))
    return draw * np.float32(scale)
