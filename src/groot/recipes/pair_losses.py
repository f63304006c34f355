"""The loss of a reward model on pairs, and its rewards of them and of all their prefixes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.evaluation.reward_pairs import N_TENTHS, PairScores, n_shared, pair_report
from groot.objectives import REWARD_OBJECTIVES
from groot.recipes.pair_items import PairItem, TextPairItem
from groot.reward_models.classifier_reward import ClassifierReward
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
    model: RewardModel | ClassifierReward, items: Sequence[Any], *, is_measured: bool = False
) -> Tensor:
    """Loss [B] of the model's kind on pairs; all prefixes of both outputs in one pass.

    The prompt that two outputs share is run once. A classifier reads whole outputs.

    Args:
        is_measured: leave out what is no measure: the consistency of kind "vocabulary", whose
            target is the model's own and moves as it learns.
    """
    if isinstance(model, ClassifierReward):
        return _text_pair_loss(model, items)
    inputs = [item.input_ids for item in items] * 2
    outputs = [item.chosen for item in items] + [item.rejected for item in items]
    size = len(items)
    more: dict[str, Tensor] = {}
    if model.kind == "vocabulary" and not is_measured:
        rewards, best, is_real = model.rewards_and_best_next(inputs, outputs)
        more = {"chosen_next": best[:size], "rejected_next": best[size:]}
    else:
        rewards, is_real = model.prefix_rewards(inputs, outputs)
    if model.kind in ("value", "rad"):
        more = {
            "chosen_reward": rewards.new_tensor([item.chosen_reward for item in items]),
            "rejected_reward": rewards.new_tensor([item.rejected_reward for item in items]),
        }
    objective = REWARD_OBJECTIVES[OBJECTIVE_OF[model.kind]]
    return objective(rewards[:size], rewards[size:], is_real[:size], is_real[size:], **more)


@torch.no_grad()
def measure_pairs(
    model: RewardModel | ClassifierReward, items: Sequence[PairItem], *, batch_size: int = 64
) -> dict[str, float]:
    """Minus the mean loss on pairs, and the share of pairs that the model orders right."""
    model.eval()
    losses: list[float] = []
    for part in _batches(items, batch_size):
        losses += pair_loss(model, part, is_measured=True).tolist()
    accuracy = pair_report(pair_scores(model, items, batch_size=batch_size))["accuracy"]
    return {"minus_loss": -sum(losses) / len(losses), "accuracy": accuracy}


@torch.no_grad()
def pair_scores(
    model: RewardModel | ClassifierReward, items: Sequence[Any], *, batch_size: int = 64
) -> list[PairScores]:
    """The rewards of all prefixes of the outputs of pairs, in the order of the items."""
    if isinstance(model, ClassifierReward):
        return _text_pair_scores(model, items, batch_size=batch_size)
    model.eval()
    found: dict[int, PairScores] = {}
    order = sorted(range(len(items)), key=lambda i: len(items[i].chosen) + len(items[i].rejected))
    for places in _batches(order, batch_size):
        part = [items[place] for place in places]
        inputs = [item.input_ids for item in part] * 2
        outputs = [item.chosen for item in part] + [item.rejected for item in part]
        rewards = model.prefix_rewards(inputs, outputs)[0].tolist()
        for row, (place, item) in enumerate(zip(places, part, strict=True)):
            found[place] = PairScores(
                rewards[row][: len(item.chosen)],
                rewards[len(part) + row][: len(item.rejected)],
                n_shared(item.chosen, item.rejected),
            )
    return [found[place] for place in range(len(items))]


def _batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


# Classifiers read texts


def _text_pair_loss(model: ClassifierReward, items: Sequence[TextPairItem]) -> Tensor:
    """Bradley-Terry loss [B] of whole outputs: -log sigmoid(r(chosen) - r(rejected)).

    Source: Stiennon et al., Learning to summarize from human feedback (2020).
    """
    chosen, rejected = model.rewards_of_pairs(
        [item.prompt for item in items],
        [item.chosen_text for item in items],
        [item.rejected_text for item in items],
    )
    return -logsigmoid(chosen - rejected)


@torch.no_grad()
def _text_pair_scores(
    model: ClassifierReward, items: Sequence[TextPairItem], *, batch_size: int = 64
) -> list[PairScores]:
    """The rewards of both outputs of pairs, and of their prefixes at each tenth of the length.

    A classifier reads each prefix anew, so only those are read that `pair_report` looks at; a place
    between two of them has the reward of the later one.
    """
    model.eval()
    rows: list[tuple[str, str]] = []
    plan: list[list[list[int]]] = []  # item, side: how many tokens each row has
    for item in items:
        longest = max(len(item.chosen), len(item.rejected))
        cuts = {math.ceil(longest * tenth / N_TENTHS) for tenth in range(1, N_TENTHS + 1)}
        sides = []
        for text in (item.chosen_text, item.rejected_text):
            ends = model.spell(text)[1]
            lengths = sorted({min(cut, len(ends)) for cut in cuts})
            rows += [
                (item.prompt, text if length == len(ends) else text[: ends[length - 1]])
                for length in lengths
            ]
            sides.append(lengths)
        plan.append(sides)
    rewards = iter(_rewards_of(model, rows, batch_size))
    found = []
    for item, sides in zip(items, plan, strict=True):
        chosen, rejected = ([(length, next(rewards)) for length in side] for side in sides)
        shared = n_shared(item.chosen, item.rejected)
        found.append(PairScores(_filled(chosen), _filled(rejected), shared))
    return found


def _rewards_of(
    model: ClassifierReward, rows: Sequence[tuple[str, str]], batch_size: int
) -> list[float]:
    """The reward of each row of prompt and output; rows of like length are read together."""
    rewards = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda row: sum(map(len, rows[row])))
    for first in range(0, len(order), batch_size):
        part = order[first : first + batch_size]
        prompts, outputs = zip(*(rows[row] for row in part), strict=True)
        for row, value in zip(part, model.text_rewards(prompts, outputs).tolist(), strict=True):
            rewards[row] = value
    return rewards


def _filled(known: Sequence[tuple[int, float]]) -> list[float]:
    """A reward for each length up to the last one.

    >>> _filled([(1, 0.5), (3, 2.0)])
    [0.5, 2.0, 2.0]
    """
    filled: list[float] = []
    for length, value in known:
        filled += [value] * (length - len(filled))
    return filled
