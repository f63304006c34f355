"""Sequence classifiers learn from preferences: the better whole output has the higher reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.data.preferences import Preference
from groot.errors import ConfigError
from groot.evaluation.reward_pairs import N_TENTHS, PairScores, n_shared
from groot.models.classifier_reward import ClassifierReward, new_classifier

if TYPE_CHECKING:
    from groot.training.reward_model import PairItem, RewardModelSettings, TextPairItem

# prompt, chosen, rejected, and the token ids of the two outputs -> the item
MakeItem = Callable[[Preference, list[int], list[int]], "PairItem | str"]


def open_classifier(name: str | Path, settings: RewardModelSettings) -> ClassifierReward:
    """A classifier to train, as the settings want it.

    Raises:
        ConfigError: for settings that no classifier can have.
        ModelError: if it cannot be loaded.
    """
    if settings.kind != "sequence":
        raise ConfigError(
            f"{name}: a sequence classifier or encoder is not causal: it reads a text in both"
            f" directions, so it cannot learn rewards of prefixes (kind {settings.kind!r}).\n"
            "  Train it on whole outputs: --kind sequence; or give a causal or encoder-decoder"
            f" model for --kind {settings.kind}."
        )
    if settings.lora_r:
        raise ConfigError(f"{name}: a classifier is trained whole; leave out --lora-r.")
    return new_classifier(name)


def classifier_speller(
    model: ClassifierReward, make: MakeItem
) -> Callable[[Preference], PairItem | str]:
    """How preferences are read by a classifier: as texts, in tokens of its own."""

    def spell(pair: Preference) -> PairItem | str:
        if pair.chosen_output is not None or pair.rejected_output is not None:
            return "its outputs are labels, and a classifier reads texts"
        chosen, rejected = (model.spell(text)[0] for text in (pair.chosen, pair.rejected))
        longest, limit = max(len(chosen), len(rejected)), model.output_limit
        if limit is not None and longest > limit:
            return f"an output has {longest} tokens, but the classifier reads {limit} at most"
        if not chosen or not rejected:
            return "an output has no token that the classifier knows"
        return make(pair, chosen, rejected)

    return spell


def text_pair_loss(model: ClassifierReward, items: Sequence[TextPairItem]) -> Tensor:
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
def text_pair_scores(
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
