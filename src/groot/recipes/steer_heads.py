"""A head on the states of a frozen labeler, and the guide that it makes."""

from __future__ import annotations

import torch
from torch import Tensor

from groot.guides.pargs import Pargs
from groot.recipes.steer_candidates import SteerTable
from groot.reward_models.prefix_model import RewardModel
from groot.writer.labeler import Labeler


def fit_head(table: SteerTable, *, strength: float, iterations: int) -> Tensor:
    """The head [A, d + 1] with the lowest loss on the texts of a table.

        - sum over texts and candidates k of softmax(log_p + reward)[k] * reward[k]
        + strength * |head|^2

    Args:
        table: the candidates of the texts.
        strength: weight of the penalty, > 0.
        iterations: iterations of L-BFGS at most.
    """
    head = torch.zeros((table.n_labels, table.states.shape[1]), requires_grad=True)
    optimizer = torch.optim.LBFGS([head], max_iter=iterations, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        p = (table.log_p + table.added_by(head)).softmax(1)
        value: Tensor = strength * head.square().sum() - (p * table.rewards).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return head.detach()


def guide_of_head(labeler: Labeler, head: Tensor, *, scale: float, weight: float) -> Pargs:
    """The guide of a head: its reward model is the labeler with the head on it.

    Args:
        labeler: whose states the head reads.
        head: [A, d + 1], learnt on states that were divided by `scale`.
        scale: see `SteerTable`.
        weight: weight of the guide.
    """
    model = RewardModel(labeler.model, "additive")
    assert model.head is not None
    ids = labeler.codec.choice_ids[: len(head)]
    with torch.no_grad():
        model.head.weight[ids] = (head[:, :-1] / scale).to(model.head.weight)
        model.head.bias[ids] = head[:, -1].to(model.head.bias)
    return Pargs(model.eval(), weight=weight, temperature=0.0)
