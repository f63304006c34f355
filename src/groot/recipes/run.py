"""The main job: fit, optimise for the reward, evaluate, report; each stage goes on when killed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groot.config import Config
from groot.engine.events import Note, OnEvent, ignore_events
from groot.engine.interrupts import catch_interrupts
from groot.engine.processes import make_accelerator
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted
from groot.errors import DataError, ModelError
from groot.recipes.final_numbers import final_numbers
from groot.recipes.fit import fit
from groot.recipes.job import Job
from groot.recipes.make_writer import fit_passes, label_format, make_writer
from groot.recipes.objective import objective_of
from groot.recipes.optimise import optimise
from groot.recipes.rounds import rounds_of
from groot.recipes.run_data import RunData, read_data, try_reward
from groot.recipes.run_marks import marks_of_run
from groot.recipes.threads import compute_threads, threads_of
from groot.rewards import CallSettings, Reward, parse_rewards
from groot.rollouts.instances import Instance, Variation, VariationRates, training_instances
from groot.types import Example
from groot.writer.folders import load_labeler
from groot.writer.writer import Writer


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
        gold_text=gold_text_of(data),
        open_labeler=load_labeler,
    ) as reward:
        return train_on(config, data, reward, out=out, events=events, force=force)


def train_on(
    config: Config,
    data: RunData,
    reward: Reward,
    *,
    out: Path,
    writer: Writer | None = None,
    events: OnEvent = ignore_events,
    force: bool = False,
) -> dict[str, Any]:
    """Like `train_run`, on data and a reward that are at hand.

    Args:
        writer: to start from; None makes or loads the one that the config names.
    """
    # a model that is given may be of any size
    threads = threads_of(config) if writer is None else config.threads
    objective_of(config.optimise.objective, config.optimise.objective_settings)
    with compute_threads(threads), catch_interrupts() as interrupt:
        accelerator = make_accelerator()
        made_of = marks_of_run(config, data, reward, writer)
        is_new = not RunFolder(out).is_done("start")
        if is_new:
            # before the folder is made: what cannot be trained should leave none
            writer = writer or make_writer(config, data.train, data.task)
            check_writer(writer, data)
            try_reward(data, reward, writer.gold_text)
        with RunFolder(out, is_writer=accelerator.is_main_process) as run:
            run.check_same_run(made_of, force=force)
            job = Job(config, data, reward, run, accelerator, events, interrupt)
            try:
                return do(job, writer if is_new else None)
            except Interrupted as stopped:
                events(Note(f"{stopped}; the same command again continues", "warning"))
                interrupt.leave()


def check_writer(writer: Writer, data: RunData) -> None:
    """Raise unless a writer can learn the gold of a run.

    Raises:
        ModelError: if it writes labels and the gold is text, or the other way round.
        DataError: if no gold can be learnt.
    """
    if (writer.task == "text") != (data.task == "text"):
        raise ModelError(
            "a generator writes free text and a labeler labels; the data is for the other kind."
        )
    if not training_instances(writer.notation, data.train)[0]:
        raise DataError("no training example has gold that can be learnt")


def do(job: Job, start: Writer | None) -> dict[str, Any]:
    """Do the run, or what is left of it; returns what results.json holds.

    Args:
        start: the writer of a run that is new.
    """
    results = job.results()
    if results is not None:
        return results
    writer = job.begin(start)
    instances, missed = training_instances(writer.notation, job.data.train)
    if missed:
        told = f"{len(missed)} gold labels cannot be written by any target: {'; '.join(missed[:3])}"
        job.events(Note(told, "warning"))
    for line in job.reward.unknown_labels(writer.labels):
        job.events(Note(line, "warning"))
    rounds = rounds_of(job.config, can_vary=writer.notation.can_vary)
    optimise(job, fitted(job, writer, instances), instances, rounds)
    return final_numbers(job, rounds)


def fitted(job: Job, writer: Writer, instances: Sequence[Instance]) -> Writer:
    """The writer after likelihood training, as a continued run would load it."""
    if job.run.is_done("fit"):
        return job.load("fitted")
    settings = job.config.fit
    passes = fit_passes(job.config, sum(map(writer.notation.n_written, job.data.train)))
    info: dict[str, Any] = {"seconds": 0.0}
    if passes:
        stage = job.stage(
            "fit",
            passes=passes,
            evaluations=settings.evaluations,
            patience=settings.patience,
            warmup=settings.warmup,
            max_grad_norm=settings.max_grad_norm,
            average_decay=settings.average_decay,
        )
        rates = VariationRates(
            word_dropout=settings.word_dropout,
            mention_swap=settings.mention_swap,
            word_blend=settings.word_blend,
            word_cuts=settings.word_cuts,
        )
        selects_on = settings.selects_on or writer.notation.fit_selects_on
        result = fit(
            writer,
            instances,
            stage,
            job.context(writer, selects_on, k=1),
            variation=Variation(writer.notation, instances, rates),
            settings=settings,
        )
        info = dataclasses.asdict(result)
    job.save(writer, "fitted")
    job.run.mark_done("fit", info, wrote=["fitted"])
    return job.load("fitted")


def gold_text_of(data: RunData) -> Callable[[Example], str | None] | None:
    """What TRL's reward functions get as `completion` of the gold; None where it is a text."""
    if data.task == "text":
        return None
    form = label_format(data.train)
    return lambda example: None if example.gold is None else form.encode(example, example.gold)
