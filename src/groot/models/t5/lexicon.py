"""The first decoder layer by tables, where the tokens that may come are known and few.

T5 adds positions to attention scores, never to hidden states. So in the first layer, queries, keys
and values depend on the token alone. All scores of a few tokens (labels, sentinels, the start) for
each other are one small table, and the cache of the first layer is the tokens themselves.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from groot.models.t5.encoding import softmax
from groot.models.t5.weights import T5Weights

MAX_LEXICON = 512  # tokens up to which a table of all pairs is small


class Words:
    """Self-attention of the first layer over a lexicon.

    Args:
        weights: of the decoder.
        lexicon: [L] token ids, ascending.
    """

    def __init__(self, weights: T5Weights, lexicon: Tensor) -> None:
        heads, size = weights.heads, weights.size
        self.block = weights.blocks[0]
        self.lexicon = lexicon
        self.embedded = weights.embed(lexicon)  # [L, d]
        queries, keys, values = (
            part.reshape(-1, heads, size) for part in self.block.self_in(self.embedded)
        )
        # the score of query token q for key token k and head h stands at (q * L + k) * heads + h
        self.scores = torch.einsum("qhs,khs->qkh", queries, keys).flatten()
        self.values = values.reshape(-1, size)  # [L * heads, size]
        self.stride = len(lexicon) * heads
        # [L, heads] places k * heads + h of each token
        self.spots = torch.arange(self.stride, device=lexicon.device).view(-1, heads)

    def find(self, tokens: Tensor) -> Tensor:
        """[N, m] places of tokens in the lexicon."""
        return torch.searchsorted(self.lexicon, tokens.contiguous())

    def attend(self, places: Tensor, seen: Tensor, bias: Tensor) -> Tensor:
        """Embeddings of tokens plus what self-attention adds: [N * m, d].

        Args:
            places: [N, m] of the tokens in the lexicon.
            seen: [N, heads, T] spots of all tokens so far, these included.
            bias: [1, heads, m, T] of positions.
        """
        n, m = places.shape
        keys = seen[:, None].expand(-1, m, -1, -1)  # [N, m, heads, T]
        pairs = (places * self.stride)[:, :, None, None] + keys
        scores = self.scores.index_select(0, pairs.flatten()).view(pairs.shape)
        weights = softmax(scores + bias.transpose(1, 2))
        mixed = embedding_bag(
            keys.reshape(-1),
            self.values,
            offsets=torch.arange(0, pairs.numel(), pairs.shape[3], device=pairs.device),
            per_sample_weights=weights.reshape(-1),
            mode="sum",
        )
        return self.block.self_out(self.embedded[places.flatten()], mixed.view(n * m, -1))


_READY: WeakKeyDictionary[T5Weights, tuple[Tensor, Words]] = WeakKeyDictionary()


def words_of(weights: T5Weights, lexicon: Tensor, start_id: int) -> Words | None:
    """The tables of a lexicon and the start token, made once; None where they do not pay."""
    if len(lexicon) >= MAX_LEXICON or not weights.is_light:
        return None
    ready = _READY.get(weights)
    if ready is None or ready[0] is not lexicon:
        with torch.inference_mode(False), torch.no_grad():  # outlives the mode
            start = torch.full_like(lexicon[:1], start_id)
            ready = lexicon, Words(weights, torch.cat([lexicon, start]).unique())
        _READY[weights] = ready
    return ready[1]
