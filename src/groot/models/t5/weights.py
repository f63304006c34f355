"""The weights of a T5 stack, laid out for many small passes without gradient.

A small model spends its time in the number of operations, not in their size: hidden states are
rows [N, d] all the way, and the weights are copied once into fewer and ready products: queries,
keys and values are one matrix, the scale of each norm is part of the matrix behind it, and matrices
lie as products of few rows read them fastest (11 rows take about half the time). A large model
keeps its own modules: its products are long, and a copy would cost memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

LIGHT = 32_000_000  # weights of a stack up to which they are copied into ready products
TABLE = 4_000_000  # numbers up to which the first layer's products are kept for each token
GAP = 16  # numbers between the rows of a matrix, see `Matrix`
STRIP = 32  # columns of a strip
LARGE = 250_000  # numbers from which a matrix has strips; smaller ones stay in the cache
FEW = 24  # rows up to which strips are faster
GROWTH = 64  # positions by which the table of position biases grows


def _is_plain(modules: Sequence[Any]) -> bool:
    """Whether these are linear maps with weights that may be used directly (no adapters)."""
    return all(
        type(module) is nn.Linear and module.bias is None and module.weight.dtype == torch.float32
        for module in modules
    )


class Matrix:
    """A matrix [d, e] that rows [N, d] are multiplied with, laid out for many rows and for few.

    For many, its rows stand apart by a little more than they are long: rows a power of two apart
    fall on the same few places of a processor's cache (64 rows times [512, 2048] take 1.7 times as
    long). For a few rows and a matrix that no cache keeps, the time goes into reading it: strips of
    32 columns, each in one piece, are read up to 1.7 times as fast as rows. They are a copy, made
    when first wanted.

    Args:
        weight: the matrix.
    """

    def __init__(self, weight: Tensor) -> None:
        rows, columns = weight.shape
        self.weight = weight.new_empty((rows, columns + GAP))[:, :columns].copy_(weight)
        self._has_strips = (
            weight.numel() >= LARGE and columns % STRIP == 0 and weight.device.type == "cpu"
        )
        self._strips: Tensor | None = None  # [e / 32, d, 32]

    def times(self, rows: Tensor) -> Tensor:
        """rows [N, d] times the matrix: [N, e]."""
        if not self._has_strips or not 1 < len(rows) <= FEW:
            return rows @ self.weight
        if self._strips is None:
            with torch.inference_mode(False), torch.no_grad():  # outlives the mode
                strips = self.weight.unflatten(1, (-1, STRIP)).transpose(0, 1)
                self._strips = strips.contiguous()
        return torch.matmul(rows, self._strips).transpose(0, 1).flatten(1)

    def add_times(self, residual: Tensor, rows: Tensor) -> Tensor:
        """residual [N, e] with rows [N, d] times the matrix added in place."""
        if not self._has_strips or not 1 < len(rows) <= FEW:
            return residual.addmm_(rows, self.weight)
        return residual.add_(self.times(rows))


class Norm:
    """A T5 norm: hidden [..., d] over the root of its mean square, times a weight.

    Args:
        module: of transformers.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.is_plain = module.weight.dtype == torch.float32
        d = len(module.weight)
        # the root of a mean is the length over sqrt(d), which is counted into the weight
        self.weight = module.weight * d**0.5
        self.least = torch.sqrt(torch.full_like(self.weight[:1], d * module.variance_epsilon))

    def unit(self, hidden: Tensor) -> Tensor:
        """hidden over its length: the norm but for its weight."""
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        return hidden / torch.hypot(length, self.least)

    def __call__(self, hidden: Tensor) -> Tensor:
        if not self.is_plain:
            normed: Tensor = self.module(hidden)
            return normed
        return self.unit(hidden) * self.weight


class Maps:
    """Linear maps of one input, normed first if there is a norm.

    Args:
        modules: the maps. norm: the T5 norm before them. is_light: whether to copy them into one.
    """

    def __init__(self, modules: Sequence[Any], norm: Any = None, *, is_light: bool) -> None:
        self.modules = modules
        self.norm = None if norm is None else Norm(norm)
        self.matrix: Matrix | None = None
        if is_light and _is_plain(modules):
            weight = torch.cat([module.weight for module in modules]).t()  # [d, all outputs]
            if self.norm is not None:
                weight = weight * self.norm.weight[:, None]
            self.matrix = Matrix(weight)
            self.sizes = [len(module.weight) for module in modules]

    def __call__(self, hidden: Tensor) -> Sequence[Tensor]:
        if self.matrix is None:
            if self.norm is not None:
                hidden = self.norm(hidden)
            return [module(hidden) for module in self.modules]
        if self.norm is not None:
            hidden = self.norm.unit(hidden)
        mapped = self.matrix.times(hidden)
        return [mapped] if len(self.sizes) == 1 else mapped.split(self.sizes, dim=-1)


class Sum:
    """residual [N, d] + map(input [N, d']), in place where the map is plain."""

    def __init__(self, module: Any, *, is_light: bool) -> None:
        self.module = module
        self.is_plain = _is_plain([module])
        self.matrix = Matrix(module.weight.t()) if is_light and self.is_plain else None

    def __call__(self, residual: Tensor, hidden: Tensor) -> Tensor:
        if self.matrix is not None:
            return self.matrix.add_times(residual, hidden)
        if self.is_plain:
            return residual.addmm_(hidden, self.module.weight.t())
        mapped: Tensor = self.module(hidden)
        return residual + mapped


def _activation(module: Any) -> Callable[[Tensor], Tensor]:
    """What a module computes, in one operation where there is one."""
    if isinstance(module, nn.ReLU):
        return torch.relu_
    if type(module).__name__ == "NewGELUActivation":
        return partial(gelu, approximate="tanh")
    activation: Callable[[Tensor], Tensor] = module
    return activation


class FeedForward:
    """The feed-forward part of a block, residual included."""

    def __init__(self, layer: Any, *, is_light: bool) -> None:
        self.layer = layer
        dense = layer.DenseReluDense
        gated = hasattr(dense, "wi_1")
        inner = [dense.wi_0, dense.wi_1] if gated else [dense.wi]
        self.is_plain = _is_plain([*inner, dense.wo])
        if self.is_plain:
            self.act = _activation(dense.act)
            self.inner = Maps(inner, layer.layer_norm, is_light=is_light)
            self.outer = Sum(dense.wo, is_light=is_light)

    def __call__(self, hidden: Tensor) -> Tensor:
        if not self.is_plain:
            mapped: Tensor = self.layer(hidden)
            return mapped
        first, *gate = self.inner(hidden)
        mixed = self.act(first)
        return self.outer(hidden, mixed * gate[0] if gate else mixed)


class Block:
    """One block: what the self-attention, the cross-attention and the feed-forward part need."""

    def __init__(self, block: Any, *, is_light: bool) -> None:
        first, last = block.layer[0], block.layer[-1]
        own = first.SelfAttention
        self.self_in = Maps([own.q, own.k, own.v], first.layer_norm, is_light=is_light)
        self.self_out = Sum(own.o, is_light=is_light)
        if len(block.layer) == 3:
            other = block.layer[1].EncDecAttention
            self.cross_in = Maps([other.q], block.layer[1].layer_norm, is_light=is_light)
            self.cross_memory = Maps([other.k, other.v], is_light=is_light)
            self.cross_out = Sum(other.o, is_light=is_light)
        self.feed_forward = FeedForward(last, is_light=is_light)


class T5Weights:
    """A T5 encoder or decoder, ready for passes without gradient.

    Args:
        stack: the encoder or decoder of a T5 or mT5 model.
    """

    @torch.no_grad()
    def __init__(self, stack: Any) -> None:
        first = stack.block[0].layer[0].SelfAttention
        self.heads, self.size = first.n_heads, first.key_value_proj_dim
        self.is_light = sum(p.numel() for p in stack.block.parameters()) <= LIGHT
        self.embed = stack.embed_tokens
        self.blocks = [Block(block, is_light=self.is_light) for block in stack.block]
        self.final_norm = Norm(stack.final_layer_norm)
        self._attention = first
        self._bias: Tensor | None = None
        self._first: Sequence[Tensor] | None = None

    def first_in(self, ids: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Queries, keys and values [U, heads * size] of the first layer, once for each token.

        They depend on the token alone, as T5 adds positions to scores only: where the vocabulary is
        small, they are kept for all of it.

        Args:
            ids: [N] tokens.

        Returns:
            the three, and [N] which row is each token's.
        """
        entry = self.blocks[0].self_in
        width = 3 * self.heads * self.size
        if entry.matrix is None or self.embed.num_embeddings * width > TABLE:
            distinct, rows = ids.unique(return_inverse=True)
            return entry(self.embed(distinct)), rows
        if self._first is None:
            with torch.inference_mode(False), torch.no_grad():  # outlives the mode
                self._first = list(entry(self.embed.weight))
        return self._first, ids

    def split(self, hidden: Tensor, n: int) -> Tensor:
        """[N * T, heads * size] to [N, heads, T, size]."""
        return hidden.view(n, -1, self.heads, self.size).transpose(1, 2)

    def join(self, mixed: Tensor) -> Tensor:
        """[N, heads, T, size] to [N * T, heads * size]."""
        return mixed.transpose(1, 2).reshape(-1, self.heads * self.size)

    def position_bias(self, length: int) -> Tensor:
        """[heads, L, L] with L >= length: bias of a query (row) towards a key (column).

        In a decoder, later keys have the lowest number there is.
        """
        if self._bias is None or self._bias.shape[1] < length:
            wanted = length + GROWTH
            device = self._attention.relative_attention_bias.weight.device
            with torch.inference_mode(False), torch.no_grad():  # outlives the mode
                bias = self._attention.compute_bias(wanted, wanted, device=device)[0]
                if self._attention.is_decoder:
                    future = torch.ones((wanted, wanted), dtype=torch.bool, device=device).triu(1)
                    bias = bias.masked_fill(future, torch.finfo(bias.dtype).min)
                self._bias = bias.contiguous()
        return self._bias


class Prepared:
    """The T5Weights of a model's stacks, made anew whenever a weight has changed.

    >>> Prepared().clear()
    """

    def __init__(self) -> None:
        self._ready: dict[int, tuple[list[Tensor], object, T5Weights]] = {}

    def of(self, stack: Any) -> T5Weights:
        """The weights of a stack as they are now."""
        known = self._ready.get(id(stack))
        if known is None or known[1] != versions(known[0]):
            parameters = list(stack.parameters())
            with torch.inference_mode(False):  # what is kept must outlive the mode
                known = (parameters, versions(parameters), T5Weights(stack))
            self._ready[id(stack)] = known
        return known[2]

    def clear(self) -> None:
        """Forget all; wanted where modules are exchanged, which no weight tells."""
        self._ready.clear()


def versions(tensors: Sequence[Tensor]) -> object:
    """What changes with the numbers in them: every optimizer and every load counts a version up."""
    return [(tensor.data_ptr(), tensor._version) for tensor in tensors]
