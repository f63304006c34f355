"""The loss of a reward model of prefixes on pairs, and its rewards of all their prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from groot.evaluation.reward_pairs import PairScores, n_shared
from groot.objectives import REWARD_OBJECTIVES, PairRewards
from groot.recipes.spelled_pairs import SpelledPair
from groot.reward_models.kinds import RewardKind
from groot.reward_models.prefix_model import RewardModel

OBJECTIVE_OF: Mapping[RewardKind, str] = {
    "sequence": "bradley_terry",
    "partial": "partial_bradley_terry",
    "value": "value_regression",
    "rad": "cumulative_squared",
    "vocabulary": "max_consistency",
    "additive": "partial_bradley_terry",
}


def pair_loss(
    model: RewardModel, items: Sequence[SpelledPair], *, is_measured: bool = False
) -> Tensor:
    """Loss [B] of the model's kind on pairs; all prefixes of both outputs in one pass.

    The prompt that two outputs share is run once.

    Args:
        model: of any kind.
        items: B pairs.
        is_measured: leave out what is no measure: the consistency of kind "vocabulary", whose
            target is the model's own and moves as it learns.
    """
    inputs = [item.input_ids for item in items] * 2
    outputs = [item.chosen for item in items] + [item.rejected for item in items]
    size = len(items)
    best_next: dict[str, Tensor] = {}
    finals: dict[str, Tensor] = {}
    if model.kind == "vocabulary" and not is_measured:
        rewards, best, is_real = model.rewards_and_best_next(inputs, outputs)
        best_next = {"chosen_next": best[:size], "rejected_next": best[size:]}
    else:
        rewards, is_real = model.prefix_rewards(inputs, outputs)
    if model.kind in ("value", "rad"):
        finals = {
            "chosen_final": rewards.new_tensor([item.chosen_reward for item in items]),
            "rejected_final": rewards.new_tensor([item.rejected_reward for item in items]),
        }
    objective = REWARD_OBJECTIVES[OBJECTIVE_OF[model.kind]]
    pair = PairRewards(rewards[:size], rewards[size:], is_real[:size], is_real[size:], **finals)
    return objective(pair, **best_next)


@torch.no_grad()
def pair_scores(
    model: RewardModel, items: Sequence[SpelledPair], *, batch_size: int = 64
) -> list[PairScores]:
    """The rewards of all prefixes of the outputs of pairs, in the order of the items."""
    model.eval()
    scores: dict[int, PairScores] = {}
    order = sorted(range(len(items)), key=lambda i: len(items[i].chosen) + len(items[i].rejected))
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        part = [items[place] for place in places]
        inputs = [item.input_ids for item in part] * 2
        outputs = [item.chosen for item in part] + [item.rejected for item in part]
        rewards = model.prefix_rewards(inputs, outputs)[0].tolist()
        for row, (place, item) in enumerate(zip(places, part, strict=True)):
            scores[place] = PairScores(
                rewards[row][: len(item.chosen)],
                rewards[len(part) + row][: len(item.rejected)],
                n_shared(item.chosen, item.rejected),
            )
    return [scores[place] for place in range(len(items))]
