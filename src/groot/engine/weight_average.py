"""An average of the weights over the steps, which often labels better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from groot.errors import CheckpointError, ShapeError


class WeightAverage:
    """Exponential moving average of the weights that are trained, in float32.

        average <- decay_t * average + (1 - decay_t) * weight,
        decay_t = min(decay, (1 + t) / (10 + t)) at the t-th update, t = 0, 1, ...

    so that the first weights are soon forgotten.

    Args:
        model: whose weights are averaged; those without requires_grad are left alone.
        decay: share of the average that stays in each update, in [0, 1).

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 2.0)
    >>> average = WeightAverage(model, decay=0.5)
    >>> _ = nn.init.constant_(model.weight, 0.0)
    >>> average.update(model)  # decay_0 = 1 / 10
    >>> with average.swap_in(model):
    ...     round(model.weight.item(), 6)
    0.2
    >>> model.weight.item()
    0.0
    """

    def __init__(self, model: nn.Module, *, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ShapeError(f"decay={decay}: must be at least 0 and below 1.")
        self.decay = decay
        self.updates = 0
        self._weights = {
            name: weight.detach().to(torch.float32, copy=True) for name, weight in _trained(model)
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights as they are now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = dict(_trained(model))
        for name, weight in weights.items():
            self._weights[name] = self._weights[name].to(weight.device)
        if weights:
            averages = [self._weights[name] for name in weights]
            present = [weight.detach().to(torch.float32) for weight in weights.values()]
            torch._foreach_lerp_(averages, present, 1.0 - decay)
        self.updates += 1

    @contextmanager
    def swap_in(self, model: nn.Module) -> Iterator[None]:
        """Inside the block the model has the averaged weights; after it, its own again, exactly."""
        own = {name: weight.detach().clone() for name, weight in _trained(model)}
        self._put(model, self._weights)
        try:
            yield
        finally:
            self._put(model, own)

    def tensors(self) -> dict[str, Tensor]:
        """The averages by name, for a checkpoint; `updates` belongs to them."""
        return dict(self._weights)

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Put back what `tensors()` and `updates` were.

        Raises:
            CheckpointError: they are of another model.
        """
        shapes = {name: weight.shape for name, weight in tensors.items()}
        if shapes != {name: weight.shape for name, weight in self._weights.items()}:
            raise CheckpointError("The averaged weights in the checkpoint are of another model.")
        self._weights = {name: weight.clone() for name, weight in tensors.items()}
        self.updates = updates

    @staticmethod
    @torch.no_grad()
    def _put(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
        for name, weight in _trained(model):
            weight.copy_(weights[name])


@torch.no_grad()
def go_back(model: nn.Module, start: nn.Module, *, share: float) -> None:
    """Take the model's weights a share of the way back to those it started from.

    A model that was tuned for long labels texts like those it was tuned on better, and others
    worse; on the line between the two lie weights that keep most of the one and lose less of the
    other.

    Args:
        model: whose weights are changed, those without requires_grad too.
        start: the same model before it was tuned.
        share: of the weights of `start` in the average; 0 changes nothing.

    Source: Wortsman et al., Robust fine-tuning of zero-shot models (2022).

    >>> model, start = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> _ = nn.init.constant_(model.weight, 2.0), nn.init.constant_(start.weight, 1.0)
    >>> go_back(model, start, share=0.25)
    >>> model.weight.item()
    1.75
    """
    before = dict(start.named_parameters())
    for name, weight in model.named_parameters():
        weight.lerp_(before[name].to(weight), share)


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that are trained; tied ones come once."""
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
