"""A decoding step for the T5 family over the model's own weights.

What it saves against the general cached forward: cross-attention keys and values are kept once per
text and shared by its beams (the beams are folded into the query axis), self-attention keys and
values live in buffers that are moved once a step, position biases are looked up once, and where
only the last token's hidden state is wanted, the last layer computes no other.

T5 adds positions to attention scores, never to hidden states. So in the first layer, queries, keys
and values depend on the token alone. Where the tokens that may come are known and few (a *lexicon*:
labels, sentinels, the start), all their scores for each other are one small table, and the cache of
the first layer is the tokens themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, scaled_dot_product_attention

from groot.models.t5.weights import Block, T5Weights

GROWTH = 32  # tokens by which a full buffer grows
MAX_LEXICON = 512  # tokens up to which a table of all pairs is small


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
        lexicon: the only token ids that will be fed, where they are known, ascending.
    """

    def __init__(
        self,
        weights: T5Weights,
        states: Tensor,
        mask: Tensor,
        rows: Tensor,
        lexicon: Tensor | None = None,
    ) -> None:
        self.weights = weights
        self.done = 0
        self.n_rows = len(rows)
        self.cross_mask: Tensor | None = None
        if not bool(mask.all()):
            bias = torch.where(mask, 0.0, torch.finfo(states.dtype).min).to(states.dtype)
            self.cross_mask = bias[:, None, None, :]
        self.cross: list[tuple[Tensor, Tensor]] = []
        for block in weights.blocks:
            keys, values = map(weights.split, block.cross_memory(states))
            # [B, heads, size, S] and [B, heads, S, size]: as the products of each step want them
            self.cross.append((keys.transpose(2, 3).contiguous(), values.contiguous()))
        is_known = lexicon is not None and len(lexicon) <= MAX_LEXICON and weights.is_light
        self.words = _Words(weights, lexicon) if is_known and lexicon is not None else None
        self.past: list[Tensor | None] = [None] * len(weights.blocks)
        self._rows = rows
        self._texts = len(states)
        self._group()

    def _group(self) -> None:
        """Keep the cross-attention of texts that still have rows; note how many rows each has."""
        texts, counts = torch.unique_consecutive(self._rows, return_counts=True)
        if bool((counts == counts[0]).all()):
            per_text = int(counts[0])
        else:  # unequal: every row is a text of its own
            texts, per_text = self._rows, 1
        if not is_identity(texts, self._texts):
            self._keep(texts)
        self._rows = torch.arange(len(texts), device=texts.device).repeat_interleave(per_text)

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

    def advance(self, tokens: Tensor, *, last: bool = False) -> Tensor:
        """Feed tokens [N, m]; hidden states [N, m, d], the j-th predicts what follows token j.

        Args:
            last: only the last of them is wanted: [N, 1, d].
        """
        end = self.done + tokens.shape[1]
        bias = self.weights.position_bias(end)[None, :, self.done : end, :end]
        hidden = self._pass(tokens, bias, last=last)
        self.done = end
        return hidden

    def branch(self, tokens: Tensor) -> Tensor:
        """Hidden states [N, k, d] behind each of k alternatives [N, k] for the next token.

        They stand side by side at one position; each sees the prefix and itself. `take` keeps one.
        """
        (k,) = tokens.shape[1:]
        table = self.weights.position_bias(self.done + 1)[:, self.done, : self.done + 1]
        own = torch.eye(k, dtype=torch.bool, device=tokens.device)
        past = table[:, None, :-1].expand(-1, k, -1)
        here = table[:, None, -1:].expand(-1, k, k).masked_fill(~own, torch.finfo(table.dtype).min)
        return self._pass(tokens, torch.cat([past, here], dim=2)[None], last=False)

    def take(self, index: Tensor, choice: Tensor) -> None:
        """Keep the targets `index` [N'], each with one of the alternatives branched just before."""
        fresh = [None if old is None else old[self.done + choice, index] for old in self.past]
        if not is_identity(index, self.n_rows):
            self.reorder(index)
        for buffer, new in zip(self.past, fresh, strict=True):
            if buffer is not None and new is not None:
                buffer[self.done] = new
        self.done += 1

    def _pass(self, tokens: Tensor, bias: Tensor, *, last: bool) -> Tensor:
        """One pass over tokens [N, m] behind what is done; bias [1, heads, m, done + m]."""
        weights = self.weights
        final = len(weights.blocks) - 1
        hidden = None
        if self.words is None:
            hidden = weights.embed(tokens)
        for index, block in enumerate(weights.blocks):
            is_cut = last and index == final  # only the last token goes through the last layer
            if hidden is None:
                assert self.words is not None
                hidden = self.words.attend(block, tokens, bias, last=is_cut)
            else:
                queries, keys, values = block.self_in(hidden)
                keys, values = self._remember(index, keys, values)
                if is_cut:
                    queries, hidden, bias = queries[:, -1:], hidden[:, -1:], bias[:, :, -1:]
                mixed = scaled_dot_product_attention(
                    weights.split(queries), keys, values, attn_mask=bias, scale=1.0
                )
                hidden = block.self_out(hidden, weights.join(mixed))
            hidden = block.feed_forward(self._look(index, block, hidden))
        assert hidden is not None
        return weights.final_norm(hidden)

    def _look(self, index: int, block: Block, hidden: Tensor) -> Tensor:
        """Cross-attention, all beams of a text as queries of one product."""
        weights, keys_values = self.weights, self.cross[index]
        (queries,) = block.cross_in(hidden)
        n, m, width = queries.shape
        folded = weights.split(queries.reshape(self._texts, n * m // self._texts, width))
        scores = torch.matmul(folded, keys_values[0])  # [B, heads, beams * m, S]
        if self.cross_mask is not None:
            scores += self.cross_mask
        mixed = torch.matmul(scores.softmax(-1), keys_values[1])
        return block.cross_out(hidden, weights.join(mixed).view(n, m, width))

    def reorder(self, index: Tensor, texts: Tensor | slice | None = None) -> None:
        """Keep the targets `index` [N'], in that order, repeats allowed.

        Args:
            texts: which texts are kept, where that is known: all have the same number of rows
                before, and the same number of rows after, in `index`, in this order.
        """
        self.n_rows = len(index)
        for layer, old in enumerate(self.past):
            if old is not None:
                moved = old.new_empty((len(old), self.n_rows, old.shape[2]))
                torch.index_select(old[: self.done], 1, index, out=moved[: self.done])
                self.past[layer] = moved
        if self.words is not None:
            self.words.reorder(index)
        if texts is None:
            self._rows = self._rows[index]
            self._group()
        else:
            if texts != slice(None):
                self._keep(texts)
            per_text = self.n_rows // self._texts
            self._rows = torch.arange(self._texts, device=index.device).repeat_interleave(per_text)

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens of each target, the start token not counted."""
        self.done = length + 1
        if self.words is not None:
            self.words.rewind(length + 1)


class _Words:
    """Self-attention of the first layer over a lexicon, by tables.

    Args:
        lexicon: [L] token ids, ascending.
    """

    def __init__(self, weights: T5Weights, lexicon: Tensor) -> None:
        self.weights = weights
        self.lexicon = lexicon
        self.embedded = weights.embed(lexicon)  # [L, d]
        shape = (len(lexicon), weights.heads, weights.size)
        queries, keys, values = (
            part.reshape(shape) for part in weights.blocks[0].self_in(self.embedded)
        )
        # the score of query token q for key token k and head h stands at (q * L + k) * heads + h
        self.scores = torch.einsum("qhs,khs->qkh", queries, keys).flatten()
        self.values = values.reshape(-1, weights.size)  # [L * heads, size]
        self.stride = len(lexicon) * weights.heads
        self.head = torch.arange(weights.heads, device=lexicon.device)[None, :, None]
        self.past: Tensor | None = None  # [N, heads, T] places k * heads + h of the tokens so far

    def attend(self, block: Block, tokens: Tensor, bias: Tensor, *, last: bool) -> Tensor:
        """Embeddings of tokens [N, m] plus what self-attention adds: [N, m or 1, d]."""
        places = torch.searchsorted(self.lexicon, tokens.contiguous())  # [N, m]
        fresh = places[:, None, :] * self.weights.heads + self.head
        self.past = fresh if self.past is None else torch.cat([self.past, fresh], dim=2)
        if last:
            places, bias = places[:, -1:], bias[:, :, -1:]
        n, m = places.shape
        seen = self.past[:, None].expand(-1, m, -1, -1)  # [N, m, heads, T]
        scores = self.scores[(places * self.stride)[:, :, None, None] + seen]
        weights = (scores + bias.transpose(1, 2)).softmax(-1)  # [N, m, heads, T]
        length = seen.shape[3]
        mixed = embedding_bag(
            seen.reshape(-1, length),
            self.values,
            per_sample_weights=weights.view(-1, length),
            mode="sum",
        )
        return block.self_out(self.embedded[places], mixed.view(n, m, -1))

    def reorder(self, index: Tensor) -> None:
        if self.past is not None:
            self.past = self.past[index]

    def rewind(self, length: int) -> None:
        assert self.past is not None
        self.past = self.past[:, :, :length]
