"""The T5 encoder without gradient, in few operations.

On a processor, texts are encoded a few hundred tokens at a time, those of like length together:
what a layer writes is still in the core's own cache when it is read again, and padding is rare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from groot.models.t5.weights import T5Weights

TOKENS_AT_A_TIME = 384  # by measurement: half as many and twice as many cost more
VECTOR = 16  # numbers in the widest register of a processor
PACKED = 0.9  # share of real tokens below which linear maps run over those alone


def t5_encode(weights: T5Weights, ids: Tensor, mask: Tensor) -> Tensor:
    """Encoder output [B, S, d] of token ids [B, S]; equal to the model's own in eval mode.

    Args:
        weights: of the encoder.
        ids: padded on the right.
        mask: [B, S] bool, True for real tokens. What stands at the others is of no consequence.
    """
    n, length = ids.shape
    lengths = mask.sum(1)
    order, parts = torch.arange(n, device=ids.device), [slice(0, n)]
    if ids.numel() > TOKENS_AT_A_TIME and ids.device.type == "cpu":
        lengths, order = lengths.sort(descending=True)
        parts = list(_chunks(lengths.tolist()))
    states: Tensor | None = None  # [B * S, d]
    for part in parts:
        rows, longest = order[part], int(lengths[part].max())
        inside = mask[rows, :longest]
        hidden, is_row = _encode(weights, ids[rows, :longest], inside)
        if states is None:
            if len(hidden) == ids.numel():
                return hidden.view(n, length, -1)
            states = hidden.new_zeros((ids.numel(), hidden.shape[1]))
        places = rows[:, None] * length + torch.arange(longest, device=ids.device)
        states.index_copy_(0, places[is_row], hidden)
    assert states is not None
    return states.view(n, length, -1)


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


def _encode(weights: T5Weights, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Encoder output [R, d] of rows, and [B, S] bool at which places they lie."""
    n, length = ids.shape
    # of the keys and values that attention reads; for one text, filling up costs more than it saves
    width = whole_vectors(length, ids.device) if n > 1 else length
    bias = weights.position_bias(width)[None, :, :length, :width]
    n_real = int(mask.sum())
    is_packed = n_real < PACKED * ids.numel()  # only attention sees the padding
    if n_real < n * width:
        hidden_keys = ~pad(mask, (0, width - length))
        bias = bias.masked_fill(hidden_keys[:, None, None, :], torch.finfo(bias.dtype).min)
    is_row = mask if is_packed else torch.ones_like(mask)
    asking = asked = None  # rows by place, where places are not rows
    if is_packed or width > length:
        asked = rows_at(pad(is_row, (0, width - length)))
    if is_packed:
        asking = rows_at(mask)
    flat = ids[mask] if is_packed else ids.flatten()
    hidden = weights.embed(flat)  # [R, d]
    places: list[Tensor | None]
    for index, block in enumerate(weights.blocks):
        if index == 0:
            entering, tokens = weights.first_in(flat)
            places = [tokens if rows is None else tokens[rows] for rows in (asking, asked, asked)]
        else:
            entering, places = block.self_in(hidden), [asking, asked, asked]
        queries, keys, values = (
            weights.split(part if rows is None else part.index_select(0, rows), n)
            for part, rows in zip(entering, places, strict=True)
        )
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
        joined = weights.join(mixed)
        hidden = block.self_out(hidden, joined[mask.flatten()] if is_packed else joined)
        hidden = block.feed_forward(hidden)
    return weights.final_norm(hidden), is_row


def rows_at(is_row: Tensor) -> Tensor:
    """[B * S] the row that lies at each place; elsewhere any, for attention to leave out.

    Args:
        is_row: [B, S] bool, at which places rows lie, one after the other.

    >>> rows_at(torch.tensor([[True, False], [True, True]])).tolist()
    [0, 0, 1, 2]
    """
    return (is_row.flatten().cumsum(0) - 1).clamp_(min=0)


def whole_vectors(length: int, device: torch.device) -> int:
    """How many keys attention reads: on a processor a multiple of what it computes at once.

    The rest of a row of scores is computed number by number: 15 keys take four times as long as 16.
    """
    return -(-length // VECTOR) * VECTOR if device.type == "cpu" else length


def softmax(scores: Tensor) -> Tensor:
    """Over the last dimension [..., T]; a row shorter than a vector is filled up to one."""
    length = scores.shape[-1]
    if length >= VECTOR or scores.device.type != "cpu":
        return scores.softmax(-1)
    filled = pad(scores, (0, VECTOR - length), value=torch.finfo(scores.dtype).min)
    return filled.softmax(-1)[..., :length]
