"""The final numbers of a run: fitted and optimised, each in every order of its candidates."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from groot.engine.events import StageFinished, StageStarted, StepDone
from groot.engine.files import write_json
from groot.evaluation.comparison import CHOOSING_SPLIT, compare, measured_on
from groot.evaluation.duplicates import are_duplicates
from groot.evaluation.measure import measure
from groot.evaluation.measurement import Measurement
from groot.evaluation.records import read_records, write_records
from groot.outputs.choose import choose_all
from groot.outputs.marginals import with_probabilities
from groot.recipes.dev import over_processes
from groot.recipes.job import RESULTS_FILE, Job
from groot.recipes.reward_counts import RewardCount, summed
from groot.recipes.rounds import Round
from groot.search.found import without_targets
from groot.search.label_search import first_width
from groot.search.proofs import proofs
from groot.studies.evaluate_folder import with_rewards
from groot.writer.notation import Answer, Asked
from groot.writer.writer import Writer

# How rank 1 is found, in the final numbers as in groot predict.
DECISION = {"spans": "label search", "classes": "label search", "text": "beam search"}

CHUNK = 256  # examples between two looks at the clock


def final_numbers(job: Job, rounds: Sequence[Round]) -> dict[str, Any]:
    """Measure both models on the test set, compare them, and write results.json."""
    fitted = measured(job, "fit", "fitted")
    optimised = measured(job, "optimised", "model")
    evaluation = job.config.evaluation
    results: dict[str, Any] = {}
    if job.accelerator.is_main_process:
        samples = evaluation.bootstrap_samples
        for stage, measurements in (("fit", fitted), ("optimised", optimised)):
            proven = job.run.info_of(f"evaluate {stage}").get("proofs")
            for name, measurement in measurements.items():
                summary = measurement.summary(n_resamples=samples)
                results[name] = summary | {"proofs": proven}
        for before, after in zip(fitted, optimised, strict=True):
            results["paired" + before.removeprefix("fit")] = compare(
                fitted[before],
                optimised[after],
                is_tested=job.data.split != CHOOSING_SPLIT,
                n_resamples=samples,
                seed=job.config.seed,
            )
        results |= {
            "split": job.data.split,
            "measured_on": measured_on(job.data.split),
            "decision": DECISION[job.data.task],
            "k": evaluation.k,
            "reward": job.reward.name,
            "seconds": stage_seconds(job, rounds),
            "bad_lines": len(job.data.problems),
            "rewards_missing": reward_counts(job, rounds),
        }
        write_json(job.run.path / RESULTS_FILE, results)
    job.run.mark_done("evaluate", {"evaluation": evaluation.model_dump()})
    job.accelerator.wait_for_everyone()
    return results


def measured(job: Job, name: str, folder: str) -> dict[str, Measurement]:
    """Predictions of a model in each order, stored and measured."""
    evaluation, examples = job.config.evaluation, job.data.test
    writer = job.load(folder)
    choices = writer.notation.choices
    keys = {how: name if how == "top" else f"{name}_{how}" for how in choices}
    files = {key: f"evaluation/{key}.jsonl" for key in keys.values()}
    stage = f"evaluate {name}"
    if not job.is_measured(stage):
        job.events(StageStarted(stage, len(examples)))
        counts = RewardCount(job.reward, job.accelerator)
        started = time.perf_counter()
        answers: list[Answer] = over_processes(
            lambda own: answers_to_test(job, writer, own, stage), len(examples), job.accelerator
        )
        if job.accelerator.is_main_process:
            candidates = [answer.candidates for answer in answers]
            for how, key in keys.items():
                ordered = choose_all(examples, candidates, job.reward, how=how)
                ranked = [of_text[: evaluation.k] for of_text in ordered]
                rewarded = with_rewards(examples, ranked, job.reward)
                write_records(job.run.path / files[key], examples, rewarded)
        job.accelerator.wait_for_everyone()
        searches = [search for answer in answers for search in answer.searches]
        proven = proofs(searches).as_json() if searches else None
        info = {"rewards": counts.so_far(), "proofs": proven}
        info["evaluation"] = evaluation.model_dump()
        job.run.mark_done(stage, info, wrote=[*files.values()])
        job.events(StageFinished(stage, time.perf_counter() - started, {}))
    measurements = {}
    for key, file in files.items():
        kept, ranked = read_records(job.run.written(file))
        measurement = measure(
            kept,
            ranked,
            k=evaluation.k,
            metric=job.reward.metric,
            reward=job.reward.name,
            scheme=job.data.scheme,
            seed=job.config.seed,
        )
        is_duplicate = are_duplicates(
            [example.text for example in kept], [example.text for example in job.data.train]
        )
        measurements[key] = dataclasses.replace(measurement, is_duplicate=is_duplicate)
    return measurements


def answers_to_test(job: Job, writer: Writer, indices: Sequence[int], stage: str) -> list[Answer]:
    """The top candidates of test examples, enough to choose among, with their certificates."""
    examples = [job.data.test[index] for index in indices]
    wanted, search = job.config.evaluation.k, job.config.search
    if "mbr" in writer.notation.choices:
        wanted = max(wanted, job.config.evaluation.mbr_candidates)
    asked = Asked(
        wanted,
        width=max(search.width, first_width(wanted)),
        max_width=search.max_width,
        batch_size=search.batch_size,
    )
    answers: list[Answer] = []
    for first in range(0, len(examples), CHUNK):
        answers += [
            dataclasses.replace(
                answer,
                candidates=with_probabilities(answer.candidates),
                searches=tuple(map(without_targets, answer.searches)),
            )
            for answer in writer.answers(examples[first : first + CHUNK], asked)
        ]
        job.events(StepDone(stage, len(answers), len(examples)))
        job.stop_between_chunks(stage)
    return answers


def stage_seconds(job: Job, rounds: Sequence[Round]) -> dict[str, float]:
    """Of both stages, over all the starts of the run; making candidates is part of optimise."""

    def spent(stage: str) -> float:
        return float(job.run.info_of(stage)["seconds"]) if job.run.is_done(stage) else 0.0

    stages = [name for round in rounds for name in (round.name, round.candidates)]
    return {"fit": spent("fit"), "optimise": sum(map(spent, stages))}


def reward_counts(job: Job, rounds: Sequence[Round]) -> dict[str, dict[str, int]]:
    """What was asked of the reward for candidates and final numbers."""
    stages = [round.candidates for round in rounds]
    stages += ["evaluate fit", "evaluate optimised"]
    done = [job.run.info_of(stage) for stage in stages if job.run.is_done(stage)]
    return summed(info.get("rewards", {}) for info in done)
