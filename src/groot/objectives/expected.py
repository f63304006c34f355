"""The expected reward over the candidates, under the model's own distribution over them."""

from __future__ import annotations

import torch
from torch import Tensor

from groot.objectives.shapes import check_same_shape


def mrt(log_p: Tensor, rewards: Tensor, is_real: Tensor, *, sharpness: float = 0.5) -> Tensor:
    """Minimum risk: one minus the expected reward of a candidate.

    With p = softmax(sharpness * log_p) over the real candidates, the loss is
        sum_k p_k (1 - rewards_k).

    Args:
        log_p: [B, K] log-probability of each whole candidate, in nats.
        rewards: [B, K], higher is better; receives no gradient.
        is_real: [B, K] bool, False for padding, whose log_p and rewards are ignored.
        sharpness: of the distribution over the candidates, per nat, > 0.

    Returns:
        [B] in units of reward; 0 where no candidate is real.

    Raises:
        ShapeError: if the three tensors differ in shape.

    Source: Shen et al., Minimum Risk Training for Neural Machine Translation (2016), equation 13;
    what we changed: nothing.

    >>> mrt(torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
    tensor([0.5000])
    """
    check_same_shape(log_p=log_p, rewards=rewards, is_real=is_real)
    lowest = torch.finfo(log_p.dtype).min
    share = (sharpness * log_p).masked_fill(~is_real, lowest).softmax(1)
    risk = (1 - rewards.detach()).masked_fill(~is_real, 0.0)
    return (share * risk).sum(1)
