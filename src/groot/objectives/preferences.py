"""What reward models learn: the chosen output of a pair should be worth more than the rejected one.

Every one of these objectives is called as
    objective(pair, **settings)
with the `PairRewards` of a batch of pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.errors import ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class PairRewards:
    """Rewards of all prefixes of the two outputs of B pairs.

    Place t holds the reward of the first t + 1 tokens, the last real place that of the whole
    output.

    Args:
        chosen: [B, T] rewards of the prefixes of the better output.
        rejected: [B, T] those of the worse one.
        chosen_is_real, rejected_is_real: [B, T] bool, False for padding on the right.
        chosen_final, rejected_final: [B] what the whole outputs are worth, for objectives that
            regress on it; None is 1 for chosen and 0 for rejected. They get no gradient.

    Raises:
        ShapeError: if the tensors differ in shape, or are not one final reward for each pair.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_is_real: Tensor
    rejected_is_real: Tensor
    chosen_final: Tensor | None = None
    rejected_final: Tensor | None = None

    def __post_init__(self) -> None:
        _check(self.chosen, self.rejected, self.chosen_is_real, self.rejected_is_real)
        for final in (self.chosen_final, self.rejected_final):
            if final is not None and final.shape != self.chosen.shape[:1]:
                raise ShapeError(
                    f"final rewards {list(final.shape)} for {len(self.chosen)} pairs: one for each."
                )

    @property
    def is_whole(self) -> Tensor:
        """[B] bool, False where one of the outputs is empty."""
        return self.chosen_is_real.any(1) & self.rejected_is_real.any(1)


def bradley_terry(pair: PairRewards) -> Tensor:
    """Logistic loss on the difference in reward of the two whole outputs.

    With r the reward at the last real place, the loss is
        -log sigmoid(r(chosen) - r(rejected)).

    Returns:
        [B] in nats; 0 where one of the outputs is empty.

    Source: Stiennon et al., Learning to Summarize from Human Feedback (2020), section 3.4; what we
    changed: nothing.

    >>> real = torch.tensor([[True, True]])
    >>> rewards = torch.tensor([[9.0, 1.0]]), torch.tensor([[0.0, 1.0]])
    >>> bradley_terry(PairRewards(*rewards, real, real))
    tensor([0.6931])
    """
    chosen = _frozen(pair.chosen, pair.chosen_is_real)[:, -1]
    rejected = _frozen(pair.rejected, pair.rejected_is_real)[:, -1]
    return (-logsigmoid(chosen - rejected)).masked_fill(~pair.is_whole, 0.0)


def partial_bradley_terry(pair: PairRewards) -> Tensor:
    """Logistic loss on the difference in reward of prefixes of equal length, all lengths alike.

    With L the length of the longer output, and the reward of the shorter one staying what it was at
    its end, the loss is
        mean over i = 1..L of -log sigmoid(r(chosen[:i]) - r(rejected[:i])).

    Returns:
        [B] in nats; 0 where one of the outputs is empty.

    Source: Rashid et al., A Critical Look At Tokenwise Reward-Guided Text Generation (PARGS, 2024),
    the loss of the partial reward model; what we changed: the shorter output is frozen at its end
    token, where the published code goes on with end tokens written as text.

    >>> real = torch.tensor([[True, True]])
    >>> partial_bradley_terry(PairRewards(torch.zeros(1, 2), torch.zeros(1, 2), real, real))
    tensor([0.6931])
    """
    chosen = _frozen(pair.chosen, pair.chosen_is_real)
    gap = chosen - _frozen(pair.rejected, pair.rejected_is_real)
    is_place = (pair.chosen_is_real | pair.rejected_is_real) & pair.is_whole[:, None]
    total = (-logsigmoid(gap)).masked_fill(~is_place, 0.0).sum(1)
    return total / is_place.sum(1).clamp(min=1)


def value_regression(pair: PairRewards) -> Tensor:
    """Squared error between the value of every prefix and the final reward of its output.

    For each of the two outputs, with y its final reward and V the prefix values, the loss is
        1/2 mean over t of (V_t - y)^2,
    and the loss of a pair is the mean of the two.

    Returns:
        [B] in squared units of reward.

    Source: Mudgal et al., Controlled Decoding from Language Models (2023), CD-FUDGE,
    after Yang and Klein, FUDGE (2021); what we changed: a mean over places instead of a sum.

    >>> real = torch.tensor([[True, True]])
    >>> value_regression(PairRewards(torch.ones(1, 2), torch.ones(1, 2), real, real))
    tensor([0.2500])
    """

    def error(values: Tensor, is_real: Tensor, final: Tensor) -> Tensor:
        gap = values.masked_fill(~is_real, 0.0) - final
        return (0.5 * gap**2).masked_fill(~is_real, 0.0).sum(1) / is_real.sum(1).clamp(min=1)

    return _mean_of_both(pair, error)


def cumulative_squared(pair: PairRewards) -> Tensor:
    """Squared error to the final reward at every prefix, with weights that grow with its length.

    For each of the two outputs, with l its length, y its final reward and r_t the reward of its
    first t tokens, the loss is
        sum over t = 1..l of t (r_t - y)^2 * 2 / (l (l + 1)),
    and the loss of a pair is the mean of the two.

    Returns:
        [B] in squared units of reward.

    Source: Deng and Raffel, Reward-Augmented Decoding (RAD, 2023), the reward model's loss; what we
    changed: the weights sum to one, as in the published code.

    >>> real = torch.tensor([[True, True]])
    >>> pair = PairRewards(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2), real, real)
    >>> cumulative_squared(pair)
    tensor([0.1667])
    """

    def error(rewards: Tensor, is_real: Tensor, final: Tensor) -> Tensor:
        gap = rewards.masked_fill(~is_real, 0.0) - final
        share = is_real.cumsum(1).masked_fill(~is_real, 0).to(rewards.dtype)
        share = share / share.sum(1, keepdim=True).clamp(min=1)
        return (share * gap**2).sum(1)

    return _mean_of_both(pair, error)


def max_consistency(
    pair: PairRewards,
    *,
    chosen_next: Tensor | None = None,
    rejected_next: Tensor | None = None,
    consistency: float = 1.0,
) -> Tensor:
    """Bradley-Terry on whole outputs, and each prefix is worth as much as its best continuation.

    With q_v(y) the reward of prefix y with token v behind it, the loss is
        -log sigmoid(r(chosen) - r(rejected))
        + consistency * mean over both outputs and i < l of (q_{y_i}(y_<i) - max_v q_v(y_<=i))^2,
    where no gradient goes through the maximum, and the last token, behind which nothing comes, is
    held by the first term alone.

    Args:
        pair: rewards q_{y_i}(y_<i) of the prefixes of both outputs.
        chosen_next, rejected_next: [B, T] max_v q_v(y_<=i), the best reward of one token more;
            None leaves the second term out.
        consistency: weight of the second term.

    Returns:
        [B] in nats; 0 where both outputs are empty.

    Raises:
        ShapeError: if chosen_next or rejected_next differ from the rewards in shape.

    Source: Rashid et al., Towards Cost-Effective Reward Guided Text Generation (FaRMA, 2025),
    both of its losses; what we changed: both terms in one step, both outputs, no gradient through
    the maximum, no continuation behind the end.

    >>> real = torch.tensor([[True, True]])
    >>> pair = PairRewards(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2), real, real)
    >>> max_consistency(pair, chosen_next=torch.zeros(1, 2), rejected_next=torch.zeros(1, 2))
    tensor([1.1931])
    """
    ranked = bradley_terry(pair)
    total, count = torch.zeros_like(ranked), torch.zeros_like(ranked)
    for rewards, best, is_real in (
        (pair.chosen, chosen_next, pair.chosen_is_real),
        (pair.rejected, rejected_next, pair.rejected_is_real),
    ):
        if best is not None:
            _check(rewards, best, is_real, is_real)
            goes_on = torch.nn.functional.pad(is_real[:, 1:], (0, 1)) & is_real
            gap = rewards.masked_fill(~goes_on, 0.0) - best.detach().masked_fill(~goes_on, 0.0)
            total, count = total + (gap**2).sum(1), count + goes_on.sum(1)
    return ranked + consistency * total / count.clamp(min=1)


def _check(first: Tensor, second: Tensor, first_is_real: Tensor, second_is_real: Tensor) -> None:
    shapes = [tuple(tensor.shape) for tensor in (first, second, first_is_real, second_is_real)]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ShapeError(
            "expected rewards and masks of one shape [B, T], got chosen"
            f" {list(first.shape)}, rejected {list(second.shape)}, masks"
            f" {list(first_is_real.shape)} and {list(second_is_real.shape)}"
        )


def _frozen(rewards: Tensor, is_real: Tensor) -> Tensor:
    """Rewards [B, T] in which padding repeats the last real place; 0 where there is none."""
    last = (is_real.sum(1, keepdim=True) - 1).clamp(min=0)
    places = torch.arange(rewards.shape[1], device=rewards.device)[None, :]
    return rewards.masked_fill(~is_real, 0.0).gather(1, torch.minimum(places, last))


def _mean_of_both(pair: PairRewards, error: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """Mean [B] of the errors of both outputs: of rewards, whether they are real, final [B, 1]."""
    chosen = error(pair.chosen, pair.chosen_is_real, _final(pair.chosen, pair.chosen_final, 1.0))
    rejected = error(
        pair.rejected, pair.rejected_is_real, _final(pair.rejected, pair.rejected_final, 0.0)
    )
    return (chosen + rejected) / 2


def _final(like: Tensor, final: Tensor | None, default: float) -> Tensor:
    """The final reward [B, 1], without a gradient."""
    if final is None:
        return torch.full_like(like[:, :1], default)
    return final.detach().to(like.dtype)[:, None]
