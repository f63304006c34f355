"""The distribution over the candidates should match that of their rewards."""

from __future__ import annotations

import torch
from torch import Tensor

from groot.objectives.shapes import check_same_shape


def reward_match(
    log_p: Tensor,
    rewards: Tensor,
    is_real: Tensor,
    *,
    reward_temperature: float = 0.1,
    log_p_temperature: float = 1.0,
) -> Tensor:
    """KL divergence from the reward's distribution over an example's candidates to the model's.

    With q = softmax(rewards / reward_temperature) and p = softmax(log_p / log_p_temperature) over
    the real candidates, the loss is sum_k q_k (log q_k - log p_k).

    Args:
        log_p: [B, K] log-probability of each whole candidate, in nats.
        rewards: [B, K], higher is better; receives no gradient.
        is_real: [B, K] bool, False for padding, whose log_p and rewards are ignored.
        reward_temperature: in units of the reward, > 0; small values want only the best.
        log_p_temperature: in nats, > 0.

    Returns:
        [B] in nats; 0 where fewer than two candidates are real.

    Raises:
        ShapeError: if the three tensors differ in shape.

    Source: Hashimoto and Raman, GROOT: Corrective Reward Optimization for Generative Sequential
    Labeling (2022), the aim of section 3 read literally; what we changed: both temperatures.

    >>> reward_match(torch.tensor([[-1.0, -1.0]]), torch.tensor([[0.3, 0.3]]),
    ...              torch.tensor([[True, True]]))
    tensor([0.])
    """
    check_same_shape(log_p=log_p, rewards=rewards, is_real=is_real)
    lowest = torch.finfo(log_p.dtype).min
    wanted = (rewards.detach() / reward_temperature).masked_fill(~is_real, lowest).log_softmax(1)
    model = (log_p / log_p_temperature).masked_fill(~is_real, lowest).log_softmax(1)
    terms = wanted.exp() * (wanted - model)
    return terms.masked_fill(~is_real, 0.0).sum(1)
