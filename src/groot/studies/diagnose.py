"""Is a reward worth steering by, token by token? The questions, asked of the user's own task.

Source: what the reviewers of Rashid et al., A Critical Look At Tokenwise Reward-Guided Text
Generation (2024; PARGS), asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.engine.files import write_json
from groot.errors import ConfigError, DataError
from groot.evaluation.prefixes import (
    TENTHS,
    continuations,
    cut_length,
    gini,
    mean_reciprocal_rank,
    order_reversals,
    spread,
)
from groot.guides.guide import Guide, Written
from groot.reward_models.folders import AnyRewardModel, in_ids_of
from groot.reward_models.prefix_model import RewardModel
from groot.rewards import Reward
from groot.search.sampling import sample
from groot.studies.compare_guides import gold_rewards, have_same_tokens
from groot.studies.rollouts import continue_texts, token_ranks
from groot.types import Example
from groot.writer.generator import Generator

DIAGNOSIS_FILE = "diagnosis.json"
VERSION = 1
UNGUIDED = "none"


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


def diagnose(
    generator: Generator,
    examples: Sequence[Example],
    reward: Reward,
    *,
    reward_models: Mapping[str, AnyRewardModel] | None = None,
    guides: Mapping[str, Guide] | None = None,
    n_samples: int = 16,
    rollouts: int = 4,
    max_new_tokens: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    out: Path | None = None,
    events: OnEvent = ignore_events,
) -> dict[str, Any]:
    """Answer four questions about a generator, a reward and its reward models.

    Each prompt gives one pair: two of its samples, drawn from all pairs that differ in reward.

    Args:
        generator: the frozen model.
        examples: the prompts, with whatever the reward needs.
        reward: that can be verified; it judges whole texts.
        reward_models: whose prefixes are looked at, by name.
        guides: whose distributions are looked at, by name; the unguided one is always there.
        n_samples: texts for each prompt, unguided; at least 2.
        rollouts: continuations of each prefix.
        max_new_tokens: of each text, its end included; None takes the generator's.
        seed: of the samples, the pairs, the rollouts and the intervals.
        batch_size: texts written together.
        out: folder for `diagnosis.json`; None keeps nothing.
        events: is called with the progress.

    Returns:
        continuations: of `evaluation.prefixes.continuations`, one for each tenth;
        reward_spread: how the verified worth of a prefix, the mean of its rollouts, grows along
        the texts; spread and order: of each reward model; disagreement: of each pair of reward
        models, the share of prefixes that they order differently; ranks: of each guide, for the
        best sample of each prompt; and the counts.

    Raises:
        ConfigError: for fewer than two samples, or no rollout.
        DataError: without a prompt, or where no prompt has two samples that differ in reward.
    """
    if n_samples < 2 or rollouts < 1:
        raise ConfigError(
            f"{n_samples} samples and {rollouts} rollouts: want at least 2 samples, 1 rollout."
        )
    if not examples:
        raise DataError("no prompts to look at")
    start = time.monotonic()
    limit = max_new_tokens or generator.max_new_tokens
    inputs = [generator.input_ids(example.text) for example in examples]
    events(StageStarted("diagnose", 4))
    written = sample(
        generator.model,
        inputs,
        n=n_samples,
        max_new_tokens=limit,
        seed=seed,
        batch_size=batch_size,
    )
    rewards = gold_rewards(generator, examples, written, reward)
    pairs = draw_pairs(written, rewards, seed=seed)
    if not pairs:
        raise DataError(
            f"all {n_samples} samples of each of the {len(examples)} prompts have one reward, so"
            " there is nothing to prefer. Give more samples or another reward."
        )
    events(StepDone("diagnose", 1, 4))
    worth = _prefix_worth(
        generator,
        examples,
        inputs,
        pairs,
        reward,
        rollouts=rollouts,
        max_new_tokens=limit,
        seed=seed,
        batch_size=batch_size,
    )
    events(StepDone("diagnose", 2, 4))
    of_models = {
        name: _prefix_rewards(model, generator, examples, inputs, pairs, batch_size=batch_size)
        for name, model in (reward_models or {}).items()
    }
    events(StepDone("diagnose", 3, 4))
    best = [_best(some, values) for some, values in zip(written, rewards, strict=True)]
    best_rows = [row for row, one in enumerate(best) if one is not None]
    outputs = [one.tokens for one in best if one is not None]
    steering: dict[str, Guide | None] = {UNGUIDED: None, **(guides or {})}
    ranks = {
        name: mean_reciprocal_rank(
            token_ranks(
                generator.model,
                [inputs[row] for row in best_rows],
                outputs,
                guide=guide,
                batch_size=batch_size,
            ),
            seed=seed,
        )
        for name, guide in steering.items()
    }
    events(StepDone("diagnose", 4, 4))
    seconds = time.monotonic() - start
    events(StageFinished("diagnose", seconds, {"pairs": len(pairs)}))
    found = {
        "version": VERSION,
        "reward": reward.name,
        "n_prompts": len(examples),
        "n_samples": n_samples,
        "n_pairs": len(pairs),
        "rollouts": rollouts,
        "seed": seed,
        "seconds": seconds,
        "one_reward": sum(len(set(values) - {None}) < 2 for values in rewards) / len(rewards),
        "continuations": continuations(*worth, seed=seed),
        "reward_spread": _reward_spread(worth),
        "spread": {
            name: spread([*won, *lost], seed=seed) for name, (won, lost) in of_models.items()
        },
        "order": {
            name: order_reversals(won, lost, seed=seed) for name, (won, lost) in of_models.items()
        },
        "disagreement": _disagreement(of_models),
        "ranks": ranks,
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DIAGNOSIS_FILE, found)
    return found


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
    found = []
    for row, (some, values) in enumerate(zip(written, rewards, strict=True)):
        there = [
            (value, one.tokens)
            for value, one in zip(values, some, strict=True)
            if value is not None
        ]
        differ = [(high, low) for high in there for low in there if high[0] > low[0]]
        if differ:
            high, low = differ[int(random.integers(len(differ)))]
            found.append(Pair(row, high[1], low[1], (high[0], low[0])))
    return found


Worth = tuple[list[list[list[float]]], list[list[list[float]]]]


def _prefix_worth(
    generator: Generator,
    examples: Sequence[Example],
    inputs: Sequence[Sequence[int]],
    pairs: Sequence[Pair],
    reward: Reward,
    *,
    rollouts: int,
    max_new_tokens: int,
    seed: int,
    batch_size: int,
) -> Worth:
    """Rewards of rollouts [pair][cut][rollout] from the prefixes of winners and of losers.

    A whole text is its own continuation; no rollout can change it. Pairs whose rollouts lack a
    reward at some cut are left out of both.
    """
    rows: list[int] = []
    prefixes: list[tuple[int, ...]] = []
    for pair in pairs:
        for output in (pair.winner, pair.loser):
            for cut in TENTHS[:-1]:
                rows += [pair.row] * rollouts
                prefixes += [output[: cut_length(len(output), cut)]] * rollouts
    texts = continue_texts(
        generator.model,
        inputs,
        rows,
        prefixes,
        max_new_tokens=max_new_tokens,
        seed=seed,
        batch_size=batch_size,
    )
    end = generator.prompts.end_id
    written = [[Written(tuple(text), 0.0, text[-1] == end)] for text in texts]
    flat = iter(gold_rewards(generator, [examples[row] for row in rows], written, reward))
    winners: list[list[list[float]]] = []
    losers: list[list[list[float]]] = []
    for pair in pairs:
        sides = []
        for whole in pair.rewards:
            cuts = [
                [value for (value,) in (next(flat) for _ in range(rollouts)) if value is not None]
                for _ in TENTHS[:-1]
            ]
            sides.append([*cuts, [whole]])
        if all(cut for side in sides for cut in side):
            winners.append(sides[0])
            losers.append(sides[1])
    return winners, losers


def _reward_spread(worth: Worth) -> dict[str, Any]:
    """How the mean of the rollouts changes from tenth to tenth, over winners and losers.

    Rollouts are few, so a part of the change is noise, which is spread evenly: concentration is
    underestimated.
    """
    means = [[float(np.mean(cut)) for cut in text] for side in worth for text in side]
    steps = [np.abs(np.diff(text)) for text in means]
    ginis = [value for one in steps if (value := gini(one.tolist())) is not None]
    shares = [one / one.sum() for one in steps if one.sum() > 0]
    return {
        "n_outputs": len(ginis),
        "gini": float(np.mean(ginis)) if ginis else None,
        "by_step": [float(value) for value in np.mean(shares, axis=0)] if shares else None,
    }


OfModel = tuple[list[list[float]], list[list[float]]]


@torch.no_grad()
def _prefix_rewards(
    model: AnyRewardModel,
    generator: Generator,
    examples: Sequence[Example],
    inputs: Sequence[Sequence[int]],
    pairs: Sequence[Pair],
    *,
    batch_size: int,
) -> OfModel:
    """A reward model's rewards of the prefixes of winners and losers, in its own tokens.

    Classifiers and ensembles are asked about the prefixes in the generator's tokens.
    """
    if not isinstance(model, RewardModel):
        ready = in_ids_of(model, generator.prompts)
        won, lost = (
            _rewards_in_ids(ready, [inputs[pair.row] for pair in pairs], outputs, batch_size)
            for outputs in ([pair.winner for pair in pairs], [pair.loser for pair in pairs])
        )
        return won, lost
    model.eval()
    is_same = have_same_tokens(model, generator)
    sides: list[list[list[float]]] = []
    for outputs in ([pair.winner for pair in pairs], [pair.loser for pair in pairs]):
        found: list[list[float]] = []
        for first in range(0, len(pairs), batch_size):
            rows = [pair.row for pair in pairs[first : first + batch_size]]
            some: Sequence[Sequence[int]] = outputs[first : first + batch_size]
            if not is_same:
                some = [model.prompts.target_ids(generator.prompts.text(one)) for one in some]
            read = [model.prompts.input_ids(examples[row].text) for row in rows]
            rewards, is_real = model.prefix_rewards(read, some)
            found += [
                row[:length]
                for row, length in zip(rewards.tolist(), is_real.sum(1).tolist(), strict=True)
            ]
        sides.append(found)
    return sides[0], sides[1]


def _rewards_in_ids(
    model: Any,
    inputs: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    batch_size: int,
) -> list[list[float]]:
    """Rewards of all prefixes of outputs, in the generator's ids."""
    found: list[list[float]] = []
    for first in range(0, len(outputs), batch_size):
        part = slice(first, first + batch_size)
        rewards = model.prefix_rewards(inputs[part], outputs[part])[0].tolist()
        found += [row[: len(output)] for row, output in zip(rewards, outputs[part], strict=True)]
    return found


def _disagreement(of_models: Mapping[str, OfModel]) -> dict[str, float | None]:
    """Of each two reward models, the share of prefixes of pairs that they order differently."""
    orders = {name: _orders(won, lost) for name, (won, lost) in of_models.items()}
    names = list(orders)
    found: dict[str, float | None] = {}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = [
                float(np.mean(a != b))
                for a, b in zip(orders[one], orders[other], strict=True)
                if len(a) == len(b)  # other tokens have other prefixes
            ]
            found[f"{one}, {other}"] = float(np.mean(both)) if both else None
    return found


def _orders(won: Sequence[Sequence[float]], lost: Sequence[Sequence[float]]) -> list[Any]:
    """Signs of reward of the winner's prefix - of the loser's, at each length that both have."""
    lengths = [min(len(a), len(b)) for a, b in zip(won, lost, strict=True)]
    return [
        np.sign(np.subtract(a[:length], b[:length]))
        for a, b, length in zip(won, lost, lengths, strict=True)
    ]


def _best(some: Sequence[Written], values: Sequence[float | None]) -> Written | None:
    """The sample with the highest reward, of equal ones the first; None without a reward."""
    there = [(value, -place) for place, value in enumerate(values) if value is not None]
    return some[-max(there)[1]] if there else None
