"""The T5 encoder without gradient, in few operations.

On a processor, texts are encoded a few hundred tokens at a time, those of like length together:
what a layer writes is still in the core's own cache when it is read again, and padding is rare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from groot.models.t5.weights import T5Weights

TOKENS_AT_A_TIME = 384  # by measurement: half as many and twice as many cost more


def t5_encode(weights: T5Weights, ids: Tensor, mask: Tensor) -> Tensor:
    """Encoder output [B, S, d] of token ids [B, S]; equal to the model's own in eval mode.

    Args:
        weights: of the encoder.
        ids: padded on the right.
        mask: [B, S] bool, True for real tokens. What stands at the others is of no consequence.
    """
    if ids.numel() <= TOKENS_AT_A_TIME or ids.device.type != "cpu":
        return _encode(weights, ids, mask)
    lengths, order = mask.sum(1).sort(descending=True)
    states: Tensor | None = None
    for some in _chunks(lengths.tolist()):
        rows, longest = order[some], int(lengths[some.start])
        part = _encode(weights, ids[rows, :longest], mask[rows, :longest])
        if states is None:
            states = part.new_zeros((*ids.shape, part.shape[2]))
        states[rows, :longest] = part
    assert states is not None
    return states


def _chunks(lengths: Sequence[int]) -> Iterator[slice]:
    """Runs of rows whose padded tokens are about as many as are encoded at a time.

    Args:
        lengths: of the rows, descending.
    """
    start = 0
    while start < len(lengths):
        stop = start + max(1, TOKENS_AT_A_TIME // max(1, lengths[start]))
        yield slice(start, min(stop, len(lengths)))
        start = stop


def _encode(weights: T5Weights, ids: Tensor, mask: Tensor) -> Tensor:
    n, length = ids.shape
    flat = ids.flatten()
    hidden = weights.embed(flat)  # [B * S, d]
    bias = weights.position_bias(length)[None, :, :length, :length]
    if not bool(mask.all()):
        bias = bias.masked_fill(~mask[:, None, None, :], torch.finfo(bias.dtype).min)
    for index, block in enumerate(weights.blocks):
        entering = weights.first_in(flat) if index == 0 else block.self_in(hidden)
        queries, keys, values = (weights.split(part, n) for part in entering)
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
        hidden = block.feed_forward(block.self_out(hidden, weights.join(mixed)))
    return weights.final_norm(hidden).view(n, length, -1)
