"""The T5 family's forward pass for training, over the model's own weights, made cheap.

What it saves against the modules of transformers: candidates of a text are packed as a prefix tree
(`PrefixForest`), so that what they share is computed once; cross-attention keys and values are
computed once per text; the last decoder layer asks its questions only where a logit is wanted; and
dropout masks cost less. Log-probabilities and gradients are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from groot.models.dropout import draw_dropped, dropout
from groot.models.prefix_forest import Chunk, PrefixForest
from groot.models.t5.attention import Group, attend, layout

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
    for alike in _alike(lengths.tolist()):
        width = int(lengths[alike.start])
        real = is_token[alike, :width]
        laid = layout(real.flatten().nonzero()[:, 0], len(real), width, first.n_heads)
        groups.append(
            Group(laid, laid, positions[:, :, :width, :width] + _hiding(real, positions.dtype))
        )
    hidden = _drop(stack, stack.embed_tokens(ids[is_token]))  # [R, d], the longest text first
    for block in stack.block:
        layer = block.layer[0]
        attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(normed), attention.v(normed)
        hidden = hidden + _drop(layer, _attend(attention, normed, keys, values, groups))
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
            memory = states.index_select(0, order)  # as the trees stand
        layer = block.layer[0]
        attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(normed), attention.v(normed)
        if is_last:  # from here on only the nodes that are asked for matter
            hidden, normed = hidden[forest.asked], normed[forest.asked]
        hidden = hidden + _drop(layer, _attend(attention, normed, keys, values, in_trees))

        layer = block.layer[1]
        attention, normed = layer.EncDecAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(memory), attention.v(memory)
        hidden = hidden + _drop(layer, _attend(attention, normed, keys, values, to_texts))
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
    attention: Any, normed: Tensor, keys: Tensor, values: Tensor, groups: list[Group]
) -> Tensor:
    """What attention adds to states [R, d], given those normed, and keys and values of others."""
    share = attention.dropout if attention.training else 0.0
    mixed = attend(attention.q(normed), keys, values, groups, share=share)
    added: Tensor = attention.o(mixed)
    return added


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
