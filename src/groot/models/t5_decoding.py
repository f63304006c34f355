"""A decoding step for the T5 family over the model's own weights.

What it saves against the general cached forward: cross-attention keys and values are kept once per
text and shared by its beams (the beams are folded into the query axis), self-attention keys and
values live in a buffer [T, N, d] that is not copied to grow, and position biases are looked up
once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

GROWTH = 64  # tokens by which a full buffer grows


class T5Decoding:
    """Targets being written by a T5 decoder; rows of one text stand together.

    Args:
        stack: the decoder of a T5 or mT5 model.
        states: [B, S, d] encoder output.
        mask: [B, S] bool, True for real input tokens.
        rows: [N] which input each target belongs to, ascending.
    """

    def __init__(self, stack: Any, states: Tensor, mask: Tensor, rows: Tensor) -> None:
        self.stack = stack
        self.done = 0
        self.n_rows = len(rows)
        first = stack.block[0].layer[0].SelfAttention
        self.heads, self.size = first.n_heads, first.key_value_proj_dim
        bias = torch.where(mask, 0.0, torch.finfo(states.dtype).min).to(states.dtype)
        self.texts = torch.arange(len(states), device=rows.device)
        self.cross_mask = bias[:, None, None, :]
        self.cross: list[tuple[Tensor, Tensor]] = []
        for block in stack.block:
            attention = block.layer[1].EncDecAttention
            self.cross.append((self._split(attention.k(states)), self._split(attention.v(states))))
        self.past: list[tuple[Tensor, Tensor]] = []
        self._bias = states.new_zeros((1, self.heads, 0, 0))
        self._rows = rows
        self._group()

    def _split(self, hidden: Tensor) -> Tensor:
        """[N, T, heads * size] to [N, heads, T, size]."""
        return hidden.view(*hidden.shape[:2], self.heads, self.size).transpose(1, 2)

    def _group(self) -> None:
        """Keep the cross-attention of texts that still have rows; note how many rows each has."""
        texts, counts = torch.unique_consecutive(self._rows, return_counts=True)
        if bool((counts == counts[0]).all()):
            self.per_text = int(counts[0])
        else:  # unequal: every row is a text of its own
            texts, self.per_text = self._rows, 1
        if len(texts) != len(self.texts) or not torch.equal(texts, self.texts):
            self.cross = [(keys[texts], values[texts]) for keys, values in self.cross]
            self.cross_mask = self.cross_mask[texts]
        self.texts = torch.arange(len(texts), device=self._rows.device)
        self._rows = self.texts.repeat_interleave(self.per_text)

    def _position_bias(self, length: int) -> Tensor:
        if self._bias.shape[3] < length:
            attention = self.stack.block[0].layer[0].SelfAttention
            wanted = length + GROWTH
            bias = attention.compute_bias(wanted, wanted, device=self._bias.device)
            future = torch.ones((wanted, wanted), dtype=torch.bool, device=bias.device).triu(1)
            self._bias = bias.masked_fill(future, torch.finfo(bias.dtype).min)
        return self._bias

    def _remember(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new keys and values [N, m, d] behind the old ones; all, as [N, heads, T, size]."""
        end = self.done + keys.shape[1]
        new = (keys, values)
        if layer == len(self.past):
            shape = (end + GROWTH, *keys.transpose(0, 1).shape[1:])
            self.past.append((keys.new_empty(shape), keys.new_empty(shape)))
        elif len(self.past[layer][0]) < end:
            more = keys.new_empty((end + GROWTH - self.done, *self.past[layer][0].shape[1:]))
            old_keys, old_values = (old[: self.done] for old in self.past[layer])
            self.past[layer] = (torch.cat([old_keys, more]), torch.cat([old_values, more]))
        for buffer, fresh in zip(self.past[layer], new, strict=True):
            buffer[self.done : end] = fresh.transpose(0, 1)
        shape = (end, self.n_rows, self.heads, self.size)
        all_keys, all_values = (
            buffer[:end].view(shape).permute(1, 2, 0, 3) for buffer in self.past[layer]
        )
        return all_keys, all_values

    def advance(self, tokens: Tensor) -> Tensor:
        """Feed tokens [N, m]; hidden states [N, m, d], the j-th predicts what follows token j."""
        n, m = tokens.shape
        end = self.done + m
        bias = self._position_bias(end)[:, :, self.done : end, :end]
        hidden = self.stack.embed_tokens(tokens)
        for index, block in enumerate(self.stack.block):
            layer = block.layer[0]
            normed = layer.layer_norm(hidden)
            attention = layer.SelfAttention
            keys, values = self._remember(index, attention.k(normed), attention.v(normed))
            mixed = scaled_dot_product_attention(
                self._split(attention.q(normed)), keys, values, attn_mask=bias, scale=1.0
            )
            hidden = hidden + attention.o(mixed.transpose(1, 2).reshape(n, m, -1))

            layer = block.layer[1]
            attention = layer.EncDecAttention
            queries = attention.q(layer.layer_norm(hidden))
            folded = self._split(queries.view(len(self.texts), self.per_text * m, -1))
            mixed = scaled_dot_product_attention(
                folded, *self.cross[index], attn_mask=self.cross_mask, scale=1.0
            )
            hidden = hidden + attention.o(mixed.transpose(1, 2).reshape(n, m, -1))
            hidden = block.layer[2](hidden)
        self.done = end
        return self.stack.final_layer_norm(hidden)

    def reorder(self, index: Tensor) -> None:
        """Keep the targets `index` [N'], in that order, repeats allowed."""
        self.n_rows = len(index)
        for layer, old in enumerate(self.past):
            moved = (
                old[0].new_empty((len(old[0]), self.n_rows, old[0].shape[2])),
                old[1].new_empty((len(old[1]), self.n_rows, old[1].shape[2])),
            )
            for new, kept in zip(moved, old, strict=True):
                torch.index_select(kept[: self.done], 1, index, out=new[: self.done])
            self.past[layer] = moved
        self._rows = self._rows[index]
        self._group()
