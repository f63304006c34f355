"""Objectives of reward models: hand-worked sums, and a contract that runs over their table."""

from __future__ import annotations

import math

import pytest
import torch

from groot.errors import ShapeError
from groot.objectives import (
    REWARD_OBJECTIVES,
    bradley_terry,
    cumulative_squared,
    max_consistency,
    partial_bradley_terry,
    value_regression,
)
from groot.objectives.preferences import PairRewards

# the chosen output has three tokens, the rejected one has two
CHOSEN = torch.tensor([[0.0, 1.0, 2.0]])
REJECTED = torch.tensor([[0.0, 1.0, 99.0]])
MASKS = torch.tensor([[True, True, True]]), torch.tensor([[True, True, False]])
PAIR = PairRewards(CHOSEN, REJECTED, *MASKS)


def log_loss(gap: float) -> float:
    return math.log(1 + math.exp(-gap))


def test_bradley_terry_value():
    loss = bradley_terry(PAIR)
    torch.testing.assert_close(loss, torch.tensor([log_loss(2.0 - 1.0)]))


def test_partial_bradley_terry_value():
    # lengths 1, 2, 3: gaps 0 - 0, 1 - 1, 2 - 1 (the shorter one keeps its end value)
    loss = partial_bradley_terry(PAIR)
    wanted = (2 * math.log(2) + log_loss(1.0)) / 3
    torch.testing.assert_close(loss, torch.tensor([wanted]))


def test_value_regression_value():
    # chosen to 1: (1 + 0 + 1) / 3 / 2; rejected to 0: (0 + 1) / 2 / 2; mean of both
    loss = value_regression(PAIR)
    torch.testing.assert_close(loss, torch.tensor([(1 / 3 + 1 / 4) / 2]))
    finals = torch.tensor([2.0]), torch.tensor([1.0])
    given = value_regression(PairRewards(CHOSEN, REJECTED, *MASKS, *finals))
    # (4 + 1 + 0) / 3 / 2 and (1 + 0) / 2 / 2
    torch.testing.assert_close(given, torch.tensor([(5 / 6 + 1 / 4) / 2]))


def test_cumulative_squared_value():
    # chosen to 1, weights 1/6, 2/6, 3/6: 1/6 + 0 + 3/6; rejected to 0, weights 1/3, 2/3: 2/3
    loss = cumulative_squared(PAIR)
    torch.testing.assert_close(loss, torch.tensor([(4 / 6 + 2 / 3) / 2]))


def test_max_consistency_value_and_where_its_gradient_goes():
    chosen = CHOSEN.clone().requires_grad_()
    best = torch.tensor([[3.0, 1.0, 50.0]], requires_grad=True)
    loss = max_consistency(
        PairRewards(chosen, REJECTED, *MASKS),
        chosen_next=best,
        rejected_next=torch.tensor([[1.0, 50.0, 50.0]]),
        consistency=2.0,
    )
    # ranked by the ends; gaps where a token follows: 0 - 3, 1 - 1 and 0 - 1
    torch.testing.assert_close(loss, torch.tensor([log_loss(1.0) + 2.0 * (9 + 0 + 1) / 3]))
    loss.sum().backward()
    assert best.grad is None
    torch.testing.assert_close(chosen.grad[0, :2], torch.tensor([2.0 * 2 * -3 / 3, 0.0]))


@pytest.fixture(params=sorted(REWARD_OBJECTIVES))
def objective(request):
    return REWARD_OBJECTIVES[request.param]


def test_one_loss_per_pair_that_lifts_the_chosen_above_the_rejected(objective):
    chosen = torch.full((2, 3), 0.5, requires_grad=True)
    rejected = torch.full((2, 3), 0.5, requires_grad=True)
    real = torch.ones(2, 3, dtype=torch.bool)
    loss = objective(PairRewards(chosen, rejected, real, real))
    assert loss.shape == (2,)
    loss.sum().backward()
    assert (chosen.grad <= 0).all()
    assert (rejected.grad >= 0).all()
    assert (chosen.grad[:, -1] < 0).all()
    assert (rejected.grad[:, -1] > 0).all()


def test_padding_changes_nothing_and_keeps_the_gradient_finite(objective):
    masks = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    rewards = torch.tensor([[0.3, 0.0]]), torch.tensor([[0.1, 0.2]])
    plain = objective(PairRewards(*rewards, *masks))
    wide = [torch.nn.functional.pad(mask, (0, 1)) for mask in masks]
    for junk in (-math.inf, math.nan, 7.0):
        chosen = torch.tensor([[0.3, junk, junk]], requires_grad=True)
        rejected = torch.tensor([[0.1, 0.2, junk]], requires_grad=True)
        loss = objective(PairRewards(chosen, rejected, *wide))
        loss.sum().backward()
        torch.testing.assert_close(loss, plain)
        assert chosen.grad.isfinite().all()
        assert rejected.grad.isfinite().all()


def test_empty_outputs_give_no_push(objective):
    chosen = torch.ones(1, 2, requires_grad=True)
    none = torch.zeros(1, 2, dtype=torch.bool)
    loss = objective(PairRewards(chosen, torch.zeros(1, 2), none, none))
    loss.sum().backward()
    assert loss.item() == 0
    assert not chosen.grad.any()


def test_a_shape_error_names_the_arguments():
    real = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"chosen \[1, 2\], rejected \[1, 3\]"):
        PairRewards(torch.zeros(1, 2), torch.zeros(1, 3), real, real)


@pytest.mark.parametrize("regression", [value_regression, cumulative_squared])
def test_final_rewards_are_one_for_each_pair_and_get_no_gradient(regression):
    final = torch.tensor([1.0], requires_grad=True)
    chosen = CHOSEN.clone().requires_grad_()
    regression(PairRewards(chosen, REJECTED, *MASKS, chosen_final=final)).sum().backward()
    assert final.grad is None
    with pytest.raises(ShapeError, match="for 1 pairs"):
        PairRewards(CHOSEN, REJECTED, *MASKS, chosen_final=torch.ones(2))
