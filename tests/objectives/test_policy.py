"""dpo and grpo: hand-worked sums, references, tokens; the contract is in test_objectives.py."""

from __future__ import annotations

import math

import pytest
import torch

from groot.errors import ShapeError
from groot.objectives import dpo, grpo

THREE = torch.tensor([[True, True, True]])


def test_dpo_value():
    # best is candidate 2, worst is 0: u = (-1 + 3) - (-2 + 2) = 2, beta 0.5: log(1 + e^-1)
    loss = dpo(
        torch.tensor([[-2.0, -9.0, -1.0]]),
        torch.tensor([[0.0, 0.5, 1.0]]),
        THREE,
        reference_log_p=torch.tensor([[-2.0, 7.0, -3.0]]),
        beta=0.5,
    )
    torch.testing.assert_close(loss, torch.tensor([math.log(1 + math.exp(-1))]))


def test_dpo_takes_the_mean_over_tied_ends_and_nothing_where_all_tie():
    # best 0 and 1, worst 2, beta 1: (log(1 + e^-1) + log(1 + e^-2)) / 2
    log_p = torch.tensor([[-1.0, 0.0, -2.0]])
    loss = dpo(log_p, torch.tensor([[1.0, 1.0, 0.0]]), THREE, beta=1.0)
    wanted = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2
    torch.testing.assert_close(loss, torch.tensor([wanted]))
    assert dpo(log_p, torch.tensor([[0.3, 0.3, 0.3]]), THREE).item() == 0


def test_grpo_value_of_whole_candidates():
    # rewards 1, 0: advantages 1, -1; ratios e^0.5, e^-0.5, the first clipped to 1.2, the second
    # to 0.8: -(1.2 - 0.8) / 2
    loss = grpo(
        torch.tensor([[-1.0, -1.0]]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[True, True]]),
        old_log_p=torch.tensor([[-1.5, -0.5]]),
    )
    torch.testing.assert_close(loss, torch.tensor([-0.2]))


def test_grpo_value_of_tokens_and_the_distance_from_the_reference():
    # two tokens and one, all ratios 1: -(1 - 1) / 2 = 0; d = 1 at the first token alone:
    # kl * (e - 2), mean over 2 tokens, then over 2 candidates
    log_p = torch.tensor([[[-2.0, -1.0], [-3.0, math.nan]]], requires_grad=True)
    loss = grpo(
        log_p,
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[True, True]]),
        is_token=torch.tensor([[[True, True], [True, False]]]),
        reference_log_p=torch.tensor([[[-1.0, -1.0], [-3.0, 0.0]]]),
        kl=0.1,
    )
    torch.testing.assert_close(loss, torch.tensor([0.1 * (math.e - 2) / 4]))
    loss.sum().backward()
    # -A / (tokens * candidates), and at the first token kl (1 - e^d) / 4 more
    wanted = torch.tensor([[[-0.25 + 0.1 * (1 - math.e) / 4, -0.25], [0.5, 0.0]]])
    torch.testing.assert_close(log_p.grad, wanted)


def test_grpo_stops_at_the_clip():
    log_p = torch.tensor([[-1.0, -1.0]], requires_grad=True)
    old = torch.tensor([[-1.5, -0.5]])  # both have moved too far already
    grpo(
        log_p, torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]), old_log_p=old
    ).sum().backward()
    assert log_p.grad.tolist() == [[0.0, 0.0]]


def test_grpo_sees_no_difference_in_rounding():
    tied = torch.full((1, 3), 0.1)
    log_p = torch.zeros(1, 3, requires_grad=True)
    grpo(log_p, tied, THREE).sum().backward()
    assert not log_p.grad.any()


def test_references_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match="want one shape"):
        dpo(torch.zeros(1, 3), torch.zeros(1, 3), THREE, reference_log_p=torch.zeros(1, 2))
    with pytest.raises(ShapeError, match="is_token None"):
        grpo(torch.zeros(1, 3, 2), torch.zeros(1, 3), THREE)
