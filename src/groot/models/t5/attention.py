"""Attention of texts or trees of different lengths, for training: one function with its gradient.

Rows [R, heads * size] stand one after the other without padding. They go through attention in
groups of like length, each laid out as [n, heads, width, size]; only there is padding, and it is
hidden. All groups are one step for autograd, whose own costs are those of a group's products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groot.models.dropout import draw, without


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

    def laid_out(self, rows: Tensor) -> Tensor:
        """Rows as [n, heads, width, size]; in padding stands what attention hides, not zeros."""
        return self._pieces(rows).index_select(0, self.there).view(*self.shape, -1)

    def spread(self, rows: Tensor) -> Tensor:
        """Rows as [n, heads, width, size], zeros in padding."""
        pieces = self._pieces(rows)
        padded = pieces.new_zeros((len(self.there), pieces.shape[1]))
        return padded.index_copy_(0, self.back, pieces).view(*self.shape, -1)

    def collect(self, laid_out: Tensor, rows: Tensor) -> None:
        """Write [n, heads, width, size] into rows, padding left out."""
        pieces = laid_out.flatten(0, 2)
        torch.index_select(pieces, 0, self.back, out=self._pieces(rows))

    def _pieces(self, rows: Tensor) -> Tensor:
        return rows.view(len(self.back), -1)


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


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, groups: Sequence[Group], *, share: float
) -> Tensor:
    """Mixed values [R, heads * size] of queries [R, heads * size]; T5 does not scale its scores.

    The rows of all three stand group by group.

    Args:
        share: of the weights that dropout takes.
    """
    kind = torch.promote_types(torch.promote_types(queries.dtype, keys.dtype), values.dtype)
    rows = [part.to(kind).contiguous() for part in (queries, keys, values)]
    mixed: Tensor = _Attention.apply(*rows, share, groups, *[group.bias for group in groups])
    return mixed


class _Attention(torch.autograd.Function):
    """softmax(queries keys' + bias) values of all groups."""

    @staticmethod
    def forward(
        context: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        share: float,
        groups: Sequence[Group],
        *biases: Tensor,
    ) -> Tensor:
        mixed, saved = torch.empty_like(queries), []
        with torch.autocast(queries.device.type, enabled=False):
            for (group, asks, is_asked), bias in zip(_parts(groups), biases, strict=True):
                asking = group.asking.laid_out(queries[asks])
                asked = group.asked.laid_out(keys[is_asked])
                answers = group.asked.laid_out(values[is_asked])
                scores = asking @ asked.transpose(2, 3)
                scores = scores.add_(bias) if bias.dtype == scores.dtype else scores + bias
                weights = kept = scores.softmax(-1)
                dropped = draw(weights, share) if share else None
                if dropped is not None:
                    kept = without(weights, dropped, share)
                group.asking.collect(kept.to(answers.dtype) @ answers, mixed[asks])
                saved += [asking, asked, answers, weights, kept, dropped]
        context.save_for_backward(*saved)
        context.groups, context.share = groups, share
        context.rows, context.shapes = (len(queries), len(keys)), [bias.shape for bias in biases]
        return mixed

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = (each.contiguous() for each in gradients)
        n_asking, n_asked = context.rows
        of_queries, of_keys, of_values = (
            gradient.new_empty((n, gradient.shape[1])) for n in (n_asking, n_asked, n_asked)
        )
        of_biases: list[Tensor | None] = []
        for number, (group, asks, is_asked) in enumerate(_parts(context.groups)):
            asking, asked, answers, weights, kept, dropped = context.saved_tensors[
                6 * number : 6 * number + 6
            ]
            of_mixed = group.asking.spread(gradient[asks])
            group.asked.collect(
                kept.to(answers.dtype).transpose(2, 3) @ of_mixed, of_values[is_asked]
            )
            of_kept = (of_mixed @ answers.transpose(2, 3)).to(weights.dtype)
            if dropped is not None:
                of_kept = without(of_kept, dropped, context.share)
            of_scores = torch._softmax_backward_data(of_kept, weights, -1, weights.dtype)
            wants_bias = context.needs_input_grad[5 + number]
            shape = context.shapes[number]
            of_biases.append(of_scores.sum_to_size(shape) if wants_bias else None)
            of_scores = of_scores.to(asked.dtype)
            group.asking.collect(of_scores @ asked, of_queries[asks])
            group.asked.collect(of_scores.transpose(2, 3) @ asking, of_keys[is_asked])
        return of_queries, of_keys, of_values, None, None, *of_biases


def _parts(groups: Sequence[Group]) -> Iterator[tuple[Group, slice, slice]]:
    """Each group with its rows among those that ask and those that are asked."""
    asking = asked = 0
    for group in groups:
        ends = asking + group.asking.rows, asked + group.asked.rows
        yield group, slice(asking, ends[0]), slice(asked, ends[1])
        asking, asked = ends
