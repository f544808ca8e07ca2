"""VideoMAE's first token, against the whole model."""

import pytest
import torch
from transformers import VideoMAEConfig, VideoMAEModel

from clipfarm_assets.models.kernels import with_onednn
from clipfarm_assets.models.videomae import first_state


@pytest.mark.parametrize("use_mean_pooling", [True, False])  # without and with a norm at the end
@pytest.mark.parametrize("layers", [1, 3])
def test_the_first_state_is_the_whole_models(layers: int, use_mean_pooling: bool) -> None:
    torch.manual_seed(0)
    config = VideoMAEConfig(
        hidden_size=64, intermediate_size=128, num_attention_heads=4, num_hidden_layers=layers, image_size=64,
        use_mean_pooling=use_mean_pooling, initializer_range=0.2,
    )  # fmt: skip
    model, pixels = VideoMAEModel(config).eval(), torch.randn(2, 16, 3, 64, 64)
    with torch.inference_mode():
        expected = model(pixels).last_hidden_state
        for each in (model, with_onednn(model)):
            torch.testing.assert_close(first_state(each, pixels), expected[:, 0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(expected[:, 0], expected[:, 1], atol=1e-2)
