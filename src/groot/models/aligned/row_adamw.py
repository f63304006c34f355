"""AdamW that, of a table of vectors, updates only the rows that a batch has used.

Most words of a vocabulary are in none of a batch's texts. To go through all their rows, and their
moments, at each step takes longer than the rest of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class RowAdamW(torch.optim.AdamW):
    """AdamW; a weight whose gradient is sparse is stepped without momentum, in the rows it has.

    Momentum would have to move rows that no batch uses. Without it (a first beta of 0) a row with
    no gradient stays where it is, and what its second moment has lost by decay meanwhile is made
    up for when it is used again: this is AdamW with betas (0, beta_2), but for the weight decay,
    which rows without a gradient are spared.

    Settings are those of `torch.optim.AdamW`, amsgrad and maximize left out.

    Source: Kingma and Ba, Adam (2015); Loshchilov and Hutter, decoupled weight decay (2019).
    """

    def __init__(self, params: Iterable[Any], **settings: Any) -> None:
        super().__init__(params, fused=True, **settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make a step; sparse gradients are used up by it."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.grad.is_sparse:
                    self._step_rows(weight, weight.grad.coalesce(), group)
                    weight.grad = None
        return super().step(closure)

    def _step_rows(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg_sq"] = torch.zeros_like(weight)
            state["used"] = torch.zeros(len(weight), 1, device=weight.device)  # step of each row
        state["step"] += 1
        n_steps, decay = state["step"].item(), group["betas"][1]
        rows, values = gradient.indices()[0], gradient.values()
        kept = decay ** (n_steps - state["used"][rows])
        square = state["exp_avg_sq"][rows].mul_(kept).addcmul_(values, values, value=1 - decay)
        state["exp_avg_sq"][rows], state["used"][rows] = square, n_steps
        scale = (square / (1 - decay**n_steps)).sqrt_().add_(group["eps"])
        moved = weight[rows] * (1 - group["lr"] * group["weight_decay"])
        weight[rows] = moved.addcdiv_(values, scale, value=-group["lr"])


@torch.no_grad()
def cut_gradients(weights: Sequence[Tensor], max_norm: float) -> float:
    """Scale all gradients so that together they are no longer than max_norm; returns their norm.

    What torch.nn.utils.clip_grad_norm_ does, for sparse gradients too.
    """
    values = []
    for weight in weights:
        if weight.grad is not None:
            if weight.grad.is_sparse:
                weight.grad = weight.grad.coalesce()
                values.append(weight.grad.values())
            else:
                values.append(weight.grad)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values))).item()
    if norm > max_norm:
        torch._foreach_mul_(values, max_norm / (norm + 1e-6))
    return norm
