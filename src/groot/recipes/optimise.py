"""Optimise: rounds of fresh candidates and training on them, contrast first, then distillation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groot.config import Config
from groot.engine.events import StageFinished, StageStarted, StepDone
from groot.engine.marks import mark_of_tensors
from groot.engine.weight_average import go_back
from groot.models.text_model import set_dropout
from groot.recipes.contrast import ContrastSettings, contrast, contrast_cases
from groot.recipes.dev import over_processes
from groot.recipes.job import Job
from groot.recipes.objective import objective_of
from groot.recipes.reward_counts import RewardCount
from groot.recipes.rounds import Round
from groot.rollouts.instances import Instance, Variation, VariationRates
from groot.rollouts.sampler import Generation, Sampler
from groot.rollouts.store import Case, describe, read_cases, write_cases
from groot.writer.notation import Writing
from groot.writer.writer import Writer


def optimise(
    job: Job, writer: Writer, instances: Sequence[Instance], rounds: Sequence[Round]
) -> None:
    """Do the rounds of a run that are left; the last one leaves the folder `model`.

    Args:
        writer: the fitted one.
        instances: the training set.
        rounds: of the run, in order.
    """
    for round in rounds:
        following = next((other for other in rounds if other.number > round.number), None)
        folder = f"checkpoints/after-{round.file_name}" if following else "model"
        if job.run.is_done(round.name):
            if following is None or not job.run.is_done(following.name):
                writer = job.load(folder)
            continue
        if round.goes_back:
            go_back(writer.model, job.load("fitted").model, share=job.config.distil.fitted_share)
        cases = round_cases(job, writer, instances, round)
        train_round(job, writer, instances, cases, round, folder)
        writer = job.load(folder)
    if not rounds and not job.run.is_done("no rounds"):
        job.save(writer, "model")
        job.run.mark_done("no rounds", wrote=["model"])


def train_round(
    job: Job,
    writer: Writer,
    instances: Sequence[Instance],
    cases: Sequence[Case],
    round: Round,
    folder: str,
) -> None:
    """Contrast candidates by their rewards, or distil what MBR chooses among them."""
    settings, aim = job.config.optimise, aim_of(job.config, round)
    set_dropout(writer.model, settings.dropout)
    stage = job.stage(
        round.name,
        passes=settings.passes_per_round,
        evaluations=settings.evaluations,
        max_grad_norm=settings.max_grad_norm,
        average_decay=aim.average_decay,
    )
    result = contrast(
        writer,
        contrast_cases(writer.notation, cases, gold_share=aim.gold_share),
        stage,
        job.context(writer, aim.selects_on, k=settings.selection_k),
        variation=_variation(job, writer, instances),
        settings=aim.maximised,
    )
    job.save(writer, folder)
    job.run.mark_done(round.name, dataclasses.asdict(result), wrote=[folder])


@dataclass(frozen=True, slots=True)
class Aim:
    """What a round goes for.

    Args:
        maximised: on its candidates.
        gold_share: share of the reward in what is learnt, see `contrast_cases`.
        selects_on: the dev number that picks the weights.
        average_decay: of the average of the weights, see `train_stage`.
    """

    maximised: ContrastSettings
    gold_share: float
    selects_on: str
    average_decay: float


def aim_of(config: Config, round: Round) -> Aim:
    """A round of contrast learns the reward; one of distillation what the model itself expects."""
    settings, distil = config.optimise, config.distil
    maximised = ContrastSettings(
        objective=objective_of(settings.objective, settings.objective_settings),
        contrast_weight=distil.contrast_weight if round.distils else settings.contrast_weight,
        nll_weight=distil.gold_weight if round.distils else settings.nll_weight,
        mbr_weight=1.0 if round.distils else 0.0,
        batch_size=settings.batch_size,
        learning_rate=distil.learning_rate if round.distils else settings.learning_rate,
        embedding_rate=config.fit.embedding_rate,
    )
    if round.distils:
        return Aim(maximised, 0.0, "metric", distil.average_decay)
    return Aim(maximised, settings.gold_share, settings.selects_on, settings.average_decay)


def _variation(job: Job, writer: Writer, instances: Sequence[Instance]) -> Variation:
    settings = job.config.optimise
    rates = VariationRates(
        word_dropout=settings.word_dropout,
        mention_swap=settings.mention_swap,
        word_blend=job.config.fit.word_blend,
    )
    return Variation(writer.notation, instances, rates)


def round_cases(
    job: Job, writer: Writer, instances: Sequence[Instance], round: Round
) -> list[Case]:
    """The candidates of a round, made or read again; or those of a file from outside."""
    settings = job.config.optimise
    if settings.candidates_file is not None and not round.distils:
        examples = [instance.example for instance in instances]
        return read_cases(Path(settings.candidates_file), examples)
    name = f"candidates/{round.file_name}.parquet"
    weights = mark_of_tensors(writer.model.state_dict())
    if job.run.is_done(round.candidates):
        return read_cases(job.run.written(name), weights=weights)
    job.run.rewind_log()  # a run that was killed here has logged this stage already
    instances = list(instances) * round.variations
    counts = RewardCount(job.reward, job.accelerator)
    started = time.perf_counter()
    job.events(StageStarted(round.candidates, len(instances)))
    share = job.accelerator.num_processes

    def progress(done: int) -> None:
        done = min(done * share, len(instances))
        job.events(StepDone(round.candidates, done, len(instances)))
        job.stop_between_chunks(round.candidates)

    sampler = Sampler(
        writer, _variation(job, writer, instances), job.reward, _generation(job, round)
    )
    cases = over_processes(
        lambda own: sampler.cases(instances, own, progress), len(instances), job.accelerator
    )
    if job.accelerator.is_main_process:
        write_cases(job.run.path / name, cases, weights=weights)
    job.accelerator.wait_for_everyone()
    numbers = describe(cases)
    job.run.log({"step": 0, "stage": round.candidates, **numbers})
    seconds = time.perf_counter() - started
    total = sum(len(case.rows) for case in cases)
    info = {"candidates": total, "rewards": counts.so_far(), "seconds": seconds}
    job.run.mark_done(round.candidates, info, wrote=[name])
    job.events(StageFinished(round.candidates, seconds, numbers))
    return cases


def _generation(job: Job, round: Round) -> Generation:
    settings, generation = job.config.optimise, job.config.generation
    searched = settings.num_candidates
    if round.distils:
        searched = job.config.distil.num_candidates
    return Generation(
        round=round.number,
        num_candidates=searched,
        per_example=settings.candidates_per_round,
        seed=job.config.seed,
        deletions=settings.deletions,
        writing=Writing(
            generation.method,
            temperature=generation.temperature,
            top_k=generation.top_k,
            top_p=generation.top_p,
        ),
        batch_size=job.config.search.batch_size,
    )
