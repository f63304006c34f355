"""GRPO for a generator: of its own samples, those that pay get likelier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from groot.engine.run_folder import RunFolder
from groot.errors import DataError
from groot.recipes.model_run import MODEL, Results
from groot.recipes.tune_losses import PromptTexts, grpo_loss, token_log_ps
from groot.recipes.tune_settings import TuneSettings
from groot.recipes.tuning import Tuning
from groot.rewards import Reward
from groot.search.sampling import sample
from groot.studies.guide_writing import gold_rewards
from groot.types import Example
from groot.writer.generator import Generator

MOST_HELD_OUT = 200
SAMPLES_TO_MEASURE = 2


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round: mean reward of the weights it ended with, steps and seconds."""

    best: float
    steps: int = 0
    seconds: float = 0.0


def _name(number: int) -> str:
    """The stage of a round; the first is 1."""
    return f"round {number}"


def _place(number: int) -> str:
    """Where the weights after a round stand in the run's folder."""
    return f"rounds/{number}"


def last_weights(run: RunFolder, settings: TuneSettings) -> Path | None:
    """The folder of the weights after the last finished round; None where none is finished."""
    done = [number for number in range(1, settings.rounds + 1) if run.is_done(_name(number))]
    return run.written(_place(done[-1])) if done else None


def learn_grpo(tuning: Tuning, examples: Sequence[Example], reward: Reward) -> Results:
    """Learn from rounds of own samples; the weights with the best reward are kept.

    Raises:
        DataError: if there are fewer than two prompts, or no sample has a reward.

    Source: see `groot.objectives.policy.grpo`.
    """
    run, settings = tuning.run, tuning.settings
    learnt, held = cut_prompts(examples, share=settings.held_out, seed=settings.seed)
    asked = [example.text for example in learnt], [example.text for example in held]
    rounds = [Round(_mean_reward(tuning, tuning.frozen, held, reward))]
    if not run.folder.is_done(_name(1)):
        tuning.save(*asked, name=MODEL)
    for number in range(1, settings.rounds + 1):
        name = _name(number)
        if run.folder.is_done(name):
            rounds.append(Round(**run.folder.info_of(name)))
            continue
        items = _sampled_items(tuning, _prompts_of(tuning, learnt, number), reward, number)
        best_before = max(before.best for before in rounds)
        rounds.append(_learn_round(tuning, items, held, reward, name) or Round(rounds[-1].best))
        # not in place of the ones before: a kill may come now
        tuning.save(*asked, name=_place(number))
        if rounds[-1].best > best_before:
            tuning.save(*asked, name=MODEL)
        run.folder.mark_done(name, asdict(rounds[-1]), wrote=[_place(number)])
        run.forget(_place(number - 1))
    rewards = [each.best for each in rounds]
    return {
        "objective": "grpo",
        "prompts": len(learnt),
        "held_out": len(held),
        "selects_on": "mean reward of samples for held-out prompts",
        "best": max(rewards),
        "before": rewards[0],
        "best_round": rewards.index(max(rewards)),
        "by_round": rewards,
        "steps": sum(each.steps for each in rounds),
        "seconds": sum(each.seconds for each in rounds),
    }


def cut_prompts(
    examples: Sequence[Example], *, share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Examples to learn from and held-out ones; those with one text fall on one side.

    Args:
        examples: whose texts are the prompts.
        share: of the prompts that is held out, 200 at most and one at least.
        seed: decides which.

    Raises:
        DataError: if all have one text.
    """
    texts = list(dict.fromkeys(example.text for example in examples))
    n_held = min(MOST_HELD_OUT, max(1, round(share * len(texts))))
    if n_held >= len(texts):
        raise DataError(f"{len(texts)} prompts are too few; give at least 2.")
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed)).tolist()
    place = {texts[index]: rank for rank, index in enumerate(order)}
    ranked = sorted(examples, key=lambda example: place[example.text])
    held = [example for example in ranked if place[example.text] < n_held]
    return ranked[len(held) :], held


def _prompts_of(tuning: Tuning, learnt: Sequence[Example], number: int) -> list[Example]:
    """The prompts of a round: those behind the ones of the round before, and round again."""
    asked = tuning.settings.prompts_per_round
    first = (number - 1) * asked
    return [learnt[(first + place) % len(learnt)] for place in range(min(asked, len(learnt)))]


def _learn_round(
    tuning: Tuning, items: Sequence[PromptTexts], held: Sequence[Example], reward: Reward, name: str
) -> Round | None:
    """Train on the samples of a round; None where all samples of each prompt have one reward."""
    if not items:
        return None
    settings = tuning.settings
    context = tuning.run.context(
        lambda: {"reward": _mean_reward(tuning, tuning.tuned, held, reward)}, selects_on="reward"
    )
    result = tuning.train(
        items,
        context,
        name=name,
        loss_of=lambda model, batch: grpo_loss(model, batch, kl=settings.kl, clip=settings.clip),
    )
    return Round(result.best, result.steps, result.seconds)


def _sampled_items(
    tuning: Tuning, examples: Sequence[Example], reward: Reward, number: int
) -> list[PromptTexts]:
    """Groups of samples with rewards; those whose samples all have one reward are left out."""
    tuned, settings = tuning.tuned, tuning.settings
    written = sample(
        tuned.model,
        [tuned.input_ids(example.text) for example in examples],
        n=settings.group,
        max_new_tokens=tuned.max_new_tokens,
        seed=settings.seed + 1000 * number,
    )
    rewards = gold_rewards(tuned, examples, written, reward)
    differing = [
        row
        for row, values in enumerate(rewards)
        if len({value for value in values if value is not None}) > 1
    ]
    cases = [
        (tuned.input_ids(examples[row].text), tuple(text.tokens for text in written[row]))
        for row in differing
    ]
    log_ps = zip(token_log_ps(tuned, cases), token_log_ps(tuning.frozen, cases), strict=True)
    return [
        PromptTexts(ids, targets, tuple(rewards[row]), old, reference)
        for row, (ids, targets), (old, reference) in zip(differing, cases, log_ps, strict=True)
    ]


def _mean_reward(
    tuning: Tuning, generator: Generator, examples: Sequence[Example], reward: Reward
) -> float:
    """Mean reward of two samples of each prompt; the same random numbers each time."""
    written = sample(
        generator.model,
        [generator.input_ids(example.text) for example in examples],
        n=SAMPLES_TO_MEASURE,
        max_new_tokens=generator.max_new_tokens,
        seed=tuning.settings.seed,
    )
    rewards = gold_rewards(generator, examples, written, reward)
    known = [value for row in rewards for value in row if value is not None]
    if not known:
        raise DataError("no sample of the held-out prompts has a reward")
    return sum(known) / len(known)
