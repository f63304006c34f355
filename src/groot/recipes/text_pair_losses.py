"""The loss of a classifier on pairs of whole texts, and its rewards of prefixes, read anew."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.evaluation.reward_pairs import N_TENTHS, PairScores, n_shared
from groot.recipes.spelled_pairs import SpelledTextPair
from groot.reward_models.classifier_reward import ClassifierReward


def text_pair_loss(
    model: ClassifierReward, items: Sequence[SpelledTextPair], *, is_measured: bool = False
) -> Tensor:
    """Bradley-Terry loss [B] of whole outputs: -log sigmoid(r(chosen) - r(rejected)).

    Args:
        model: reads prompt and output as a pair.
        items: B pairs.
        is_measured: not looked at; the loss is its own measure.

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
    model: ClassifierReward, items: Sequence[SpelledTextPair], *, batch_size: int = 64
) -> list[PairScores]:
    """The rewards of both outputs of pairs, and of their prefixes at each tenth of the length.

    A classifier reads each prefix anew, so only those are read that `pair_report` looks at; a place
    between two of them has the reward of the later one.
    """
    model.eval()
    rows: list[tuple[str, str]] = []
    lengths: list[tuple[list[int], list[int]]] = []  # tokens of each row of chosen and rejected
    for item in items:
        longest = max(len(item.chosen), len(item.rejected))
        cuts = {math.ceil(longest * tenth / N_TENTHS) for tenth in range(1, N_TENTHS + 1)}
        chosen, rejected = (
            _prefixes(model, text, cuts) for text in (item.chosen_text, item.rejected_text)
        )
        rows += [(item.prompt, text) for text in (*chosen.values(), *rejected.values())]
        lengths.append((list(chosen), list(rejected)))
    rewards = iter(_rewards_of(model, rows, batch_size))
    scores = []
    for item, (of_chosen, of_rejected) in zip(items, lengths, strict=True):
        chosen_rewards = _filled([(length, next(rewards)) for length in of_chosen])
        rejected_rewards = _filled([(length, next(rewards)) for length in of_rejected])
        shared = n_shared(item.chosen, item.rejected)
        scores.append(PairScores(chosen_rewards, rejected_rewards, shared))
    return scores


def _prefixes(model: ClassifierReward, text: str, cuts: set[int]) -> dict[int, str]:
    """The prefixes of a text by their number of tokens, ascending; the last is the whole."""
    ends = model.spell(text)[1]
    lengths = sorted({min(cut, len(ends)) for cut in cuts})
    return {length: text if length == len(ends) else text[: ends[length - 1]] for length in lengths}


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
