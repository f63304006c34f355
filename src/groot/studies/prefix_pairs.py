"""Pairs of samples of one prompt, and what their prefixes are worth: by rollouts, by reward models.

A pair is a winner and a loser by the reward of the whole texts; a prefix is cut at each tenth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from groot.evaluation.prefixes import TENTHS, Rollouts, cut_length, gini
from groot.guides import Written
from groot.reward_models.folders import AnyRewardModel, in_ids_of
from groot.reward_models.prefix_model import RewardModel
from groot.rewards import Reward
from groot.studies.guide_writing import gold_rewards, have_same_tokens
from groot.studies.rollouts import continue_texts
from groot.types import Example
from groot.writer.generator import Generator


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples of one prompt that differ in reward.

    Args:
        row: which prompt.
        winner: token ids of the one with the higher reward.
        loser: of the other.
        rewards: of winner and loser.
    """

    row: int
    winner: tuple[int, ...]
    loser: tuple[int, ...]
    rewards: tuple[float, float]


@dataclass(frozen=True)
class PairedSamples:
    """Pairs of samples that a generator wrote.

    Args:
        generator: who wrote them.
        examples: all prompts, with whatever the reward needs.
        pairs: at most one for each prompt.
        batch_size: texts written or read together.
    """

    generator: Generator
    examples: Sequence[Example]
    pairs: Sequence[Pair]
    batch_size: int = 64

    def input_ids(self, row: int) -> list[int]:
        """The prompt of a pair as the generator reads it."""
        return self.generator.input_ids(self.examples[row].text)

    def sides(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """The winners, and the losers."""
        return [pair.winner for pair in self.pairs], [pair.loser for pair in self.pairs]


def draw_pairs(
    written: Sequence[Sequence[Written]],
    rewards: Sequence[Sequence[float | None]],
    *,
    seed: int = 0,
) -> list[Pair]:
    """One pair of samples of each prompt that has two with different rewards; all equally likely.

    >>> good, bad = Written((5, 1), -1.0, True), Written((6, 1), -1.0, True)
    >>> draw_pairs([[bad, good, good]], [[0.0, 1.0, None]])
    [Pair(row=0, winner=(5, 1), loser=(6, 1), rewards=(1.0, 0.0))]
    """
    random = np.random.default_rng(seed)
    pairs = []
    for row, (samples, values) in enumerate(zip(written, rewards, strict=True)):
        known = [
            (value, sample.tokens)
            for value, sample in zip(values, samples, strict=True)
            if value is not None
        ]
        differ = [(high, low) for high in known for low in known if high[0] > low[0]]
        if differ:
            high, low = differ[int(random.integers(len(differ)))]
            pairs.append(Pair(row, high[1], low[1], (high[0], low[0])))
    return pairs


@dataclass(frozen=True)
class PrefixWorth:
    """Rewards of the rollouts from the prefixes of winners and of losers, by pair and by cut.

    None at a cut where the prefix of one of the two is that text itself: no rollout can change
    it, and its reward is what chose the winner. The last cut holds the rewards of the whole texts.
    """

    winners: list[Rollouts]
    losers: list[Rollouts]

    def spread(self) -> dict[str, Any]:
        """How the mean of the rollouts changes from tenth to tenth, over winners and losers.

        Rollouts are few, so a part of the change is noise, which is spread evenly: concentration
        is underestimated.
        """
        means = [
            [float(np.asarray(text[-1] if cut is None else cut).mean()) for cut in text]
            for text in [*self.winners, *self.losers]
        ]
        steps = [np.abs(np.diff(text)) for text in means]
        ginis = [value for sizes in steps if (value := gini(sizes.tolist())) is not None]
        shares = [sizes / sizes.sum() for sizes in steps if sizes.sum() > 0]
        by_step = [float(value) for value in np.mean(shares, axis=0)] if shares else None
        return {
            "n_outputs": len(ginis),
            "gini": float(np.mean(ginis)) if ginis else None,
            "by_step": by_step,
        }


def prefix_worth(
    samples: PairedSamples, reward: Reward, *, rollouts: int, max_new_tokens: int, seed: int
) -> PrefixWorth:
    """What the prefixes of winners and losers are worth, by rollouts of the unguided generator.

    Pairs whose rollouts lack a reward at some cut are left out.
    """
    cuts = [(pair, cut) for pair in samples.pairs for cut in TENTHS[:-1] if _is_proper(pair, cut)]
    rows: list[int] = []
    prefixes: list[tuple[int, ...]] = []
    for pair, cut in cuts:
        for output in (pair.winner, pair.loser):
            rows += [pair.row] * rollouts
            prefixes += [output[: cut_length(len(output), cut)]] * rollouts
    generator = samples.generator
    texts = continue_texts(
        generator.model,
        [generator.input_ids(example.text) for example in samples.examples],
        rows,
        prefixes,
        max_new_tokens=max_new_tokens,
        seed=seed,
        batch_size=samples.batch_size,
    )
    end = generator.prompts.end_id
    written = [[Written(tuple(text), 0.0, text[-1] == end)] for text in texts]
    values = gold_rewards(generator, [samples.examples[row] for row in rows], written, reward)
    flat = iter([value for (value,) in values])
    worth = PrefixWorth([], [])
    for pair in samples.pairs:
        sides: tuple[Rollouts, Rollouts] = ([], [])
        for cut in TENTHS[:-1]:
            for side in sides:
                side.append(_known(flat, rollouts) if _is_proper(pair, cut) else None)
        if any(cut == [] for side in sides for cut in side):
            continue
        worth.winners.append([*sides[0], [pair.rewards[0]]])
        worth.losers.append([*sides[1], [pair.rewards[1]]])
    return worth


def _is_proper(pair: Pair, cut: float) -> bool:
    """Whether the prefixes of both texts at a cut are shorter than the texts."""
    return all(cut_length(len(text), cut) < len(text) for text in (pair.winner, pair.loser))


def _known(values: Iterator[float | None], count: int) -> list[float]:
    """The next values, without the missing ones."""
    return [value for _ in range(count) if (value := next(values)) is not None]


# Rewards of all prefixes of each winner, and of each loser.
PrefixRewards = tuple[list[list[float]], list[list[float]]]


@torch.no_grad()
def prefix_rewards(samples: PairedSamples, model: AnyRewardModel) -> PrefixRewards:
    """A reward model's rewards of the prefixes of winners and losers, in its own tokens.

    Classifiers and ensembles are asked about the prefixes in the generator's tokens.
    """
    winners, losers = samples.sides()
    if isinstance(model, RewardModel):
        model.eval()
        return _own_rewards(samples, model, winners), _own_rewards(samples, model, losers)
    ready = in_ids_of(model, samples.generator.prompts)
    inputs = [samples.input_ids(pair.row) for pair in samples.pairs]
    return (
        _batched(ready, inputs, winners, samples.batch_size),
        _batched(ready, inputs, losers, samples.batch_size),
    )


def _own_rewards(
    samples: PairedSamples, model: RewardModel, outputs: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Rewards of the prefixes of outputs of the generator, spelled in the model's own tokens."""
    if not have_same_tokens(model, samples.generator):
        texts = [samples.generator.prompts.text(output) for output in outputs]
        outputs = [model.prompts.target_ids(text) for text in texts]
    prompts = [samples.examples[pair.row].text for pair in samples.pairs]
    inputs = [model.prompts.input_ids(prompt) for prompt in prompts]
    return _batched(model, inputs, outputs, samples.batch_size)


def _batched(
    model: Any, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], batch_size: int
) -> list[list[float]]:
    """Rewards of all prefixes of outputs."""
    rewards: list[list[float]] = []
    for first in range(0, len(outputs), batch_size):
        part = slice(first, first + batch_size)
        values = model.prefix_rewards(inputs[part], outputs[part])[0].tolist()
        rewards += [row[: len(out)] for row, out in zip(values, outputs[part], strict=True)]
    return rewards


def disagreement(by_model: Mapping[str, PrefixRewards]) -> dict[str, float | None]:
    """Of each two reward models, the share of prefixes of pairs that they order differently."""
    orders = {name: _orders(winners, losers) for name, (winners, losers) in by_model.items()}
    names = list(orders)
    shares: dict[str, float | None] = {}
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            differing = [
                float(np.mean(a != b))
                for a, b in zip(orders[first], orders[second], strict=True)
                if len(a) == len(b)  # other tokens have other prefixes
            ]
            shares[f"{first}, {second}"] = float(np.mean(differing)) if differing else None
    return shares


def _orders(winners: Sequence[Sequence[float]], losers: Sequence[Sequence[float]]) -> list[Any]:
    """Signs of reward of the winner's prefix - of the loser's, at each length that both have."""
    lengths = [min(len(a), len(b)) for a, b in zip(winners, losers, strict=True)]
    return [
        np.sign(np.subtract(a[:length], b[:length]))
        for a, b, length in zip(winners, losers, lengths, strict=True)
    ]
