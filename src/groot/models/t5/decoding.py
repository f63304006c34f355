"""A decoding step for the T5 family over the model's own weights.

What it saves against the general cached forward: cross-attention keys and values are kept once per
text and shared by its beams (the beams are folded into the query axis), self-attention keys and
values live in buffers that are moved once a step, position biases are looked up once, and where
only some tokens' hidden states are wanted, the last layer computes no others. Where the tokens that
may come are known and few, the first layer is a table, see `lexicon`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from groot.models.t5.encoding import TOKENS_AT_A_TIME, rows_at, softmax
from groot.models.t5.lexicon import words_of
from groot.models.t5.weights import Block, T5Weights

GROWTH = 32  # tokens by which a full buffer grows


def is_identity(index: Tensor, n: int) -> bool:
    """Whether `index` takes all of n rows as they stand."""
    return len(index) == n and bool((index == torch.arange(n, device=index.device)).all())


class T5Decoding:
    """Targets being written by a T5 decoder; rows of one text stand together.

    Args:
        weights: of the decoder.
        states: [B, S, d] encoder output.
        mask: [B, S] bool, True for real input tokens.
        rows: [N] which input each target belongs to, ascending.
        start_id: the token that targets begin with.
        lexicon: the only other token ids that will be fed, where they are known, ascending.
    """

    def __init__(
        self,
        weights: T5Weights,
        states: Tensor,
        mask: Tensor,
        rows: Tensor,
        *,
        start_id: int,
        lexicon: Tensor | None = None,
    ) -> None:
        self.weights = weights
        self.done = 0
        self.n_rows = len(rows)
        owners = rows
        if not is_identity(rows, len(states)):
            texts, owners = rows.unique_consecutive(return_inverse=True)
            states, mask = states[texts], mask[texts]
        self.cross_mask: Tensor | None = None
        if not bool(mask.all()):
            bias = torch.where(mask, 0.0, torch.finfo(states.dtype).min).to(states.dtype)
            self.cross_mask = bias[:, None, None, :]
        self.cross = self._cross_memory(states, mask)
        self.words = None if lexicon is None else words_of(weights, lexicon, start_id)
        self.seen: Tensor | None = None  # [N, heads, T] spots of the tokens so far, see `Words`
        self.past: list[Tensor | None] = [None] * len(weights.blocks)  # [T, N, 2 * heads * size]
        self._spare: Tensor | None = None
        self._texts = len(states)
        self._per_text = 1
        if len(owners) > self._texts:
            self._group(owners)

    def _cross_memory(self, states: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys [B, heads, size, S] and values [B, heads, S, size] of each layer.

        So the products of each step want them. Padding gets those of a real token, for the mask to
        hide. A few texts at a time, as in the encoder.
        """
        n, length = mask.shape
        heads, size = self.weights.heads, self.weights.size
        cross = [
            (states.new_empty((n, heads, size, length)), states.new_empty((n, heads, length, size)))
            for _ in self.weights.blocks
        ]
        at_once = max(1, TOKENS_AT_A_TIME // length) if states.device.type == "cpu" else n
        for texts in (slice(first, first + at_once) for first in range(0, n, at_once)):
            flat, there = states[texts].flatten(0, 1), None
            if self.cross_mask is not None:
                flat, there = states[texts][mask[texts]], rows_at(mask[texts])
            for block, (all_keys, all_values) in zip(self.weights.blocks, cross, strict=True):
                keys, values = (
                    part if there is None else part.index_select(0, there)
                    for part in block.cross_memory(flat)
                )
                shape = (-1, length, heads, size)
                all_keys[texts] = keys.reshape(shape).permute(0, 2, 3, 1)
                all_values[texts] = values.reshape(shape).transpose(1, 2)
        return cross

    def _group(self, rows: Tensor) -> None:
        """Keep the cross-attention of texts that still have rows; note how many rows each has."""
        texts, counts = torch.unique_consecutive(rows, return_counts=True)
        if bool((counts == counts[0]).all()):
            self._per_text = int(counts[0])
        else:  # unequal: every row is a text of its own
            texts, self._per_text = rows, 1
        if not is_identity(texts, self._texts):
            self._keep(texts)

    def _keep(self, texts: Tensor | slice) -> None:
        self.cross = [(keys[texts], values[texts]) for keys, values in self.cross]
        if self.cross_mask is not None:
            self.cross_mask = self.cross_mask[texts]
        self._texts = len(self.cross[0][0])

    def _remember(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new keys and values [N, m, d] behind the old ones; all, as [N, heads, T, size]."""
        end = self.done + keys.shape[1]
        width = keys.shape[2]
        buffer = self.past[layer]
        if buffer is None or len(buffer) < end:
            grown = keys.new_empty((end + GROWTH, self.n_rows, 2 * width))
            if buffer is not None:
                grown[: self.done] = buffer[: self.done]
            self.past[layer] = buffer = grown
        fresh = buffer[self.done : end]
        fresh[:, :, :width] = keys.transpose(0, 1)
        fresh[:, :, width:] = values.transpose(0, 1)
        shape = (end, self.n_rows, 2, self.weights.heads, self.weights.size)
        both = buffer[:end].view(shape).permute(2, 1, 3, 0, 4)
        return both[0], both[1]

    def advance(self, tokens: Tensor, *, at: Tensor | slice | None = None) -> Tensor:
        """Feed tokens [N, m]; hidden states [N, m, d], the j-th predicts what follows token j.

        Args:
            at: the only ones of the m that are wanted.
        """
        end = self.done + tokens.shape[1]
        bias = self.weights.position_bias(end)[None, :, self.done : end, :end]
        hidden = self._pass(tokens, bias, at)
        self.done = end
        return hidden

    def grow(self, tokens: Tensor, places: Tensor, sees: Tensor, *, at: Tensor) -> Tensor:
        """Feed tokens [1, m] that need not follow each other: one row holds a tree of targets.

        Args:
            places: [done + m] of all tokens in their targets, the start token counted.
            sees: [m, done + m] bool: which tokens stand before each in its target, or are it.
                Those with a later place are of no consequence.
            at: the only ones of the m whose hidden states are wanted.
        """
        bias = self.weights.position_bias(int(places.max()) + 1)
        bias = bias[:, places[self.done :, None], places]
        bias = bias.masked_fill(~sees, torch.finfo(bias.dtype).min)
        hidden = self._pass(tokens, bias[None], at)
        self.done += tokens.shape[1]
        return hidden

    def _pass(self, tokens: Tensor, bias: Tensor, at: Tensor | slice | None) -> Tensor:
        """One pass over tokens [N, m] behind what is done; bias [1, heads, m, done + m]."""
        weights, n = self.weights, len(tokens)
        final = len(weights.blocks) - 1
        hidden = None  # [N * m, d]
        if self.words is None:
            hidden = weights.embed(tokens.flatten())
        for index, block in enumerate(weights.blocks):
            cut = at if index == final else None  # only what is wanted goes through the last layer
            if hidden is None:
                hidden = self._first(tokens, bias, cut)
            else:
                queries, keys, values = (
                    part.view(n, -1, part.shape[1]) for part in block.self_in(hidden)
                )
                keys, values = self._remember(index, keys, values)
                if cut is not None:
                    queries, bias = queries[:, cut], bias[:, :, cut]
                    hidden = hidden.view(n, -1, hidden.shape[1])[:, cut].flatten(0, 1)
                queries = weights.split(queries.flatten(0, 1), n)
                mixed = scaled_dot_product_attention(
                    queries, keys, values, attn_mask=bias, scale=1.0
                )
                hidden = block.self_out(hidden, weights.join(mixed))
            hidden = block.feed_forward(self._look(index, block, hidden))
        assert hidden is not None
        return weights.final_norm(hidden).view(n, -1, hidden.shape[1])

    def _first(self, tokens: Tensor, bias: Tensor, cut: Tensor | slice | None) -> Tensor:
        """Embeddings and self-attention of the first layer, by tables."""
        assert self.words is not None
        places = self.words.find(tokens)
        fresh = self.words.spots[places].transpose(1, 2)
        self.seen = fresh if self.seen is None else torch.cat([self.seen, fresh], dim=2)
        if cut is not None:
            places, bias = places[:, cut], bias[:, :, cut]
        return self.words.attend(places, self.seen, bias)

    def _look(self, index: int, block: Block, hidden: Tensor) -> Tensor:
        """Cross-attention, all beams of a text as queries of one product."""
        weights, (keys, values) = self.weights, self.cross[index]
        (queries,) = block.cross_in(hidden)
        folded = weights.split(queries, self._texts)  # [B, heads, beams * m, size]
        scores = torch.matmul(folded, keys)  # [B, heads, beams * m, S]
        if self.cross_mask is not None:
            scores += self.cross_mask
        mixed = torch.matmul(softmax(scores), values)
        return block.cross_out(hidden, weights.join(mixed))

    def reorder(self, index: Tensor | slice, texts: Tensor | slice | None = None) -> None:
        """Keep the targets `index` [N'], in that order, repeats allowed.

        Args:
            texts: which texts are kept, where that is known: all have the same number of rows
                before, and the same number of rows after, in `index`, in this order.
        """
        if isinstance(index, slice):  # nothing moves
            self.n_rows = len(range(self.n_rows)[index])
            self.past = [None if old is None else old[:, index] for old in self.past]
        else:
            self.n_rows = len(index)
            for layer, old in enumerate(self.past):
                if old is not None:
                    moved = self._room(old)
                    torch.index_select(old[: self.done], 1, index, out=moved[: self.done])
                    self.past[layer], self._spare = moved, old
        if self.seen is not None:
            self.seen = self.seen[index]
        if texts is None:
            owners = torch.arange(self._texts, device=self.cross[0][0].device)
            self._group(owners.repeat_interleave(self._per_text)[index])
            return
        if texts != slice(None):
            self._keep(texts)
        self._per_text = self.n_rows // self._texts

    def _room(self, old: Tensor) -> Tensor:
        """[T, N, d] to move a layer to, from [T, N', d]: what another has left, if that is enough.

        Fresh memory costs more than the copy does.
        """
        shape = (len(old), self.n_rows, old.shape[2])
        size = math.prod(shape)
        spare, self._spare = self._spare, None
        if spare is None or not spare.is_contiguous() or spare.numel() < size:
            spare = old.new_empty(size)
        return spare.view(-1)[:size].view(shape)

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens of each target, the start token not counted."""
        self.done = length + 1
        if self.seen is not None:
            self.seen = self.seen[:, :, : self.done]
