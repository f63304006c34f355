"""The T5 family's forward pass for training, over the model's own weights, made cheap.

What it saves against the modules of transformers: candidates of a text are packed as a prefix tree
(`PrefixForest`), so that what they share is computed once; cross-attention keys and values are
computed once per text; the last decoder layer asks its questions only where a logit is wanted; and
dropout masks cost less. Log-probabilities and gradients are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from groot.models.dropout import draw_dropped, dropout
from groot.models.prefix_forest import Chunk, PrefixForest

BLOCKS = {"T5Block", "MT5Block"}
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
    """Encoder output [R, d] of the real tokens, text after text; only attention sees padding.

    Args:
        stack: the encoder.
        ids: [B, S] input tokens.
        is_token: [B, S] True for real ones.
    """
    first = stack.block[0].layer[0].SelfAttention
    (n, length), place = ids.shape, is_token.flatten().nonzero()[:, 0]
    hidden = _drop(stack, stack.embed_tokens(ids.flatten()[place]))  # [R, d]
    bias = first.compute_bias(length, length, device=ids.device)  # [1, heads, S, S]
    bias = bias + _hiding(is_token, bias)  # [B, heads, S, S]
    for block in stack.block:
        layer = block.layer[0]
        attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
        queries, keys, values = (
            _padded(attention, part(normed), place, n, length)
            for part in (attention.q, attention.k, attention.v)
        )
        mixed = _attend(attention, queries, keys, values, bias).flatten(0, 1)
        hidden = hidden + _drop(layer, attention.o(mixed.index_select(0, place)))
        hidden = _feed_forward(block.layer[-1], hidden)
    return _drop(stack, _norm(stack.final_layer_norm, hidden))


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
    asked, every = list(forest.chunks(asked=True)), []
    if len(stack.block) > 1:
        every = list(forest.chunks(asked=False))
    biases: list[Tensor] = []
    n_texts, length = is_input.shape
    at = is_input.flatten().nonzero()[:, 0]  # where the states lie in [B * S]
    for index, block in enumerate(stack.block):
        is_last = index == len(stack.block) - 1
        chunks = asked if is_last else every
        if is_last or not index:
            biases = [_tree_bias(first, chunk, states.dtype) for chunk in chunks]
        layer = block.layer[0]
        attention, normed = layer.SelfAttention, _norm(layer.layer_norm, hidden)
        keys, values = attention.k(normed), attention.v(normed)
        if is_last:  # from here on only the nodes that are asked for matter
            hidden, normed = hidden[forest.asked], normed[forest.asked]
        mixed = _attend_in_trees(attention, attention.q(normed), keys, values, chunks, biases)
        hidden = hidden + _drop(layer, attention.o(mixed))

        layer = block.layer[1]
        attention, normed = layer.EncDecAttention, _norm(layer.layer_norm, hidden)
        keys, values = (
            _padded(attention, part(states), at, n_texts, length)
            for part in (attention.k, attention.v)
        )
        queries = attention.q(normed)
        mixed = _attend_to_texts(attention, queries, keys, values, chunks, is_input)
        hidden = hidden + _drop(layer, attention.o(mixed))
        hidden = _feed_forward(block.layer[2], hidden)
    return _drop(stack, _norm(stack.final_layer_norm, hidden))


def _attend_in_trees(
    attention: Any,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    chunks: list[Chunk],
    biases: list[Tensor],
) -> Tensor:
    """Each query [n, heads * size] at the prefixes of its own, of all [M, heads * size]."""
    mixed = []
    by_chunk = zip(
        queries.split([len(chunk.pairs.place) for chunk in chunks]),
        keys.split([len(chunk.place) for chunk in chunks]),
        values.split([len(chunk.place) for chunk in chunks]),
        chunks,
        biases,
        strict=True,
    )
    for some_queries, some_keys, some_values, chunk, bias in by_chunk:
        n = len(chunk.texts)
        asking = _padded(attention, some_queries, chunk.pairs.place, n, chunk.pairs.width)
        asked = _padded(attention, some_keys, chunk.place, n, chunk.width)
        said = _padded(attention, some_values, chunk.place, n, chunk.width)
        out = _attend(attention, asking, asked, said, bias)  # [b, width, heads * size]
        mixed.append(out.flatten(0, 1).index_select(0, chunk.pairs.place))
    return torch.cat(mixed)


def _attend_to_texts(
    attention: Any,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    chunks: list[Chunk],
    is_input: Tensor,
) -> Tensor:
    """Each query [n, heads * size] at its input; keys and values are [B, heads, S, size]."""
    mixed = []
    some = queries.split([len(chunk.pairs.place) for chunk in chunks])
    for some_queries, chunk in zip(some, chunks, strict=True):
        place, width = chunk.pairs.place, chunk.pairs.width
        asking = _padded(attention, some_queries, place, len(chunk.texts), width)
        asked, said = (part.index_select(0, chunk.texts) for part in (keys, values))
        bias = _hiding(is_input[chunk.texts], keys)
        out = _attend(attention, asking, asked, said, bias)
        mixed.append(out.flatten(0, 1).index_select(0, place))
    return torch.cat(mixed)


def _padded(attention: Any, flat: Tensor, place: Tensor, n: int, width: int) -> Tensor:
    """[R, heads * size] laid out as [n, heads, width, size], 0 in padding."""
    laid_out = flat.new_zeros((n * width, flat.shape[1])).index_copy_(0, place, flat)
    return laid_out.view(n, width, attention.n_heads, -1).transpose(1, 2)


def _tree_bias(attention: Any, chunk: Chunk, dtype: torch.dtype) -> Tensor:
    """[b, heads, width, chunk.width] relative position bias; what a node does not see is hidden."""
    pairs = chunk.pairs
    buckets = attention._relative_position_bucket(
        -pairs.distance,
        bidirectional=False,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    values = attention.relative_attention_bias(buckets)  # [P, heads]
    n_trees, square = len(chunk.texts), pairs.width * chunk.width
    text, inside = pairs.seen // square, pairs.seen % square
    heads = torch.arange(values.shape[1], device=values.device)
    seen = (text[:, None] * len(heads) + heads) * square + inside[:, None]  # [P, heads]
    hidden = torch.full(
        (n_trees * len(heads) * square,), torch.finfo(dtype).min, dtype=dtype, device=values.device
    )
    bias = hidden.scatter(0, seen.flatten(), values.to(dtype).flatten())
    return bias.view(n_trees, len(heads), pairs.width, chunk.width)


def _hiding(is_token: Tensor, like: Tensor) -> Tensor:
    """[B, 1, 1, S] to add to scores: 0 for real tokens, the lowest number for padding."""
    shown = torch.zeros(is_token.shape, dtype=like.dtype, device=is_token.device)
    return shown.masked_fill_(~is_token, torch.finfo(like.dtype).min)[:, None, None, :]


def _attend(attention: Any, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Mixed values [B, T, heads * size]; T5 does not scale its scores."""
    weights = (queries @ keys.transpose(2, 3) + bias).softmax(-1)
    weights = dropout(weights, attention.dropout, is_training=attention.training)
    return (weights @ values).transpose(1, 2).flatten(2)


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
