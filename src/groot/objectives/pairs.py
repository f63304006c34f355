"""Contrast of candidates pair by pair: the better one should be likelier."""

from __future__ import annotations

import torch
from torch import Tensor

from groot.objectives.shapes import check_same_shape


def pair_margin(log_p: Tensor, rewards: Tensor, is_real: Tensor, *, margin: float = 5.0) -> Tensor:
    """Hinge loss that lifts the better of two candidates above the worse one.

    For each pair with rewards[b, i] > rewards[b, j], the loss is
        max(0, margin * (rewards[b, i] - rewards[b, j]) - (log_p[b, i] - log_p[b, j])).

    Args:
        log_p: [B, K] log-probability of each whole candidate, in nats.
        rewards: [B, K], higher is better; receives no gradient.
        is_real: [B, K] bool, False for padding, whose log_p and rewards are ignored.
        margin: nats of separation asked for per unit of reward, > 0.

    Returns:
        [B] mean over the pairs of each example, in nats; 0 where no pair differs in reward.

    Raises:
        ShapeError: if the three tensors differ in shape.

    Source: Liu et al., BRIO: Bringing Order to Abstractive Summarization (2022), equation 8, and
    Zhao et al., Calibrating Sequence Likelihood (2022), rank loss; what we changed: the margin
    grows with the gap in reward, not with the difference in rank.

    >>> pair_margin(torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, 0.0]]),
    ...             torch.tensor([[True, True]]), margin=0.5)
    tensor([0.5000])
    """
    reward_gap, log_p_gap, is_pair = _gaps(log_p, rewards, is_real)
    hinge = (margin * reward_gap - log_p_gap).clamp(min=0)
    return _mean_over_pairs(hinge, is_pair)


def pair_logistic(log_p: Tensor, rewards: Tensor, is_real: Tensor, *, beta: float = 1.0) -> Tensor:
    """Logistic loss on the difference of log_p of each pair whose rewards differ.

    For each pair with rewards[b, i] > rewards[b, j], the loss is
        -log sigmoid(beta * (log_p[b, i] - log_p[b, j])).

    Args:
        log_p: [B, K] log-probability of each whole candidate, in nats.
        rewards: [B, K], higher is better; only their order counts.
        is_real: [B, K] bool, False for padding, whose log_p and rewards are ignored.
        beta: slope per nat, > 0.

    Returns:
        [B] mean over the pairs of each example, in nats; 0 where no pair differs in reward.

    Raises:
        ShapeError: if the three tensors differ in shape.

    Source: Burges et al., Learning to Rank using Gradient Descent (RankNet, 2005), equation 3;
    what we changed: nothing.

    >>> pair_logistic(torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, 0.0]]),
    ...               torch.tensor([[True, True]]))
    tensor([0.6931])
    """
    _, log_p_gap, is_pair = _gaps(log_p, rewards, is_real)
    return _mean_over_pairs(-torch.nn.functional.logsigmoid(beta * log_p_gap), is_pair)


def pair_square(log_p: Tensor, rewards: Tensor, is_real: Tensor, *, margin: float = 5.0) -> Tensor:
    """Squared error that makes log-probabilities an affine image of the rewards.

    For each pair with rewards[b, i] > rewards[b, j], the loss is
        (margin * (rewards[b, i] - rewards[b, j]) - (log_p[b, i] - log_p[b, j]))^2 / (2 * margin).

    Where `pair_margin` asks for at least so much separation, this asks for just so much; arguments,
    result and errors are those of `pair_margin`.

    Source: Flet-Berliac et al., Contrastive Policy Gradient (2024), equation 6 with a uniform
    reference; what we changed: the scale, so that a slope of the loss is in units of nats.

    >>> pair_square(torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, 0.0]]),
    ...             torch.tensor([[True, True]]), margin=2.0)
    tensor([1.])
    """
    reward_gap, log_p_gap, is_pair = _gaps(log_p, rewards, is_real)
    return _mean_over_pairs((margin * reward_gap - log_p_gap) ** 2 / (2 * margin), is_pair)


def _gaps(log_p: Tensor, rewards: Tensor, is_real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gaps [B, K, K] in reward and log_p, and where i is the better one of a real pair (i, j)."""
    check_same_shape(log_p=log_p, rewards=rewards, is_real=is_real)
    # padding may hold -inf or nan: put it aside before any arithmetic, or its gradient is nan
    log_p = log_p.masked_fill(~is_real, 0.0)
    rewards = rewards.detach().masked_fill(~is_real, 0.0)
    reward_gap = rewards[:, :, None] - rewards[:, None, :]
    log_p_gap = log_p[:, :, None] - log_p[:, None, :]
    is_pair = (reward_gap > 0) & is_real[:, :, None] & is_real[:, None, :]
    return reward_gap, log_p_gap, is_pair


def _mean_over_pairs(values: Tensor, is_pair: Tensor) -> Tensor:
    total = values.masked_fill(~is_pair, 0.0).sum(dim=(1, 2))
    return total / is_pair.sum(dim=(1, 2)).clamp(min=1)
