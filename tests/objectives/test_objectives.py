"""Hand-worked sums and corners of every objective; the contract runs over the table."""

from __future__ import annotations

import math

import pytest
import torch

from groot.errors import ShapeError
from groot.objectives import OBJECTIVES, mrt, pair_logistic, pair_margin, pair_square, reward_match

BOTH = torch.tensor([[True, True]])


def test_pair_margin_value():
    # pairs (0,1) gap 1: max(0, 2*1 - (-1+2)) = 1; (0,2) gap .5: max(0, 1 - (-1+5)) = 0;
    # (2,1) gap .5: max(0, 1 - (-5+2)) = 4; mean = 5/3
    log_p = torch.tensor([[-1.0, -2.0, -5.0]])
    rewards = torch.tensor([[1.0, 0.0, 0.5]])
    loss = pair_margin(log_p, rewards, torch.ones(1, 3, dtype=torch.bool), margin=2.0)
    torch.testing.assert_close(loss, torch.tensor([5 / 3]))


def test_pair_square_value():
    # gaps in reward 1, .5, .5 and in log_p 1, 4, -3 with margin 2: (1 + 9 + 16) / (2 * 2) / 3
    log_p = torch.tensor([[-1.0, -2.0, -5.0]])
    rewards = torch.tensor([[1.0, 0.0, 0.5]])
    loss = pair_square(log_p, rewards, torch.ones(1, 3, dtype=torch.bool), margin=2.0)
    torch.testing.assert_close(loss, torch.tensor([26 / 12]))


def test_pair_logistic_value():
    # one pair, better by 2 nats in log_p: -log sigmoid(0.5 * 2) = log(1 + e^-1)
    loss = pair_logistic(torch.tensor([[-1.0, -3.0]]), torch.tensor([[1.0, 0.0]]), BOTH, beta=0.5)
    torch.testing.assert_close(loss, torch.tensor([math.log(1 + math.exp(-1))]))


def test_reward_match_value():
    # q = softmax(1, 0) = (a, 1-a), p = (1/2, 1/2): KL = a log 2a + (1-a) log 2(1-a)
    a = math.e / (math.e + 1)
    loss = reward_match(
        torch.tensor([[-4.0, -4.0]]), torch.tensor([[0.1, 0.0]]), BOTH, reward_temperature=0.1
    )
    wanted = a * math.log(2 * a) + (1 - a) * math.log(2 * (1 - a))
    torch.testing.assert_close(loss, torch.tensor([wanted]))


def test_mrt_value():
    # p = softmax(0.5 * (log 9, 0)) = (3/4, 1/4); risk = 3/4 * 0.5 + 1/4 * 1
    log_p = torch.tensor([[math.log(9.0), 0.0]])
    loss = mrt(log_p, torch.tensor([[0.5, 0.0]]), BOTH, sharpness=0.5)
    torch.testing.assert_close(loss, torch.tensor([0.625]))


@pytest.fixture(params=sorted(OBJECTIVES))
def objective(request):
    return OBJECTIVES[request.param]


def test_one_loss_per_example_and_no_gradient_to_rewards(objective):
    log_p = torch.randn(3, 4, requires_grad=True)
    rewards = torch.rand(3, 4, requires_grad=True)
    loss = objective(log_p, rewards, torch.ones(3, 4, dtype=torch.bool))
    assert loss.shape == (3,)
    loss.sum().backward()
    assert rewards.grad is None
    assert log_p.grad.abs().sum() > 0


def test_padding_changes_nothing_and_keeps_the_gradient_finite(objective):
    is_real = torch.tensor([[True, True, False]])
    plain = objective(torch.tensor([[-1.0, -1.5]]), torch.tensor([[0.2, 1.0]]), BOTH)
    for junk in (-math.inf, math.nan, 7.0):
        log_p = torch.tensor([[-1.0, -1.5, junk]], requires_grad=True)
        loss = objective(log_p, torch.tensor([[0.2, 1.0, junk]]), is_real)
        loss.sum().backward()
        torch.testing.assert_close(loss, plain)
        assert log_p.grad.isfinite().all()


def test_the_order_of_candidates_does_not_matter(objective):
    log_p, rewards = torch.randn(2, 5), torch.rand(2, 5)
    is_real = torch.tensor([[True] * 5, [True, True, True, False, False]])
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(
        objective(log_p, rewards, is_real),
        objective(log_p[:, order], rewards[:, order], is_real[:, order]),
    )


def test_a_step_against_the_gradient_favours_the_better_candidate(objective):
    log_p = torch.tensor([[-2.0, -2.0]], requires_grad=True)
    objective(log_p, torch.tensor([[1.0, 0.0]]), BOTH).sum().backward()
    assert log_p.grad[0, 0] < 0 < log_p.grad[0, 1]


def test_one_candidate_or_none_is_finite(objective):
    for is_real in (torch.tensor([[True, False]]), torch.tensor([[False, False]])):
        log_p = torch.tensor([[-1.0, -1.0]], requires_grad=True)
        loss = objective(log_p, torch.tensor([[1.0, 1.0]]), is_real)
        loss.sum().backward()
        torch.testing.assert_close(loss, torch.zeros(1))
        assert log_p.grad.isfinite().all()


def test_tied_rewards_give_no_push_from_pairs():
    tied = torch.tensor([[0.5, 0.5]])
    for pairwise in (pair_margin, pair_square, pair_logistic):
        assert pairwise(torch.tensor([[-1.0, -9.0]]), tied, BOTH).item() == 0


def test_a_shape_error_names_the_arguments(objective):
    with pytest.raises(ShapeError, match=r"log_p \[1, 2\], rewards \[1, 3\]"):
        objective(torch.zeros(1, 2), torch.zeros(1, 3), BOTH)
