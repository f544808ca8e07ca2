"""VideoMAE as far as its first token needs it.

Imports torch: to be imported by the functions that need it.
"""

from typing import Any

import torch
from torch.nn.functional import softmax


def first_state(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """What ``model(pixels).last_hidden_state[:, 0]`` is, at a twelfth less work for twelve layers.

    Of the last layer, a token's output needs every token's key and value but only its own query and feed-forward.

    Args:
        model: ``transformers.VideoMAEModel``, for inference.
        pixels: (videos, frames, 3, height, width), of the model's type.

    Returns:
        (videos, hidden).
    """
    states = model.embeddings(pixels, None)
    *layers, last = model.encoder.layer
    for layer in layers:
        states = layer(states)
    first = _first_of(last, states)
    return model.layernorm(first) if model.layernorm else first


def _first_of(layer: Any, states: torch.Tensor) -> torch.Tensor:
    """``layer(states)[:, 0]``; see ``VideoMAELayer`` and ``VideoMAESelfAttention`` of transformers."""
    attention = layer.attention.attention
    normed, first = layer.layernorm_before(states), states[:, 0]
    projected = attention.query(normed[:, :1]), attention.key(normed), attention.value(normed)
    query, key, value = (
        each.view(*each.shape[:2], attention.num_attention_heads, -1).transpose(1, 2) for each in projected
    )
    shares = softmax(query * attention.scaling @ key.transpose(2, 3), -1)
    first = layer.attention.output((shares @ value).flatten(1), None) + first
    out: torch.Tensor = layer.output(layer.intermediate(layer.layernorm_after(first)), first)
    return out
