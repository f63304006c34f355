"""The main job: fit, optimise for the reward, evaluate, report; each stage goes on when killed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from groot.config import Config
from groot.engine.events import Note, OnEvent, ignore_events
from groot.engine.interrupts import catch_interrupts
from groot.engine.processes import make_accelerator
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted
from groot.errors import DataError, ModelError
from groot.models.embedded import count_parameters
from groot.recipes.estimate import seconds_per_step
from groot.recipes.items import training_items
from groot.recipes.job import Job
from groot.recipes.plan import BYTES_PER_WEIGHT, Plan, PlannedStage, disk_bytes
from groot.recipes.rounds import rounds_of
from groot.recipes.run_marks import marks_of_run
from groot.recipes.start import (
    RunData,
    check_text_reward,
    count_words,
    fit_passes,
    label_format,
    make_generator,
    make_labeler,
    read_data,
    text_fit_passes,
)
from groot.recipes.text_fit import text_items
from groot.recipes.text_job import TextJob
from groot.recipes.threads import compute_threads, threads_of
from groot.rewards import CallSettings, Reward, parse_rewards
from groot.targets import LabelFormat
from groot.types import Example
from groot.writer.folders import load_labeler
from groot.writer.generator import Generator
from groot.writer.labeler import Labeler

logger = logging.getLogger(__name__)


def train_run(
    config: Config, *, out: Path, events: OnEvent = ignore_events, force: bool = False
) -> dict[str, Any]:
    """Do a run, or what is left of it.

    Args:
        config: checked settings.
        out: the run's folder; a run that was stopped there is continued.
        events: told what happens.
        force: go on although data, settings or libraries differ from those the run started with.

    Returns:
        what results.json holds.

    Raises:
        GrootError: on bad data, rewards, models or folders; before anything is written where it
            can be known before.
        SystemExit: with 130 or 143 where the run was interrupted; it has been saved then.
    """
    data = read_data(config)
    with parse_rewards(
        config.reward.specs,
        calls=CallSettings(
            timeout_s=config.reward.timeout_s,
            workers=config.reward.workers,
            on_error=config.reward.on_error,
            failures=out / "failures",
        ),
        gold_text=None if data.is_text else partial(gold_text, label_format(data.train)),
        open_labeler=load_labeler,
    ) as reward:
        return train_on(config, data, reward, out=out, events=events, force=force)


def train_on(
    config: Config,
    data: RunData,
    reward: Reward,
    *,
    out: Path,
    labeler: Labeler | Generator | None = None,
    events: OnEvent = ignore_events,
    force: bool = False,
) -> dict[str, Any]:
    """Like `train_run`, on data and a reward that are at hand.

    Args:
        labeler: or generator to start from; None makes or loads the one that the config names.
    """
    # a model that is given may be of any size
    threads = threads_of(config) if labeler is None else config.threads
    with compute_threads(threads), catch_interrupts() as interrupt:
        accelerator = make_accelerator()
        is_new = not RunFolder(out).is_done("start")
        if is_new:
            # before the folder is made: a model that cannot be loaded should leave none
            if data.is_text:
                check_text_reward(data, reward)
            labeler = labeler or _make(config, data)
            if not _first_items(labeler, data):
                raise DataError("no training example has gold that can be learnt")
        with RunFolder(out, is_writer=accelerator.is_main_process) as run:
            run.check_same_run(marks_of_run(config, data, reward), force=force)
            parts = (config, data, reward, run, accelerator, events, interrupt)
            start: Any = labeler if is_new else None
            try:
                if data.is_text:
                    return TextJob(*parts).do(start)
                for line in reward.unknown_labels(label_format(data.train).labels):
                    events(Note(line, "warning"))
                return Job(*parts).do(start)
            except Interrupted as stopped:
                events(Note(f"{stopped}; the same command again continues", "warning"))
                interrupt.leave()


def _make(config: Config, data: RunData) -> Labeler | Generator:
    return (make_generator if data.is_text else make_labeler)(config, data.train)


def _first_items(held: Labeler | Generator, data: RunData) -> list[Any]:
    if isinstance(held, Generator) != data.is_text:
        raise ModelError(
            "a generator writes free text and a labeler labels; the data is for the other kind."
        )
    if isinstance(held, Generator):
        return list(text_items(held, data.train)[0])
    return list(training_items(held, data.train)[0])


def gold_text(form: LabelFormat, example: Example) -> str | None:
    """The gold as the model should write it: what TRL's reward functions get as `completion`."""
    return None if example.gold is None else form.encode(example, example.gold)


def plan_run(config: Config, *, out: Path | None = None) -> Plan:
    """What `train_run` would do and cost; writes nothing.

    The times are measured: a few steps of the real model on the real data.
    """
    data = read_data(config)
    if data.is_text:
        return _plan_text(config, data)
    labeler = make_labeler(config, data.train)
    items, missed = training_items(labeler, data.train)
    parameters = count_parameters(labeler.model)
    passes = fit_passes(config, count_words(data.train))
    fit_steps = passes * -(-len(items) // config.fit.batch_size)
    optimise = config.optimise
    with compute_threads(threads_of(config)):
        measured = seconds_per_step(labeler, items, config)
    stages = [
        PlannedStage(
            "fit",
            fit_steps,
            fit_steps * measured["fit"],
            f"{len(items)} texts x {passes} passes / {config.fit.batch_size}",
        )
    ]
    reward_calls = 0
    for round in rounds_of(config):
        texts, kept = len(items) * round.variations, optimise.candidates_per_round
        steps = optimise.passes_per_round * -(-texts // optimise.batch_size)
        is_lean = round.distils and not config.distil.contrast_weight
        seconds = texts * measured["search"] + steps * measured["fit" if is_lean else "contrast"]
        note = f"{texts} texts, up to {kept} candidates each"
        stages.append(PlannedStage(round.name, steps, seconds, note))
        reward_calls += texts * kept
    facts: Mapping[str, str] = {
        "model": f"{config.model.name or 'embedded'}, {parameters / 1e6:.1f} M weights",
        "labels": f"{len(labeler.form.labels)}: {', '.join(labeler.form.labels[:8])}"
        + (" ..." if len(labeler.form.labels) > 8 else ""),
        "reward": " ".join(config.reward.specs),
        "final numbers on": data.split,
        **({"tag scheme": data.scheme} if data.scheme else {}),
        **({"gold that cannot be written": str(len(missed))} if missed else {}),
    }
    return Plan(
        examples={"train": len(data.train), "dev": len(data.dev), "test": len(data.test)},
        stages=tuple(stages),
        parameters=parameters,
        memory_bytes=parameters * BYTES_PER_WEIGHT * 6 + (600 << 20),
        disk_bytes=disk_bytes(config, parameters),
        reward_calls=reward_calls,
        facts=facts,
        problems=data.problems,
    )


def _plan_text(config: Config, data: RunData) -> Plan:
    """The plan of a run on free text; how long its stages take is not measured."""
    generator = make_generator(config, data.train)
    items, missed = text_items(generator, data.train)
    parameters, optimise = count_parameters(generator.model), config.optimise
    passes = text_fit_passes(config, data.train)
    steps = passes * -(-len(items) // config.fit.batch_size)
    note = f"{len(items)} texts x {passes} passes / {config.fit.batch_size}"
    stages = [PlannedStage("fit", steps, None, note)]
    per_round = optimise.passes_per_round * -(-len(items) // optimise.batch_size)
    note = f"{len(items)} texts, up to {optimise.candidates_per_round} candidates each"
    stages += [
        PlannedStage(f"round {round}", per_round, None, note)
        for round in range(1, optimise.rounds + 1)
    ]
    return Plan(
        examples={"train": len(data.train), "dev": len(data.dev), "test": len(data.test)},
        stages=tuple(stages),
        parameters=parameters,
        memory_bytes=parameters * BYTES_PER_WEIGHT * 6 + (600 << 20),
        disk_bytes=disk_bytes(config, parameters),
        reward_calls=optimise.rounds * len(items) * optimise.candidates_per_round,
        facts={
            "model": f"{config.model.name or 'embedded'}, {parameters / 1e6:.1f} M weights",
            "task": "free text",
            "reward": " ".join(config.reward.specs),
            "final numbers on": data.split,
            **({"references that are too long": str(len(missed))} if missed else {}),
        },
        problems=data.problems,
    )
