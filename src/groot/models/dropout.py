"""Dropout that draws the few elements it drops, not a number for each element.

Balls are thrown at the elements, Poisson(lambda) of them for each: how many hit one element is
independent of the others, and none does with probability exp(-lambda). With exp(-lambda) equal to
1 - share, every element is dropped with probability `share`, independently, as dropout wants it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

FEW = 0.5  # above this share too many balls are thrown for it to pay


def dropout(hidden: Tensor, share: float, *, is_training: bool) -> Tensor:
    """Zero each element with probability `share` and scale the others so that the mean stays.

    Drawn from torch's global generator, as torch's own dropout is, but not the same draw.

    Args:
        hidden: any shape.
        share: in [0, 1).
        is_training: False gives hidden back.

    >>> torch.manual_seed(0).initial_seed()
    0
    >>> sorted(set(dropout(torch.ones(1000), 0.5, is_training=True).tolist()))
    [0.0, 2.0]
    """
    if not is_training or share == 0:
        return hidden
    if hidden.device.type != "cpu" or share > FEW:
        return functional.dropout(hidden, share)
    dropped: Tensor = _Dropout.apply(hidden, share)
    return dropped


def draw_dropped(count: int, share: float) -> Tensor:
    """Which of `count` elements are dropped, in any order; one may be named twice."""
    expected = -math.log1p(-share) * count
    return torch.randint(max(count, 1), (int(torch.poisson(torch.tensor(expected))),))


def draw(hidden: Tensor, share: float) -> Tensor:
    """Which elements of a tensor are dropped: their places, or a mask where that is cheaper."""
    if hidden.device.type != "cpu" or share > FEW:
        return torch.rand(hidden.shape, device=hidden.device) < share
    return draw_dropped(hidden.numel(), share)


def without(hidden: Tensor, dropped: Tensor, share: float) -> Tensor:
    """A tensor scaled, without the elements that `draw` named; its gradient is made so, too."""
    kept = torch.mul(hidden, 1 / (1 - share)).contiguous()
    if dropped.dtype == torch.bool:
        return kept.masked_fill_(dropped, 0.0)
    kept.view(-1).index_fill_(0, dropped, 0.0)
    return kept


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, hidden: Tensor, share: float) -> Tensor:
        dropped = draw(hidden, share)
        context.save_for_backward(dropped)
        context.share = share
        return without(hidden, dropped, share)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (dropped,) = context.saved_tensors
        return without(gradients[0], dropped, context.share), None
