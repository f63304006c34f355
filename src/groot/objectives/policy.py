"""Objectives that compare with a reference model: preference and policy-gradient training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.errors import ShapeError
from groot.objectives.shapes import check_same_shape


def dpo(
    log_p: Tensor,
    rewards: Tensor,
    is_real: Tensor,
    *,
    reference_log_p: Tensor | None = None,
    beta: float = 0.1,
) -> Tensor:
    """Logistic loss on how much more than the reference the model prefers the best to the worst.

    With w the candidate of highest and l that of lowest reward, and u = log_p - reference_log_p,
    the loss is
        -log sigmoid(beta * (u_w - u_l)).

    Args:
        log_p: [B, K] log-probability of each whole candidate, in nats.
        rewards: [B, K], higher is better; only their order counts.
        is_real: [B, K] bool, False for padding, whose log_p and rewards are ignored.
        reference_log_p: [B, K] the same under the frozen start model; None is a reference that
            gives all candidates the same.
        beta: slope per nat, > 0.

    Returns:
        [B] in nats, the mean over best and worst where several are; 0 where no reward differs.

    Raises:
        ShapeError: if the tensors differ in shape.

    Source: Rafailov et al., Direct Preference Optimization (2023), equation 7; what we changed: the
    pair is the best and the worst of a set.

    >>> dpo(torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
    tensor([0.6931])
    """
    check_same_shape(log_p=log_p, rewards=rewards, is_real=is_real)
    lift = _lift(log_p, reference_log_p, is_real)
    rewards = rewards.detach().masked_fill(~is_real, 0.0)
    lowest, highest = torch.finfo(rewards.dtype).min, torch.finfo(rewards.dtype).max
    best = rewards.masked_fill(~is_real, lowest).amax(1, keepdim=True)
    worst = rewards.masked_fill(~is_real, highest).amin(1, keepdim=True)
    is_best, is_worst = (rewards == best) & is_real, (rewards == worst) & is_real
    is_pair = is_best[:, :, None] & is_worst[:, None, :] & (best > worst)[:, :, None]
    loss = -logsigmoid(beta * (lift[:, :, None] - lift[:, None, :]))
    total = loss.masked_fill(~is_pair, 0.0).sum(dim=(1, 2))
    return total / is_pair.sum(dim=(1, 2)).clamp(min=1)


def grpo(
    log_p: Tensor,
    rewards: Tensor,
    is_real: Tensor,
    *,
    is_token: Tensor | None = None,
    old_log_p: Tensor | None = None,
    reference_log_p: Tensor | None = None,
    clip: float = 0.2,
    kl: float = 0.04,
) -> Tensor:
    """Clipped policy gradient whose advantage is a candidate's reward, normalised in its group.

    With A_k = (rewards_k - mean) / std over the real candidates of an example, ratio_kt =
    exp(log_p_kt - old_log_p_kt) and d_kt = reference_log_p_kt - log_p_kt, the loss is
        mean over k, mean over t of
            -min(ratio_kt A_k, clamp(ratio_kt, 1 - clip, 1 + clip) A_k) + kl (e^d_kt - d_kt - 1).

    Args:
        log_p: [B, K, T] log-probability of each token of each candidate, in nats; [B, K] takes a
            whole candidate for one token.
        rewards: [B, K], higher is better; receives no gradient.
        is_real: [B, K] bool, False for padding, whose log_p and rewards are ignored.
        is_token: [B, K, T] bool, False for padding; needed where log_p has tokens.
        old_log_p: like log_p, under the model that drew the candidates; None is the present one.
        reference_log_p: like log_p, under the frozen start model; None leaves its term out.
        clip: how far a ratio may move before its gradient stops, > 0.
        kl: weight of the distance from the reference.

    Returns:
        [B]; its value is near 0 while the model is the one that drew, its gradient is not. 0 where
        no reward differs, but for the distance from the reference.

    Raises:
        ShapeError: if the tensors differ in shape.

    Source: Shao et al., DeepSeekMath (2024), equation 3, with the estimate of equation 4 for the
    distance; what we changed: nothing.

    >>> grpo(torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
    tensor([0.])
    """
    if log_p.ndim == 2:
        log_p, is_token = log_p[:, :, None], is_real[:, :, None]
        old_log_p = None if old_log_p is None else old_log_p[:, :, None]
        reference_log_p = None if reference_log_p is None else reference_log_p[:, :, None]
    if is_token is None or is_token.shape != log_p.shape:
        seen = None if is_token is None else list(is_token.shape)
        raise ShapeError(f"is_token {seen} must have the shape of log_p, {list(log_p.shape)}.")
    check_same_shape(log_p=log_p[:, :, 0], rewards=rewards, is_real=is_real)
    is_token = is_token & is_real[:, :, None]
    log_p = log_p.masked_fill(~is_token, 0.0)
    advantage = _advantage(rewards, is_real)[:, :, None]
    if old_log_p is None:
        old_log_p = log_p
    ratio = (log_p - _like(old_log_p, log_p).detach().masked_fill(~is_token, 0.0)).exp()
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    loss = -gain
    if reference_log_p is not None:
        reference = _like(reference_log_p, log_p).detach().masked_fill(~is_token, 0.0)
        loss = loss + kl * ((reference - log_p).exp() - (reference - log_p) - 1)
    per_candidate = loss.masked_fill(~is_token, 0.0).sum(2) / is_token.sum(2).clamp(min=1)
    return per_candidate.sum(1) / is_real.sum(1).clamp(min=1)


def _lift(log_p: Tensor, reference_log_p: Tensor | None, is_real: Tensor) -> Tensor:
    """How much likelier a candidate is than under the reference, in nats; 0 in padding."""
    lift = log_p.masked_fill(~is_real, 0.0)
    if reference_log_p is None:
        return lift
    return lift - _like(reference_log_p, log_p).detach().masked_fill(~is_real, 0.0)


def _like(tensor: Tensor, log_p: Tensor) -> Tensor:
    if tensor.shape != log_p.shape:
        raise ShapeError(f"{list(tensor.shape)} beside log_p {list(log_p.shape)}: want one shape.")
    return tensor


def _advantage(rewards: Tensor, is_real: Tensor) -> Tensor:
    """Rewards [B, K] less their mean, in standard deviations; 0 where no reward differs."""
    rewards = rewards.detach().masked_fill(~is_real, 0.0)
    count = is_real.sum(1, keepdim=True).clamp(min=1)
    centred = (rewards - rewards.sum(1, keepdim=True) / count).masked_fill(~is_real, 0.0)
    deviation = ((centred**2).sum(1, keepdim=True) / count).sqrt()
    # sums of equal rewards round: a deviation of that size is no difference
    is_flat = deviation <= 1e-6 * (1 + rewards.abs().amax(1, keepdim=True))
    return (centred / deviation.masked_fill(is_flat, 1.0)).masked_fill(is_flat, 0.0)
