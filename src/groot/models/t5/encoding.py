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
PACKED = 0.9  # share of real tokens below which linear maps run over those alone


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
    bias = weights.position_bias(length)[None, :, :length, :length]
    flat, real = ids.flatten(), None
    n_real = int(mask.sum())
    if n_real < ids.numel():
        bias = bias.masked_fill(~mask[:, None, None, :], torch.finfo(bias.dtype).min)
        if n_real < PACKED * ids.numel():  # only attention sees the padding
            real = mask.flatten().nonzero()[:, 0]
            flat = flat[real]
    hidden = weights.embed(flat)  # [R, d], R = B * S or the real tokens
    for index, block in enumerate(weights.blocks):
        entering = weights.first_in(flat) if index == 0 else block.self_in(hidden)
        queries, keys, values = (
            weights.split(unpacked(part, real, ids.numel()), n) for part in entering
        )
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
        joined = weights.join(mixed)
        hidden = block.self_out(hidden, joined if real is None else joined[real])
        hidden = block.feed_forward(hidden)
    return unpacked(weights.final_norm(hidden), real, ids.numel()).view(n, length, -1)


def unpacked(packed: Tensor, real: Tensor | None, size: int) -> Tensor:
    """Rows [R, d] of real tokens, at their places `real` [R] among `size`; zeros elsewhere."""
    if real is None:
        return packed
    return packed.new_zeros((size, packed.shape[1])).index_copy_(0, real, packed)
