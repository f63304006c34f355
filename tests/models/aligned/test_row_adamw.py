"""AdamW on rows against AdamW of torch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from groot.models.aligned.row_adamw import RowAdamW, cut_gradients

SETTINGS = {"lr": 0.05, "weight_decay": 0.1, "betas": (0.8, 0.9)}


def model(*, sparse: bool) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(6, 4, sparse=sparse), nn.Linear(4, 1))


def train(made: nn.Sequential, optimizer: torch.optim.Optimizer, batches: list[list[int]]) -> None:
    for step, rows in enumerate(batches):
        loss = ((made(torch.tensor(rows)) - step) ** 2).mean()
        loss.backward()
        cut_gradients(list(made.parameters()), 0.5)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(
    ("batches", "decay"),
    [
        ([[0, 1, 2, 3, 4, 5, 5, 0], [5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]], 0.1),
        ([[0, 1], [1, 1, 2], [3], [1, 5], [0, 2, 2]], 0.0),
    ],
    ids=["all rows", "some rows"],
)
def test_rows_are_stepped_as_by_adamw_without_momentum(
    batches: list[list[int]], decay: float
) -> None:
    ours, theirs = model(sparse=True), model(sparse=False)
    settings = {"lr": 0.05, "weight_decay": decay}
    train(ours, RowAdamW(ours.parameters(), betas=(0.0, 0.9), **settings), batches)
    train(theirs, torch.optim.AdamW(theirs.parameters(), betas=(0.0, 0.9), **settings), batches)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_other_weights_keep_their_momentum() -> None:
    ours, theirs = model(sparse=True), model(sparse=False)
    for made in (ours, theirs):
        made[0].weight.requires_grad_(False)
    batches = [[0, 1], [2], [3, 4]]
    train(ours, RowAdamW(ours[1].parameters(), **SETTINGS), batches)
    train(theirs, torch.optim.AdamW(theirs[1].parameters(), **SETTINGS), batches)
    torch.testing.assert_close(ours[1].weight, theirs[1].weight)


def test_rows_that_no_batch_has_stay_as_they_are() -> None:
    made = model(sparse=True)
    before = made[0].weight.detach().clone()
    train(made, RowAdamW(made.parameters(), **SETTINGS), [[0, 2], [2, 2]])
    after = made[0].weight.detach()
    assert torch.equal(after[[1, 3, 4, 5]], before[[1, 3, 4, 5]])
    assert not torch.isclose(after[[0, 2]], before[[0, 2]]).any()


def test_a_state_that_is_loaded_goes_on_bit_for_bit() -> None:
    through, stopped = model(sparse=True), model(sparse=True)
    first, rest = [[0, 1], [1, 2]], [[1, 5], [0, 0]]
    train(through, optimizer := RowAdamW(through.parameters(), **SETTINGS), first)
    saved = copy.deepcopy(optimizer.state_dict())
    stopped.load_state_dict(through.state_dict())
    train(through, optimizer, rest)
    resumed = RowAdamW(stopped.parameters(), **SETTINGS)
    resumed.load_state_dict(saved)
    train(stopped, resumed, rest)
    for mine, other in zip(through.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_gradients_are_cut_as_torch_does(max_norm: float) -> None:
    ours, theirs = model(sparse=True), model(sparse=False)
    for made in (ours, theirs):
        made(torch.tensor([0, 3, 3])).sum().backward()
    norm = cut_gradients(list(ours.parameters()), max_norm)
    assert norm == pytest.approx(
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm).item()
    )
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(mine.grad.to_dense(), other.grad)
