"""Is a reward worth steering by, token by token? The questions, asked of the user's own task.

Source: what the reviewers of Rashid et al., A Critical Look At Tokenwise Reward-Guided Text
Generation (2024; PARGS), asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.engine.files import write_json
from groot.errors import ConfigError, DataError
from groot.evaluation.prefixes import continuations, mean_reciprocal_rank, order_reversals, spread
from groot.guides import Guide, Written
from groot.reward_models.folders import AnyRewardModel
from groot.rewards import Reward
from groot.search.sampling import sample
from groot.studies.guide_writing import gold_rewards
from groot.studies.prefix_pairs import (
    PairedSamples,
    disagreement,
    draw_pairs,
    prefix_rewards,
    prefix_worth,
)
from groot.studies.rollouts import token_ranks
from groot.types import Example
from groot.writer.generator import Generator

DIAGNOSIS_FILE = "diagnosis.json"
VERSION = 1
UNGUIDED = "none"


@dataclass(frozen=True)
class DiagnosisSettings:
    """How a diagnosis is made.

    Args:
        n_samples: texts for each prompt, unguided; at least 2.
        rollouts: continuations of each prefix.
        max_new_tokens: of each text, its end included; None takes the generator's.
        seed: of the samples, the pairs, the rollouts and the intervals.
        batch_size: texts written together.

    Raises:
        ConfigError: for fewer than two samples, or no rollout.
    """

    n_samples: int = 16
    rollouts: int = 4
    max_new_tokens: int | None = None
    seed: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.n_samples < 2 or self.rollouts < 1:
            raise ConfigError(
                f"{self.n_samples} samples and {self.rollouts} rollouts: want at least 2 samples,"
                " 1 rollout."
            )


@dataclass(frozen=True)
class Suspects:
    """What is diagnosed beside the reward itself.

    Args:
        reward_models: whose prefixes are looked at, by name.
        guides: whose distributions are looked at, by name; the unguided one is always there.
    """

    reward_models: Mapping[str, AnyRewardModel] = field(default_factory=dict)
    guides: Mapping[str, Guide] = field(default_factory=dict)


def diagnose(
    generator: Generator,
    examples: Sequence[Example],
    reward: Reward,
    *,
    suspects: Suspects | None = None,
    settings: DiagnosisSettings | None = None,
    out: Path | None = None,
    events: OnEvent = ignore_events,
) -> dict[str, Any]:
    """Answer four questions about a generator, a reward and its reward models.

    Each prompt gives one pair: two of its samples, drawn from all pairs that differ in reward.

    Args:
        generator: the frozen model.
        examples: the prompts, with whatever the reward needs.
        reward: that can be verified; it judges whole texts.
        suspects: reward models and guides that are asked, too.
        settings: how many samples and rollouts, how long, and from which seed.
        out: folder for `diagnosis.json`; None keeps nothing.
        events: is called with the progress.

    Returns:
        continuations: of `evaluation.prefixes.continuations`, one for each tenth;
        reward_spread: how the verified worth of a prefix, the mean of its rollouts, grows along
        the texts; spread and order: of each reward model; disagreement: of each pair of reward
        models, the share of prefixes that they order differently; ranks: of each guide, for the
        best sample of each prompt; and the counts.

    Raises:
        DataError: without a prompt, or where no prompt has two samples that differ in reward.
    """
    suspects, settings = suspects or Suspects(), settings or DiagnosisSettings()
    if not examples:
        raise DataError("no prompts to look at")
    start = time.monotonic()
    limit = settings.max_new_tokens or generator.max_new_tokens
    seed, batch_size = settings.seed, settings.batch_size
    inputs = [generator.input_ids(example.text) for example in examples]
    events(StageStarted("diagnose", 4))
    written = sample(
        generator.model,
        inputs,
        n=settings.n_samples,
        max_new_tokens=limit,
        seed=seed,
        batch_size=batch_size,
    )
    rewards = gold_rewards(generator, examples, written, reward)
    samples = PairedSamples(
        generator, examples, draw_pairs(written, rewards, seed=seed), batch_size
    )
    if not samples.pairs:
        raise DataError(
            f"all {settings.n_samples} samples of each of the {len(examples)} prompts have one"
            " reward, so there is nothing to prefer. Give more samples or another reward."
        )
    events(StepDone("diagnose", 1, 4))
    worth = prefix_worth(
        samples, reward, rollouts=settings.rollouts, max_new_tokens=limit, seed=seed
    )
    events(StepDone("diagnose", 2, 4))
    by_model = {
        name: prefix_rewards(samples, model) for name, model in suspects.reward_models.items()
    }
    events(StepDone("diagnose", 3, 4))
    best = [_best(texts, values) for texts, values in zip(written, rewards, strict=True)]
    guides: dict[str, Guide | None] = {UNGUIDED: None, **suspects.guides}
    ranks = {
        name: mean_reciprocal_rank(
            token_ranks(
                generator.model,
                [ids for ids, text in zip(inputs, best, strict=True) if text is not None],
                [text.tokens for text in best if text is not None],
                guide=guide,
                batch_size=batch_size,
            ),
            seed=seed,
        )
        for name, guide in guides.items()
    }
    events(StepDone("diagnose", 4, 4))
    seconds = time.monotonic() - start
    events(StageFinished("diagnose", seconds, {"pairs": len(samples.pairs)}))
    diagnosis = {
        "version": VERSION,
        "reward": reward.name,
        "n_prompts": len(examples),
        "n_samples": settings.n_samples,
        "n_pairs": len(samples.pairs),
        "rollouts": settings.rollouts,
        "seed": seed,
        "seconds": seconds,
        "one_reward": sum(len(set(values) - {None}) < 2 for values in rewards) / len(rewards),
        "continuations": continuations(worth.winners, worth.losers, seed=seed),
        "reward_spread": worth.spread(),
        "spread": {
            name: spread([*winners, *losers], seed=seed)
            for name, (winners, losers) in by_model.items()
        },
        "order": {
            name: order_reversals(winners, losers, seed=seed)
            for name, (winners, losers) in by_model.items()
        },
        "disagreement": disagreement(by_model),
        "ranks": ranks,
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DIAGNOSIS_FILE, diagnosis)
    return diagnosis


def _best(texts: Sequence[Written], values: Sequence[float | None]) -> Written | None:
    """The sample with the highest reward, of equal ones the first; None without a reward."""
    known = [(value, -place) for place, value in enumerate(values) if value is not None]
    return texts[-max(known)[1]] if known else None
