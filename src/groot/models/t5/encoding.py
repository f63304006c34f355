"""The T5 encoder without gradient, in few operations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from groot.models.t5.weights import T5Weights


def t5_encode(weights: T5Weights, ids: Tensor, mask: Tensor) -> Tensor:
    """Encoder output [B, S, d] of token ids [B, S]; equal to the model's own in eval mode.

    Args:
        weights: of the encoder.
        ids: padded on the right.
        mask: [B, S] bool, True for real tokens.
    """
    length = ids.shape[1]
    hidden = weights.embed(ids)
    bias = weights.position_bias(length)[None, :, :length, :length]
    if not bool(mask.all()):
        bias = bias.masked_fill(~mask[:, None, None, :], torch.finfo(bias.dtype).min)
    for block in weights.blocks:
        queries, keys, values = map(weights.split, block.self_in(hidden))
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
        hidden = block.feed_forward(block.self_out(hidden, weights.join(mixed)))
    return weights.final_norm(hidden)
