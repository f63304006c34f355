"""Tuning a generator with DPO or GRPO: the reference that guides of the frozen model stand beside.

DIR/model        the tuned generator
DIR/rounds/N     grpo: the weights after the last finished round, to continue from
DIR/results-tune.json what it was tuned with, and the measurement that chose the weights
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from groot.data.preferences import Preference, PreferenceSet, cut_held_out
from groot.engine.batches import BatchOrder
from groot.engine.events import Note, OnEvent, ignore_events
from groot.engine.files import discard, write_folder, write_json
from groot.engine.interrupts import catch_interrupts
from groot.engine.loop import Batches
from groot.engine.marks import Marks, mark_of_examples
from groot.engine.processes import make_accelerator
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted, StageContext, StageResult, StageSettings, train_stage
from groot.errors import ConfigError, DataError
from groot.models.embedded import parameter_groups
from groot.models.model_marks import mark_of_model
from groot.models.text_model import set_dropout
from groot.recipes.run_marks import mark_of_preferences, settings_that_bind
from groot.recipes.tune_losses import TuneItem, dpo_loss, grpo_loss, token_log_ps
from groot.rewards import Reward
from groot.search.sampling import sample
from groot.studies.guide_writing import gold_rewards
from groot.studies.open_guides import open_generator
from groot.types import Example
from groot.writer.generator import Generator

RESULTS_FILE = "results-tune.json"
Objective = Literal["dpo", "grpo"]


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How a generator is tuned.

    Args:
        objective: "dpo" learns from preferences, "grpo" from rewards of its own samples.
        beta: of dpo, per nat.
        kl: of grpo, weight of the distance from the frozen model.
        clip: of grpo, how far a ratio may move.
        passes: dpo: passes over the pairs; grpo: passes over the samples of a round.
        rounds: grpo: how often samples are drawn.
        prompts_per_round: grpo: prompts that samples are drawn for.
        group: grpo: samples of each prompt.
        batch_size: pairs, or prompts with their groups, per step.
        learning_rate: peak rate of AdamW.
        evaluations: dpo: how often held-out pairs are measured.
        held_out: share of the prompts that is kept for measuring.
        seed: of samples, order and what is held out.
        checkpoint_every_s: seconds between checkpoints.
    """

    objective: Objective = "dpo"
    beta: float = 0.1
    kl: float = 0.04
    clip: float = 0.2
    passes: int = 2
    rounds: int = 10
    prompts_per_round: int = 64
    group: int = 8
    batch_size: int = 16
    learning_rate: float = 1e-4
    evaluations: int = 6
    held_out: float = 0.1
    seed: int = 1
    checkpoint_every_s: float = 60.0

    def __post_init__(self) -> None:
        wrong = []
        if self.objective not in ("dpo", "grpo"):
            wrong.append(f"objective={self.objective!r}: want dpo or grpo")
        for name in ("passes", "rounds", "prompts_per_round", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                wrong.append(f"{name}={getattr(self, name)}: want 1 or more")
        if self.group < 2:
            wrong.append(f"group={self.group}: want 2 or more, or no sample is better than another")
        for name in ("beta", "clip", "learning_rate"):
            if not getattr(self, name) > 0:
                wrong.append(f"{name}={getattr(self, name)}: want more than 0")
        if self.kl < 0:
            wrong.append(f"kl={self.kl}: want 0 or more")
        if not 0 < self.held_out < 1:
            wrong.append(f"held_out={self.held_out}: want a share between 0 and 1")
        if wrong:
            raise ConfigError("\n  ".join(["settings that cannot be:", *wrong]))


def tune_text(
    folder: str | Path,
    *,
    out: Path,
    settings: TuneSettings,
    preferences: PreferenceSet | Sequence[Preference] | None = None,
    examples: Sequence[Example] | None = None,
    reward: Reward | None = None,
    events: OnEvent = ignore_events,
    force: bool = False,
) -> dict[str, Any]:
    """Tune a generator, or what is left to tune; a finished one gives its results again.

    Dropout is off throughout: ratios to the frozen model should not be noise.

    Args:
        folder: of the generator to begin with, which stays as it is and is the reference.
        out: the run's folder; a run that was stopped there is continued.
        settings: which objective, and how.
        preferences: of dpo.
        examples: prompts of grpo.
        reward: of grpo.
        events: told what happens.
        force: go on although the data or the settings differ from those the run started with.

    Returns:
        what results-tune.json holds: objective, best, what it was selected on, before, and steps.

    Raises:
        ConfigError: if the objective lacks what it learns from.
        DataError: if nothing can be learnt from it.
        SystemExit: with 130 or 143 where the run was interrupted; it has been saved then.

    Source: dpo and grpo, see `groot.objectives.policy`.
    """
    if settings.objective == "dpo" and preferences is None:
        raise ConfigError("dpo learns from preferences: give a file of them.")
    if settings.objective == "grpo" and (examples is None or reward is None):
        raise ConfigError("grpo learns from its own samples: give prompts and a reward.")
    with catch_interrupts() as interrupt:
        accelerator = make_accelerator()
        frozen = open_generator(folder)
        frozen.model.to(accelerator.device)
        with RunFolder(out, is_writer=accelerator.is_main_process) as run:
            run.check_same_run(
                Marks(
                    {
                        "the preferences": mark_of_preferences(preferences),
                        "the prompts": None if examples is None else mark_of_examples(examples),
                        "the reward": None if reward is None else reward.mark,
                        "the frozen model": mark_of_model(folder),
                    },
                    settings_that_bind(settings),
                ),
                force=force,
            )
            if run.is_done("tuned"):
                events(Note(f"{out}: this generator is finished"))
                stored: dict[str, Any] = json.loads((out / RESULTS_FILE).read_text("utf-8"))
                return stored
            job = _Job(
                settings,
                frozen,
                out,
                lambda measure, name: StageContext(
                    measure=measure,
                    selects_on=name,
                    run=run,
                    accelerator=accelerator,
                    events=events,
                    should_stop=lambda: interrupt.requested_anywhere(accelerator),
                ),
                run,
            )
            try:
                if settings.objective == "dpo":
                    assert preferences is not None
                    results = job.dpo(folder, preferences)
                else:
                    assert examples is not None
                    assert reward is not None
                    results = job.grpo(folder, examples, reward)
            except Interrupted as stopped:
                events(Note(f"{stopped}; the same command again continues", "warning"))
                interrupt.leave()
            if accelerator.is_main_process:
                write_json(out / RESULTS_FILE, results)
            run.mark_done("tuned")
            accelerator.wait_for_everyone()
            return results


MakeContext = Callable[[Callable[[], dict[str, float]], str], StageContext]


@dataclass
class _Job:
    """A tuning at work."""

    settings: TuneSettings
    frozen: Generator
    out: Path
    context: MakeContext
    run: RunFolder

    def dpo(
        self, folder: str | Path, preferences: PreferenceSet | Sequence[Preference]
    ) -> dict[str, Any]:
        """Learn from pairs; the weights with the least loss on held-out pairs are kept."""
        settings = self.settings
        all_pairs = list(
            preferences.pairs if isinstance(preferences, PreferenceSet) else preferences
        )
        pairs, held = cut_held_out(all_pairs, share=settings.held_out, seed=settings.seed)
        items, held_items = self._pair_items(pairs), self._pair_items(held)
        if not items or not held_items:
            raise DataError(
                f"{len(items)} pairs to learn from and {len(held_items)} held out, of"
                f" {len(all_pairs)}: want at least one of each. Outputs of more than"
                f" {self.frozen.max_new_tokens} tokens cannot be used."
            )
        tuned = self._copy(folder)

        @torch.no_grad()
        def measure() -> dict[str, float]:
            tuned.model.eval()
            losses: list[float] = []
            for first in range(0, len(held_items), 64):
                losses += dpo_loss(
                    tuned.model, held_items[first : first + 64], beta=settings.beta
                ).tolist()
            return {"minus_loss": -sum(losses) / len(losses)}

        result = self._stage(
            tuned,
            items,
            "dpo",
            self.context(measure, "minus_loss"),
            loss_of=lambda model, batch: dpo_loss(model, batch, beta=settings.beta),
            evaluations=settings.evaluations,
            measure_first=True,
        )
        self._save(tuned, self.out / "model")
        return {
            "objective": "dpo",
            "pairs": len(items),
            "held_out": len(held_items),
            "unusable": len(all_pairs) - len(items) - len(held_items),
            "selects_on": "loss of held-out pairs",
            "best": -result.best,
            "before": math.log(2),  # both log-ratios are 0
            "best_step": result.best_step,
            "steps": result.steps,
            "seconds": result.seconds,
        }

    def grpo(
        self, folder: str | Path, examples: Sequence[Example], reward: Reward
    ) -> dict[str, Any]:
        """Learn from rounds of own samples; the weights with the best reward are kept."""
        settings = self.settings
        n_held = min(200, max(1, round(settings.held_out * len(examples))))
        if n_held >= len(examples):
            raise DataError(f"{len(examples)} prompts are too few; give at least 2.")
        order = torch.randperm(
            len(examples), generator=torch.Generator().manual_seed(settings.seed)
        ).tolist()
        held = [examples[i] for i in order[:n_held]]
        learnt = [examples[i] for i in order[n_held:]]
        done = [
            number
            for number in range(1, settings.rounds + 1)
            if self.run.is_done(f"round {number}")
        ]
        tuned = self._copy(self.run.written(f"rounds/{done[-1]}") if done else folder)
        before = self._mean_reward(self.frozen, held, reward)
        values = {0: before} | {n: self.run.info_of(f"round {n}")["best"] for n in done}
        if not done:
            self._save(tuned, self.out / "model")
        steps, seconds = 0, 0.0
        for number in range(len(done) + 1, settings.rounds + 1):
            first = (number - 1) * settings.prompts_per_round
            drawn = [
                learnt[(first + i) % len(learnt)]
                for i in range(min(settings.prompts_per_round, len(learnt)))
            ]
            items = self._sampled_items(tuned, drawn, reward, number)
            best = max(values.values())
            if items:
                result = self._stage(
                    tuned,
                    items,
                    f"round {number}",
                    self.context(
                        lambda: {"reward": self._mean_reward(tuned, held, reward)}, "reward"
                    ),
                    loss_of=lambda model, batch: grpo_loss(
                        model, batch, kl=settings.kl, clip=settings.clip
                    ),
                    evaluations=1,
                )
                values[number] = result.best
                steps, seconds = steps + result.steps, seconds + result.seconds
            else:  # all samples of each prompt have one reward: nothing to learn this time
                values[number] = values[number - 1]
            latest = f"rounds/{number}"  # not in place of the one before: a kill may come now
            self._save(tuned, self.out / latest)
            if values[number] > best:
                self._save(tuned, self.out / "model")
            self.run.mark_done(f"round {number}", {"best": values[number]}, wrote=[latest])
            self._forget_round(number - 1)
        best_round = max(values, key=lambda n: (values[n], -n))
        return {
            "objective": "grpo",
            "prompts": len(learnt),
            "held_out": len(held),
            "selects_on": "mean reward of samples for held-out prompts",
            "best": values[best_round],
            "before": before,
            "best_round": best_round,
            "by_round": [values[n] for n in sorted(values)],
            "steps": steps,
            "seconds": seconds,
        }

    def _copy(self, folder: str | Path) -> Generator:
        """A second copy of a generator, without dropout."""
        tuned = open_generator(folder)
        tuned.model.to(self.frozen.model.device)
        set_dropout(tuned.model, 0.0)
        return tuned

    def _save(self, generator: Generator, folder: Path) -> None:
        if self.run.is_writer:
            with write_folder(folder) as place:
                generator.save(place)

    def _forget_round(self, number: int) -> None:
        before = self.out / f"rounds/{number}"
        if self.run.is_writer and before.exists():
            discard(before)

    def _pair_items(self, pairs: Sequence[Preference]) -> list[TuneItem]:
        """Pairs in token ids; those with outputs that are too long, or equal, are left out."""
        frozen = self.frozen
        spelled = [
            (
                frozen.input_ids(pair.prompt),
                tuple(
                    tuple(frozen.prompts.target_ids(one)) for one in (pair.chosen, pair.rejected)
                ),
            )
            for pair in pairs
        ]
        usable = [
            (ids, targets)
            for ids, targets in spelled
            if targets[0] != targets[1] and max(map(len, targets)) <= frozen.max_new_tokens
        ]
        reference = token_log_ps(frozen, usable)
        return [
            TuneItem(ids, targets, (1.0, 0.0), (), log_p)
            for (ids, targets), log_p in zip(usable, reference, strict=True)
        ]

    def _sampled_items(
        self, tuned: Generator, examples: Sequence[Example], reward: Reward, number: int
    ) -> list[TuneItem]:
        """Groups of samples with rewards; those whose samples all have one reward are left out."""
        written = sample(
            tuned.model,
            [tuned.input_ids(example.text) for example in examples],
            n=self.settings.group,
            max_new_tokens=tuned.max_new_tokens,
            seed=self.settings.seed + 1000 * number,
        )
        rewards = gold_rewards(tuned, examples, written, reward)
        differ = [
            row
            for row, values in enumerate(rewards)
            if len({value for value in values if value is not None}) > 1
        ]
        cases = [
            (tuned.input_ids(examples[row].text), tuple(one.tokens for one in written[row]))
            for row in differ
        ]
        old, reference = token_log_ps(tuned, cases), token_log_ps(self.frozen, cases)
        return [
            TuneItem(ids, targets, tuple(rewards[row]), mine, frozen)
            for row, (ids, targets), mine, frozen in zip(differ, cases, old, reference, strict=True)
        ]

    def _mean_reward(
        self, generator: Generator, examples: Sequence[Example], reward: Reward
    ) -> float:
        """Mean reward of two samples of each prompt; the same random numbers each time."""
        written = sample(
            generator.model,
            [generator.input_ids(example.text) for example in examples],
            n=2,
            max_new_tokens=generator.max_new_tokens,
            seed=self.settings.seed,
        )
        rewards = gold_rewards(generator, examples, written, reward)
        known = [value for row in rewards for value in row if value is not None]
        if not known:
            raise DataError("no sample of the held-out prompts has a reward")
        return sum(known) / len(known)

    def _stage(
        self,
        tuned: Generator,
        items: Sequence[TuneItem],
        name: str,
        context: StageContext,
        *,
        loss_of: Callable[[Any, Sequence[TuneItem]], Tensor],
        evaluations: int,
        measure_first: bool = False,
    ) -> StageResult:
        settings = self.settings
        return train_stage(
            tuned.model,
            loss_of,
            Batches(
                BatchOrder(
                    len(items),
                    batch_size=settings.batch_size,
                    seed=settings.seed,
                    lengths=[max(map(len, item.targets)) for item in items],
                ),
                lambda indices, step: [items[index] for index in indices],
            ),
            StageSettings(
                name=name,
                passes=settings.passes,
                evaluations=evaluations,
                seed=settings.seed,
                checkpoint_every_s=settings.checkpoint_every_s,
            ),
            context,
            parameter_groups=parameter_groups(
                tuned.model,
                learning_rate=settings.learning_rate,
                embedding_rate=1.0,
                weight_decay=0.0,
            ),
            measure_first=measure_first,
        )
