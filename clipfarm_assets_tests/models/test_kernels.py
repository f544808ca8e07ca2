"""Other kernels, the same numbers."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch

from clipfarm_assets.models import standin
from clipfarm_assets.models.kernels import with_onednn

_DRAW = torch.Generator().manual_seed(0)
INPUTS: dict[str, tuple[Callable[[], Any], torch.Tensor]] = {
    "video": (lambda: standin.build_video()[0], torch.randn(1, 16, 3, 224, 224, generator=_DRAW)),
    "audio": (lambda: standin.build_audio()[0], torch.randn(2, 16_000, generator=_DRAW)),
}


@pytest.mark.parametrize("modality", INPUTS)
def test_a_model_gives_the_same_by_onednn_to_float32s_rounding(modality: str) -> None:
    build, given = INPUTS[modality]
    with torch.inference_mode():
        plain = build().eval()
        expected = plain(given).last_hidden_state
        found = with_onednn(deepcopy(plain))(given).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
    assert float(torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)) > 1 - 1e-6


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_every_product_of_matrices_is_onednns() -> None:
    model = with_onednn(standin.build_video()[0])
    kinds = {type(module) for module in model.modules()}
    assert torch.nn.Linear not in kinds
    assert any(kind.__name__ == "MkldnnLinear" for kind in kinds)
