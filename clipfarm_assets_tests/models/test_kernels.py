"""Other kernels, the same numbers."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import WhisperConfig, WhisperModel

from clipfarm_assets.models import kernels, standin
from clipfarm_assets.models.kernels import blockwise_attention, with_onednn

_DRAW = torch.Generator().manual_seed(0)


def whisper() -> WhisperModel:
    """Its encoder has long attention without a mask, its decoder a causal one, and one of few queries on many keys."""
    torch.manual_seed(0)
    return WhisperModel(
        WhisperConfig(
            vocab_size=100, d_model=128, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, decoder_start_token_id=1, max_target_positions=600,
        )
    )  # fmt: skip


def padded(samples: int, filled: int) -> torch.Tensor:
    """The mask of two sounds, the second shorter."""
    return torch.stack([torch.ones(samples), (torch.arange(samples) < filled)]).long()


INPUTS: dict[str, tuple[Callable[[], Any], dict[str, torch.Tensor]]] = {
    "pictures": (lambda: standin.build_video()[0], {"pixel_values": torch.randn(1, 16, 3, 224, 224, generator=_DRAW)}),
    "sound": (lambda: standin.build_audio()[0], {"input_values": torch.randn(2, 16_000, generator=_DRAW)}),
    "long sound": (lambda: standin.build_audio()[0], {"input_values": torch.randn(1, 200_000, generator=_DRAW)}),
    "long sounds, one padded": (
        lambda: standin.build_audio()[0],
        {"input_values": torch.randn(2, 200_000, generator=_DRAW), "attention_mask": padded(200_000, 120_000)},
    ),
    "speech": (
        whisper,
        {
            "input_features": torch.randn(1, 80, 3_000, generator=_DRAW),
            "decoder_input_ids": torch.randint(3, 100, (1, 550), generator=_DRAW),
        },
    ),
}


@pytest.mark.parametrize("of", INPUTS)
def test_a_model_gives_the_same_by_onednn_to_float32s_rounding(of: str) -> None:
    build, given = INPUTS[of]
    with torch.inference_mode():
        plain = build().eval()
        expected = plain(**given).last_hidden_state
        found = with_onednn(deepcopy(plain))(**given).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
    assert float(torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)) > 1 - 1e-6


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_every_product_of_matrices_is_onednns() -> None:
    model = with_onednn(standin.build_video()[0])
    kinds = {type(module) for module in model.modules()}
    assert torch.nn.Linear not in kinds
    assert kernels.OneDnnLinear in kinds


@pytest.mark.parametrize(("queries", "keys", "dim"), [(512, 512, 64), (1_568, 1_568, 64), (700, 2_049, 80), (1, 3, 8)])
def test_attention_in_blocks_is_attention(queries: int, keys: int, dim: int) -> None:
    query, key, value = (torch.randn(2, 3, n, dim, generator=_DRAW) for n in (queries, keys, keys))
    with torch.inference_mode():
        found = blockwise_attention(query, key, value, 0.3)
        expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=0.3).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_a_long_attention_is_onednns_and_a_masked_or_causal_one_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def noted(query: Any, key: Any, value: Any, scaling: float) -> Any:
        asked.append((query.shape[2], key.shape[2]))
        return blockwise_attention(query, key, value, scaling)

    monkeypatch.setattr(kernels, "blockwise_attention", noted)
    shapes = {}
    for of, (build, given) in INPUTS.items():
        asked.clear()
        with torch.inference_mode():
            with_onednn(build().eval())(**given)
        shapes[of] = set(asked)
    assert shapes == {
        "pictures": {(1_568, 1_568)}, "sound": set(), "long sound": {(624, 624)}, "long sounds, one padded": set(),
        "speech": {(1_500, 1_500), (550, 1_500)},
    }  # fmt: skip
