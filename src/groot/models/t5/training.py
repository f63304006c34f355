"""The T5 family's forward pass for training, over the model's own weights, made cheap.

What it saves against the modules of transformers: candidates of a text are packed as a prefix tree
(`PrefixForest`), so that what they share is computed once; cross-attention keys and values are
computed once per text; the last decoder layer asks its questions only where a logit is wanted; and
dropout masks cost less. Log-probabilities and gradients are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from groot.models.dropout import draw_dropped, dropout
from groot.models.prefix_forest import Chunk, PrefixForest

BLOCKS = {"T5Block", "MT5Block"}
ALIKE = 0.7  # a text at least so long, beside the longest, goes through attention with it
EXACT = {torch.float32, torch.float64}  # in fewer bits the modules know what to compute in more


def is_possible(core: Any) -> bool:
    """Whether a model is a T5 that may be taken apart.

    No where its blocks are wrapped, hooked or recomputed for the gradient: sharded weights, for
    one, are gathered when a block is called, and here none is.
    """
    stacks = [getattr(core, name, None) for name in ("encoder", "decoder")]
    blocks = [block for stack in stacks for block in getattr(stack, "block", ())]
    is_recomputed = any(getattr(stack, "gradient_checkpointing", False) for stack in stacks)
    return (
        bool(blocks)
        and not (is_recomputed and core.training)
        and all(
            type(block).__name__ in BLOCKS
            and not block._forward_hooks
            and not block._forward_pre_hooks
            for block in blocks
        )
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows [R, heads * size] lie in a padded [n, heads, width, size].

    Args:
        shape: n, heads, width.
        there: [n * heads * width] which of the R * heads pieces lies there; any in padding.
        back: [R * heads] where each piece lies.
    """

    shape: tuple[int, int, int]
    there: Tensor
    back: Tensor

    @property
    def rows(self) -> int:
        """R."""
        return len(self.back) // self.shape[1]


@dataclass(frozen=True, slots=True)
class Group:
    """What goes through attention together.

    Args:
        asking: of the queries. asked: of keys and values.
        bias: added to the scores [n, heads, width of asking, width of asked].
    """

    asking: Layout
    asked: Layout
    bias: Tensor


def layout(place: Tensor, n: int, width: int, heads: int) -> Layout:
    """Of rows that lie at `place` [R] in [n, width].

    >>> laid = layout(torch.tensor([0, 1, 3]), 2, 3, 1)
    >>> laid.there.tolist(), laid.back.tolist()
    ([0, 1, 0, 2, 0, 0], [0, 1, 3])
    """
    head = torch.arange(heads, device=place.device)
    there = place.new_zeros(n * width)
    there[place] = torch.arange(len(place), device=place.device)
    there = there.view(n, 1, width) * heads + head[:, None]
    text, inside = place // width, place % width
    back = (text[:, None] * heads + head) * width + inside[:, None]
    return Layout((n, heads, width), there.flatten(), back.flatten())


class _LaidOut(torch.autograd.Function):
    """Rows as [n, heads, width, size]; in padding stands what attention hides, not zeros."""

    @staticmethod
    def forward(context: Any, rows: Tensor, laid: Layout) -> Tensor:
        context.laid = laid
        pieces = rows.reshape(len(laid.back), -1)
        return pieces.index_select(0, laid.there).view(*laid.shape, -1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        laid = context.laid
        pieces = gradients[0].flatten(0, 2).index_select(0, laid.back)
        return pieces.view(laid.rows, -1), None


class _Collected(torch.autograd.Function):
    """[n, heads, width, size] as rows, padding left out."""

    @staticmethod
    def forward(context: Any, laid_out: Tensor, laid: Layout) -> Tensor:
        context.laid = laid
        return laid_out.flatten(0, 2).index_select(0, laid.back).view(laid.rows, -1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        laid = context.laid
        pieces = gradients[0].reshape(len(laid.back), -1)
        laid_out = pieces.new_zeros((len(laid.there), pieces.shape[1]))
        return laid_out.index_copy_(0, laid.back, pieces).view(*laid.shape, -1), None


def encode(stack: Any, ids: Tensor, is_token: Tensor) -> Tensor:
    """Encoder output [R, d] of the real tokens, text after text.

    Only attention sees padding, and little of it: texts of like length go through it together.

    Args:
        stack: the encoder.
        ids: [B, S] input tokens.
        is_token: [B, S] True for real ones.
    """
    lengths, order = is_token.sum(1).sort(descending=True, stable=True)
    ids, is_token = ids[order], is_token[order]
    first = stack.block[0].layer[0].SelfAttention
    longest = int(lengths.max()) if len(lengths) else 0
    positions = first.compute_bias(longest, longest, device=ids.device)  # [1, heads, S, S]
    groups = []
    for some in _alike(lengths.tolist()):
        width = int(lengths[some.start])
        real = is_token[some, :width]
        laid = layout(real.flatten().nonzero()[:, 0], len(real), width, first.n_heads)
        groups.append(
            Group(laid, laid, positions[:, :, :width, :width] + _hiding(real, positions.dtype))
        )
    hidden = _drop(stack, stack.embed_tokens(ids[is_token]))  # [R, d], the longest text first
    for block in stack.block:
        layer = block.layer[0]
        attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(normed), attention.v(normed)
        mixed = _attend(attention, attention.q(normed), keys, values, groups)
        hidden = hidden + _drop(layer, attention.o(mixed))
        hidden = _feed_forward(block.layer[-1], hidden)
    hidden = _drop(stack, _norm(stack.final_layer_norm, hidden))
    return hidden.index_select(0, order.repeat_interleave(lengths).argsort(stable=True))


def _alike(lengths: Sequence[int]) -> list[slice]:
    """Runs of texts that are not much shorter than the first of their run.

    Args:
        lengths: descending.

    >>> _alike([40, 30, 28, 27, 20, 18, 3])
    [slice(0, 3, None), slice(3, 5, None), slice(5, 6, None), slice(6, 7, None)]
    """
    starts = [0]
    for number, length in enumerate(lengths):
        if length < ALIKE * lengths[starts[-1]]:
            starts.append(number)
    return [slice(*ends) for ends in pairwise([*starts, len(lengths)])]


def tree_states(
    stack: Any, states: Tensor, is_input: Tensor, forest: PrefixForest, start_id: int
) -> Tensor:
    """Hidden states [Q, d] of the nodes of a forest that are asked for.

    Args:
        stack: the decoder.
        states: [R, d] encoder output of the real input tokens, see `encode`.
        is_input: [B, S] True for real input tokens.
        forest: prefixes of the targets.
        start_id: the token that stands before a target.
    """
    if not len(forest.asked):
        return states[:0]
    first = stack.block[0].layer[0].SelfAttention
    tokens = torch.where(forest.tokens < 0, start_id, forest.tokens)  # [M]
    hidden = _drop(stack, stack.embed_tokens(tokens))  # [M, d]
    for index, block in enumerate(stack.block):
        is_last = index == len(stack.block) - 1
        if is_last or not index:
            chunks = list(forest.chunks(asked=is_last))
            in_trees, to_texts, order = _groups(first, chunks, is_input, states.dtype)
            said = states.index_select(0, order)  # as the trees stand
        layer = block.layer[0]
        attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(normed), attention.v(normed)
        if is_last:  # from here on only the nodes that are asked for matter
            hidden, normed = hidden[forest.asked], normed[forest.asked]
        mixed = _attend(attention, attention.q(normed), keys, values, in_trees)
        hidden = hidden + _drop(layer, attention.o(mixed))

        layer = block.layer[1]
        attention, normed = layer.EncDecAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(said), attention.v(said)
        mixed = _attend(attention, attention.q(normed), keys, values, to_texts)
        hidden = hidden + _drop(layer, attention.o(mixed))
        hidden = _feed_forward(block.layer[2], hidden)
    return _drop(stack, _norm(stack.final_layer_norm, hidden))


def _groups(
    attention: Any, chunks: list[Chunk], is_input: Tensor, dtype: torch.dtype
) -> tuple[list[Group], list[Group], Tensor]:
    """How nodes look at the nodes of their trees, and how at the inputs; which input rows, then."""
    in_trees, to_texts, orders = [], [], []
    lengths, heads = is_input.sum(1), attention.n_heads
    begins = lengths.cumsum(0) - lengths
    for chunk in chunks:
        n = len(chunk.texts)
        asking = layout(chunk.pairs.place, n, chunk.pairs.width, heads)
        asked = layout(chunk.place, n, chunk.width, heads)
        in_trees.append(Group(asking, asked, _tree_bias(attention, chunk, dtype)))
        width = int(lengths[chunk.texts].max())
        is_real = is_input[chunk.texts, :width]
        text, inside = is_real.nonzero(as_tuple=True)
        asked = layout(text * width + inside, n, width, heads)
        to_texts.append(Group(asking, asked, _hiding(is_real, dtype)))
        orders.append(begins[chunk.texts][text] + inside)
    return in_trees, to_texts, torch.cat(orders)


def _tree_bias(attention: Any, chunk: Chunk, dtype: torch.dtype) -> Tensor:
    """[b, heads, width, chunk.width] relative position bias; what a node does not see is hidden."""
    pairs = chunk.pairs
    distances = torch.arange(int(pairs.distance.max()) + 1, device=pairs.distance.device)
    buckets = attention._relative_position_bucket(
        -distances,
        bidirectional=False,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    values = attention.relative_attention_bias(buckets[pairs.distance])  # [P, heads]
    n_trees, square = len(chunk.texts), pairs.width * chunk.width
    text, inside = pairs.seen // square, pairs.seen % square
    heads = torch.arange(values.shape[1], device=values.device)
    seen = (text[:, None] * len(heads) + heads) * square + inside[:, None]  # [P, heads]
    hidden = torch.full(
        (n_trees * len(heads) * square,), torch.finfo(dtype).min, dtype=dtype, device=values.device
    )
    bias = hidden.scatter(0, seen.flatten(), values.to(dtype).flatten())
    return bias.view(n_trees, len(heads), pairs.width, chunk.width)


def _hiding(is_token: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, 1, 1, S] to add to scores: 0 for real tokens, the lowest number for padding."""
    shown = torch.zeros(is_token.shape, dtype=dtype, device=is_token.device)
    return shown.masked_fill_(~is_token, torch.finfo(dtype).min)[:, None, None, :]


def _attend(
    attention: Any, queries: Tensor, keys: Tensor, values: Tensor, groups: list[Group]
) -> Tensor:
    """Mixed values [R, heads * size] of queries [R, heads * size]; T5 does not scale its scores.

    The rows of all three stand group by group.
    """
    of_asking, of_asked = (
        [getattr(one, name).rows for one in groups] for name in ("asking", "asked")
    )
    by_group = zip(
        queries.split(of_asking), keys.split(of_asked), values.split(of_asked), groups, strict=True
    )
    mixed = []
    for some_queries, some_keys, some_values, group in by_group:
        asking = _LaidOut.apply(some_queries, group.asking)
        asked, said = (_LaidOut.apply(part, group.asked) for part in (some_keys, some_values))
        weights = (asking @ asked.transpose(2, 3) + group.bias).softmax(-1)
        weights = dropout(weights, attention.dropout, is_training=attention.training)
        mixed.append(_Collected.apply(weights @ said, group.asking))
    return torch.cat(mixed)


def _feed_forward(layer: Any, hidden: Tensor) -> Tensor:
    normed, dense = _norm(layer.layer_norm, hidden), layer.DenseReluDense
    if hasattr(dense, "wi_0"):
        inner = dense.act(dense.wi_0(normed)) * dense.wi_1(normed)
        return hidden + _drop(layer, dense.wo(_drop(dense, inner)))
    if isinstance(dense.act, nn.ReLU) and _is_plain(dense.wi, dense.wo):
        share = dense.dropout.p if dense.training else 0.0
        mapped: Tensor = _ReluMaps.apply(normed, dense.wi.weight, dense.wo.weight, share)
        return hidden + _drop(layer, mapped)
    return hidden + _drop(layer, dense.wo(_drop(dense, dense.act(dense.wi(normed)))))


def _is_plain(*modules: Any) -> bool:
    """Whether these are linear maps whose weights may be used directly: no adapters, no casts."""
    return not torch.is_autocast_enabled("cpu") and all(
        type(module) is nn.Linear
        and module.weight.dtype in EXACT
        and module.weight.device.type == "cpu"
        and not module._forward_hooks
        and not module._forward_pre_hooks
        for module in modules
    )


class _ReluMaps(torch.autograd.Function):
    """Map, relu, dropout, map: the wide states in between are written once and kept once.

    Where one is 0, relu or dropout made it so, and no gradient passes.
    """

    @staticmethod
    def forward(
        context: Any, hidden: Tensor, first: Tensor, second: Tensor, share: float
    ) -> Tensor:
        wide = linear(hidden, first).relu_()
        if share:
            wide.view(-1).index_fill_(0, draw_dropped(wide.numel(), share), 0.0)
        context.save_for_backward(hidden, wide, first, second)
        context.scale = 1 / (1 - share)
        return linear(wide, second).mul_(context.scale)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        hidden, wide, first, second = context.saved_tensors
        gradient = (gradients[0] * context.scale).flatten(0, -2)
        hidden_2d, wide_2d = hidden.flatten(0, -2), wide.flatten(0, -2)
        of_wide = torch.ops.aten.threshold_backward(gradient @ second, wide_2d, 0)
        of_second = gradient.t() @ wide_2d
        return (of_wide @ first).view_as(hidden), of_wide.t() @ hidden_2d, of_second, None


def _norm(module: Any, hidden: Tensor) -> Tensor:
    """A T5 norm."""
    if module.weight.dtype not in EXACT or hidden.dtype != module.weight.dtype:
        return module(hidden)
    normed: Tensor = _RootMeanSquare.apply(hidden, module.weight, module.variance_epsilon)
    return normed


class _RootMeanSquare(torch.autograd.Function):
    """hidden / root(mean(hidden ** 2) + eps) * weight."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        inverse = (length * length / hidden.shape[-1] + eps).rsqrt_()
        unit = hidden * inverse
        context.save_for_backward(unit, inverse, weight)
        return unit * weight

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, weight = context.saved_tensors
        of_norm = gradients[0] * unit
        along = (of_norm @ weight)[..., None].div_(unit.shape[-1])
        of_hidden = (gradients[0] * weight).addcmul_(unit, along, value=-1).mul_(inverse)
        return of_hidden, of_norm.flatten(0, -2).sum(0), None


def _drop(module: Any, hidden: Tensor) -> Tensor:
    """The dropout that a module of the model holds."""
    return dropout(hidden, module.dropout.p, is_training=module.training)
