"""Lets oneDNN multiply a model's matrices on a CPU: in float32, or in bfloat16 where that is asked for.

torch multiplies float32 matrices with Intel's MKL, which on other makers' processors leaves AVX-512 unused. oneDNN,
which torch brings along and uses for convolutions and bfloat16, goes by what the processor has. In float32 results
differ in the last bits, as they do between any two processors.

Imports torch: to be imported by the functions that need it.
"""

from math import ceil
from typing import Any, Literal

import torch
from torch.nn.functional import gelu, linear, softmax

ATTENTION = "onednn_blocks"

_SHORTEST = 512  # tokens from which on blocks pay
_BLOCK_ENTRIES = 1 << 20  # of a block of scores: 4 MiB, for the cache


class OneDnnLinear(torch.nn.Module):
    """``torch.nn.Linear`` by oneDNN, with GELU in the same pass where one follows; float32, for inference on a CPU.

    torch's own ``torch.utils.mkldnn.to_mkldnn`` copies what goes in and what comes out, and takes a tenth more time.
    The operator is the one that ``torch.compile`` uses on a CPU.
    """

    def __init__(self, dense: torch.nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ops.mkldnn._reorder_linear_weight(dense.weight.detach()))
        self.register_buffer("bias", None if dense.bias is None else dense.bias.detach())
        self.then: Literal["none", "gelu"] = "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        exactly = "none"  # not GELU's approximation by tanh
        return torch.ops.mkldnn._linear_pointwise(  # type: ignore[no-any-return]
            x.contiguous(), self.weight, self.bias, self.then, [], exactly
        )


def with_onednn(model: Any) -> Any:
    """The same module, changed in place: its ``torch.nn.Linear`` and long attentions are oneDNN's, where there is one.

    For inference only, on a CPU, in float32; a weight that two layers share is held twice from then on.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return model
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, OneDnnLinear(child))
        _with_its_activation(module)
    return _attending_in_blocks(model)


def in_bfloat16(model: Any) -> Any:
    """The same module, changed in place to bfloat16. For inference only, on a CPU for which ``has_bfloat16``."""
    return _attending_in_blocks(model.to(torch.bfloat16))


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 by itself; others take longer over it than over float32."""
    return torch.backends.mkldnn.is_available() and any(  # type: ignore[no-untyped-call]
        there and name.endswith("_bf16") for name, there in torch.cpu.get_capabilities().items()
    )


def blockwise_attention(query: Any, key: Any, value: Any, scaling: float) -> Any:
    """Attention without a mask, a block of queries at a time, so that a block's scores stay in the cache.

    The same as ``scaled_dot_product_attention``, in 0.55 of its time where oneDNN has AVX-512 and MKL has not, and in
    a third in bfloat16.

    Args:
        query: float32 or bfloat16, (batch, heads, queries, dim).
        key: (batch, heads, keys, dim), as ``value``.

    Returns:
        (batch, queries, heads, dim).
    """
    batch, heads, length, _ = query.shape
    blocks = ceil(length * key.shape[2] / _BLOCK_ENTRIES)
    rows = ceil(length / blocks)
    out = torch.empty(batch, length, heads, value.shape[3], dtype=query.dtype)
    for item in range(batch):
        for head in range(heads):
            keys, values = key[item, head].contiguous(), value[item, head].t().contiguous()
            queries = query[item, head] * scaling
            for start in range(0, length, rows):
                scores = linear(queries[start : start + rows].to_mkldnn(), keys)
                out[item, start : start + rows, head] = linear(softmax(scores, -1), values).to_dense()
    return out


def _with_its_activation(module: torch.nn.Module) -> None:
    """Joins the first product of a feed-forward block, as transformers names its parts, with the GELU after it."""
    product = getattr(module, "intermediate_dense", None) or getattr(module, "dense", None)
    activation = getattr(module, "intermediate_act_fn", None)
    if isinstance(product, OneDnnLinear) and getattr(activation, "act", None) is gelu:
        product.then = "gelu"
        module.intermediate_act_fn = torch.nn.Identity()


def _attending_in_blocks(model: Any) -> Any:
    """The same module, with ``_attention`` where it is one of transformers and attends as usual."""
    from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
    from transformers.masking_utils import sdpa_mask

    if isinstance(model, PreTrainedModel) and model.config._attn_implementation == "sdpa":
        AttentionInterface.register(ATTENTION, _attention)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        model.set_attn_implementation(ATTENTION)
    return model


def _attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, None]:
    """As transformers' ``sdpa``, which it calls, but for what goes in blocks: long and without a mask."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    causal = options.get("is_causal")
    in_blocks = (
        attention_mask is None
        and not (getattr(module, "is_causal", True) if causal is None else causal)
        and query.shape[1] == key.shape[1]
        and min(query.shape[2], key.shape[2]) >= _SHORTEST
        and not any(options.get(name) for name in ("dropout", "softcap", "cache"))
        and options.get("position_bias") is None
    )
    if not in_blocks:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scaling = options.get("scaling")
    return blockwise_attention(query, key, value, query.shape[3] ** -0.5 if scaling is None else scaling), None
