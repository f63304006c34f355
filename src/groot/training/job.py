"""A run at work: its stages in order, each saved when done and continued when it was not."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from groot.config import Config, to_yaml
from groot.evaluation.measure import Measurement, compare, measure
from groot.evaluation.records import read_records, write_records
from groot.labeler import Labeler, load, with_probabilities
from groot.models.embedded import count_parameters
from groot.models.loading import add_lora
from groot.models.text_model import set_dropout
from groot.rewards import Reward
from groot.search.choose import choose_all
from groot.training.candidate_sets import (
    Case,
    Generation,
    describe,
    generate,
    read_cases,
    write_cases,
)
from groot.training.dev import dev_numbers, on_main, over_processes, search_over_processes
from groot.training.evaluate_folder import CONFIG_FILE, with_rewards
from groot.training.events import Note, OnEvent, StageFinished, StageStarted, StepDone
from groot.training.files import free_space_check, write_folder, write_json, write_text
from groot.training.fit import fit
from groot.training.interrupts import Interrupt
from groot.training.items import Item, Variation, training_items
from groot.training.optimise import contrast, contrast_cases
from groot.training.plan import disk_bytes
from groot.training.reward_counts import RewardCount, summed
from groot.training.run_folder import RunFolder
from groot.training.stage import Interrupted, StageContext, StageSettings
from groot.training.start import RunData, count_words, fit_passes
from groot.types import Candidate, Example

RESULTS_FILE = "results.json"
VARIANTS = ("fit", "fit_mbr", "optimised", "optimised_mbr")


@dataclasses.dataclass
class Job:
    """A run at work."""

    config: Config
    data: RunData
    reward: Reward
    run: RunFolder
    accelerator: Accelerator
    events: OnEvent
    interrupt: Interrupt

    def do(self, labeler: Labeler | None) -> dict[str, Any]:
        run, main = self.run, self.accelerator.is_main_process
        if run.is_done("evaluate"):
            self.events(Note(f"{run.path}: this run is finished"))
            results: dict[str, Any] = json.loads((run.path / RESULTS_FILE).read_text("utf-8"))
            return results
        if labeler is not None and main:
            free_space_check(run.path, self._disk_bytes(labeler))
            write_text(run.path / CONFIG_FILE, to_yaml(self.config))
            with write_folder(run.path / "start") as folder:
                labeler.save(folder)
        self.accelerator.wait_for_everyone()
        labeler = self._load("start")
        items, missed = training_items(labeler, self.data.train)
        if missed:
            shown = "; ".join(missed[:3])
            self.events(
                Note(
                    f"{len(missed)} gold labels cannot be written by any target: {shown}", "warning"
                )
            )
        labeler = self._fit(labeler, items)
        labeler = self._optimise(labeler, items)
        return self._evaluate()

    def _load(self, name: str) -> Labeler:
        labeler = load(self.run.path / name)
        settings = self.config.model
        if settings.lora_r and name != "model":
            model = add_lora(
                labeler.model,
                r=settings.lora_r,
                alpha=settings.lora_alpha,
                dropout=settings.lora_dropout,
            )
            labeler = labeler.with_model(model)
        labeler.model.to(self.accelerator.device)
        return labeler

    def _save(self, labeler: Labeler, name: str) -> None:
        if self.accelerator.is_main_process:
            with write_folder(self.run.path / name) as folder:
                labeler.save(folder)
        self.accelerator.wait_for_everyone()

    def _should_stop(self) -> bool:
        return self.interrupt.requested_anywhere(self.accelerator)

    def _stop_between_chunks(self, where: str) -> None:
        if self.accelerator.num_processes == 1 and self.interrupt.requested:
            raise Interrupted(f"{where}: stopped")

    def _stage(self, name: str, **settings: Any) -> StageSettings:
        return StageSettings(
            name=name,
            seed=self.config.seed,
            checkpoint_every_s=self.config.output.checkpoint_every_s,
            keep_checkpoints=self.config.output.keep_checkpoints,
            **settings,
        )

    def _context(self, labeler: Labeler, k: int, selects_on: str) -> StageContext:
        return StageContext(
            measure=partial(self._measure_dev, labeler, k),
            selects_on=selects_on,
            run=self.run,
            accelerator=self.accelerator,
            events=self.events,
            should_stop=self._should_stop,
        )

    def _measure_dev(self, labeler: Labeler, k: int) -> dict[str, float]:
        found = search_over_processes(
            labeler, self.data.dev, k=k, max_width=0, accelerator=self.accelerator
        )
        return dict(
            on_main(lambda: dev_numbers(self.data.dev, found, self.reward), self.accelerator)
        )

    # The stages

    def _fit(self, labeler: Labeler, items: Sequence[Item]) -> Labeler:
        if self.run.is_done("fit"):
            return self._load("fitted")
        settings = self.config.fit
        passes = fit_passes(self.config, count_words(self.data.train))
        if passes == 0:
            self._save(labeler, "fitted")
            self.run.mark_done("fit", {"seconds": 0.0})
            return self._load("fitted")
        result = fit(
            labeler,
            items,
            self._stage(
                "fit",
                passes=passes,
                evaluations=settings.evaluations,
                patience=settings.patience,
                warmup=settings.warmup,
                max_grad_norm=settings.max_grad_norm,
                average_decay=settings.average_decay,
            ),
            self._context(labeler, 1, "metric"),
            variation=Variation(
                items,
                word_dropout=settings.word_dropout,
                mention_swap=settings.mention_swap,
                word_blend=settings.word_blend,
                word_cuts=settings.word_cuts,
            ),
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            embedding_rate=settings.embedding_rate,
            weight_decay=settings.weight_decay,
        )
        self._save(labeler, "fitted")
        self.run.mark_done("fit", dataclasses.asdict(result))
        return self._load("fitted")  # as a continued run would

    def _optimise(self, labeler: Labeler, items: Sequence[Item]) -> Labeler:
        settings = self.config.optimise
        variation = Variation(
            items,
            word_dropout=settings.word_dropout,
            mention_swap=settings.mention_swap,
            word_blend=self.config.fit.word_blend,
        )
        for round in range(1, settings.rounds + 1):
            name = f"round {round}"
            if self.run.is_done(name):
                if round == settings.rounds or not self.run.is_done(f"round {round + 1}"):
                    labeler = self._load(_round_folder(round, settings.rounds))
                continue
            cases = self._candidates(labeler, items, round, variation)
            set_dropout(labeler.model, settings.dropout)
            result = contrast(
                labeler,
                contrast_cases(labeler, cases, gold_share=settings.gold_share),
                self._stage(
                    name,
                    passes=settings.passes_per_round,
                    evaluations=settings.evaluations,
                    max_grad_norm=settings.max_grad_norm,
                    average_decay=settings.average_decay,
                ),
                self._context(labeler, self.config.evaluation.k, settings.selects_on),
                variation=variation,
                objective=settings.objective,
                objective_settings=_objective_settings(self.config),
                nll_weight=settings.nll_weight,
                contrast_weight=settings.contrast_weight,
                batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                embedding_rate=self.config.fit.embedding_rate,
            )
            folder = _round_folder(round, settings.rounds)
            self._save(labeler, folder)
            self.run.mark_done(name, dataclasses.asdict(result))
            labeler = self._load(folder)
        if settings.rounds == 0 and not (self.run.path / "model").exists():
            self._save(labeler, "model")
        return labeler

    def _candidates(
        self, labeler: Labeler, items: Sequence[Item], round: int, variation: Variation
    ) -> list[Case]:
        settings = self.config.optimise
        if settings.candidates_file is not None:
            return read_cases(Path(settings.candidates_file), [item.example for item in items])
        path = self.run.path / "candidates" / f"round-{round}.parquet"
        stage = f"round {round}: candidates"
        if self.run.is_done(stage):
            return read_cases(path)
        self.run.rewind_log()  # a run that was killed here has logged this stage already
        counts = RewardCount(self.reward, self.accelerator)
        started = time.perf_counter()
        self.events(StageStarted(stage, len(items)))
        share = self.accelerator.num_processes

        def progress(done: int) -> None:
            self.events(StepDone(stage, min(done * share, len(items)), len(items)))
            self._stop_between_chunks(stage)

        cases = over_processes(
            lambda mine: generate(
                labeler,
                items,
                mine,
                variation=variation,
                reward=self.reward,
                settings=Generation(
                    round=round,
                    num_candidates=settings.num_candidates,
                    per_example=settings.candidates_per_round,
                    seed=self.config.seed,
                    deletions=settings.deletions,
                    batch_size=self.config.search.batch_size,
                ),
                progress=progress,
            ),
            len(items),
            self.accelerator,
        )
        if self.accelerator.is_main_process:
            write_cases(path, cases)
        self.accelerator.wait_for_everyone()
        numbers = describe(cases)
        self.run.log({"step": 0, "stage": stage, **numbers})
        total = sum(len(case.rows) for case in cases)
        seconds = time.perf_counter() - started
        info = {"candidates": total, "rewards": counts.so_far(), "seconds": seconds}
        self.run.mark_done(stage, info)
        self.events(StageFinished(stage, seconds, numbers))
        return cases

    def _evaluate(self) -> dict[str, Any]:
        fitted = self._measured("fit", "fitted")
        optimised = self._measured("optimised", "model")
        evaluation = self.config.evaluation
        results: dict[str, Any] = {}
        if self.accelerator.is_main_process:
            samples = evaluation.bootstrap_samples
            both = {**fitted, **optimised}
            for name in VARIANTS:
                results[name] = both[name].summary(n_resamples=samples)
            results |= {
                "paired": compare(
                    fitted["fit"],
                    optimised["optimised"],
                    n_resamples=samples,
                    seed=self.config.seed,
                ),
                "paired_mbr": compare(
                    fitted["fit_mbr"],
                    optimised["optimised_mbr"],
                    n_resamples=samples,
                    seed=self.config.seed,
                ),
                "split": self.data.split,
                "k": evaluation.k,
                "reward": self.reward.name,
                "seconds": self._seconds(),
                "bad_lines": len(self.data.problems),
                "rewards_missing": self._reward_counts(),
            }
            write_json(self.run.path / RESULTS_FILE, results)
        self.run.mark_done("evaluate")
        self.accelerator.wait_for_everyone()
        return results

    def _measured(self, name: str, folder: str) -> dict[str, Measurement]:
        """Predictions of a model by both choices, stored and measured."""
        evaluation, examples = self.config.evaluation, self.data.test
        paths = {
            key: self.run.path / "evaluation" / f"{key}.jsonl" for key in (name, f"{name}_mbr")
        }
        stage = f"evaluate {name}"
        if not self.run.is_done(stage):
            labeler = self._load_plain(folder)
            self.events(StageStarted(stage, len(examples)))
            counts = RewardCount(self.reward, self.accelerator)
            started = time.perf_counter()
            found: list[list[Candidate]] = over_processes(
                lambda mine: self._search(labeler, [examples[i] for i in mine], stage),
                len(examples),
                self.accelerator,
            )
            if self.accelerator.is_main_process:
                for key, how in zip(paths, ("top", "mbr"), strict=True):
                    ranked = [
                        some[: evaluation.k]
                        for some in choose_all(examples, found, self.reward, how=how)  # type: ignore[arg-type]
                    ]
                    write_records(paths[key], examples, with_rewards(examples, ranked, self.reward))
            self.accelerator.wait_for_everyone()
            self.run.mark_done(stage, {"rewards": counts.so_far()})
            self.events(StageFinished(stage, time.perf_counter() - started, {}))
        measured = {}
        for key, path in paths.items():
            kept, ranked = read_records(path)
            measured[key] = measure(
                kept,
                ranked,
                k=evaluation.k,
                metric=self.reward.metric,
                scheme=self.data.scheme,
                seed=self.config.seed,
            )
        return measured

    def _load_plain(self, folder: str) -> Labeler:
        labeler = load(self.run.path / folder)
        labeler.model.to(self.accelerator.device)
        return labeler

    def _search(
        self, labeler: Labeler, examples: Sequence[Example], stage: str
    ) -> list[list[Candidate]]:
        found: list[list[Candidate]] = []
        wanted = max(self.config.evaluation.k, self.config.evaluation.mbr_candidates)
        for first in range(0, len(examples), 256):
            part = labeler.candidates(
                examples[first : first + 256],
                k=wanted,
                width=max(self.config.search.width, 2 * wanted),
                max_width=self.config.search.max_width,
                batch_size=self.config.search.batch_size,
            )
            found += [with_probabilities(some) for some in part]
            self.events(StepDone(stage, len(found), len(examples)))
            self._stop_between_chunks(stage)
        return found

    def _seconds(self) -> dict[str, float]:
        """Of both stages, over all the starts of the run; making candidates is part of optimise."""

        def spent(stage: str) -> float:
            return float(self.run.info_of(stage)["seconds"]) if self.run.is_done(stage) else 0.0

        rounds = range(1, self.config.optimise.rounds + 1)
        optimise = [spent(f"round {round}") for round in rounds]
        optimise += [spent(f"round {round}: candidates") for round in rounds]
        return {"fit": spent("fit"), "optimise": sum(optimise)}

    def _reward_counts(self) -> dict[str, dict[str, int]]:
        """What was asked of the reward for candidates and final numbers."""
        rounds = range(1, self.config.optimise.rounds + 1)
        stages = [f"round {round}: candidates" for round in rounds]
        stages += ["evaluate fit", "evaluate optimised"]
        done = [self.run.info_of(stage) for stage in stages if self.run.is_done(stage)]
        return summed(info.get("rewards", {}) for info in done)

    def _disk_bytes(self, labeler: Labeler) -> int:
        return disk_bytes(self.config, count_parameters(labeler.model))


def _round_folder(round: int, rounds: int) -> str:
    return "model" if round == rounds else f"checkpoints/after-round-{round}"


def _objective_settings(config: Config) -> dict[str, float]:
    settings = config.optimise
    by_objective = {
        "pair_margin": {"margin": settings.margin},
        "pair_square": {"margin": settings.margin},
        "pair_logistic": {"beta": settings.beta},
        "reward_match": {
            "reward_temperature": settings.reward_temperature,
            "log_p_temperature": settings.log_p_temperature,
        },
        "mrt": {"sharpness": settings.sharpness},
    }
    return by_objective[settings.objective]
