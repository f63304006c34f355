"""A run at work: its stages in order, each saved when done and continued when it was not.

What the jobs of labelers and of generators have in common; see `job` and `text_job`.
"""

from __future__ import annotations

import dataclasses
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from accelerate import Accelerator

from groot.config import Config, to_yaml
from groot.engine.events import Note, OnEvent, StageFinished, StageStarted, StepDone
from groot.engine.files import free_space_check, write_folder, write_json, write_text
from groot.engine.interrupts import Interrupt
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted, StageContext, StageResult, StageSettings
from groot.engine.weight_average import go_back
from groot.evaluation.comparison import CHOOSING_SPLIT, compare, measured_on
from groot.evaluation.duplicates import are_duplicates
from groot.evaluation.measure import measure
from groot.evaluation.measurement import Measurement
from groot.evaluation.records import read_records, write_records
from groot.models.embedded import count_parameters
from groot.models.loading import add_lora
from groot.models.text_model import TextModel, set_dropout
from groot.recipes.dev import over_processes
from groot.recipes.plan import disk_bytes
from groot.recipes.reward_counts import RewardCount, summed
from groot.recipes.rounds import Round, rounds_of
from groot.recipes.start import RunData
from groot.rewards import Reward
from groot.rollouts.candidate_sets import Case, describe, read_cases, write_cases
from groot.search.found import Found
from groot.search.proofs import proofs
from groot.studies.evaluate_folder import CONFIG_FILE, with_rewards
from groot.types import Candidate, Example

RESULTS_FILE = "results.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of a test example.

    Args:
        candidates: best first.
        searches: that they come from, for the certificates; none where texts are written.
    """

    candidates: Sequence[Candidate]
    searches: tuple[Found, ...] = ()


class Held(Protocol):
    """What is trained: a labeler or a generator."""

    model: TextModel

    def with_model(self, model: TextModel) -> Any:
        """The same around another model."""

    def save(self, folder: str | Path) -> None:
        """Write it as an ordinary transformers folder, with `groot.json` beside it."""


Holder = TypeVar("Holder", bound=Held)
TrainItem = TypeVar("TrainItem")


@dataclasses.dataclass
class StagedRun(ABC, Generic[Holder, TrainItem]):
    """A run at work: fit, rounds of optimisation, evaluation.

    A kind of run says how its model is opened, fitted, searched and contrasted; what is saved
    when, and what a continued run does not do again, is said here.

    Args:
        config: the settings.
        data: of the run.
        reward: what is maximised.
        run: the run's folder, locked.
        accelerator: on what, and with how many processes.
        events: told what happens.
        interrupt: whether to stop.
    """

    config: Config
    data: RunData
    reward: Reward
    run: RunFolder
    accelerator: Accelerator
    events: OnEvent
    interrupt: Interrupt

    choices: ClassVar[tuple[str, ...]] = ("top",)  # orders of candidates that are evaluated

    # What a kind of run says

    @abstractmethod
    def open(self, folder: Path) -> Holder:
        """The model in a folder that `save` wrote."""

    @abstractmethod
    def items(self, holder: Holder) -> tuple[list[TrainItem], list[str]]:
        """The training set, and a line on each gold that cannot be learnt."""

    @abstractmethod
    def passes(self) -> int:
        """Passes of the likelihood training at most."""

    @abstractmethod
    def fit(
        self, holder: Holder, items: Sequence[TrainItem], settings: StageSettings
    ) -> StageResult:
        """Train on likelihood."""

    @abstractmethod
    def examples_of(self, items: Sequence[TrainItem]) -> list[Example]:
        """The examples of items, which a file of candidates speaks of."""

    @abstractmethod
    def generate(
        self,
        holder: Holder,
        items: Sequence[TrainItem],
        mine: Sequence[int],
        round: Round,
        progress: Callable[[int], None],
    ) -> list[Case]:
        """Candidates with rewards of the items `mine`."""

    @abstractmethod
    def contrast(
        self,
        holder: Holder,
        items: Sequence[TrainItem],
        cases: Sequence[Case],
        settings: StageSettings,
        round: Round,
    ) -> StageResult:
        """Train on rewarded candidates."""

    @abstractmethod
    def search(self, holder: Holder, mine: Sequence[int], stage: str) -> list[Answer]:
        """What the holder says of the test examples `mine`."""

    @abstractmethod
    def ranked(
        self, examples: Sequence[Example], found: Sequence[Sequence[Candidate]], how: str
    ) -> Sequence[Sequence[Candidate]]:
        """Candidates in the order of one of `choices`."""

    # The outline

    def do(self, holder: Holder | None) -> dict[str, Any]:
        """Do the run, or what is left of it; returns what results.json holds."""
        run, main = self.run, self.accelerator.is_main_process
        results_file = run.path / RESULTS_FILE
        if self._is_measured("evaluate") and results_file.is_file():
            self.events(Note(f"{run.path}: this run is finished"))
            results: dict[str, Any] = json.loads(results_file.read_text("utf-8"))
            return results
        if holder is not None and main:
            free_space_check(run.path, self._disk_bytes(holder))
            write_text(run.path / CONFIG_FILE, to_yaml(self.config))
            with write_folder(run.path / "start") as folder:
                holder.save(folder)
            run.mark_done("start", wrote=["start"])
        self.accelerator.wait_for_everyone()
        holder = self._load("start")
        items, missed = self.items(holder)
        if missed:
            shown = "; ".join(missed[:3])
            self.events(
                Note(
                    f"{len(missed)} gold labels cannot be written by any target: {shown}", "warning"
                )
            )
        holder = self._fit(holder, items)
        self._optimise(holder, items)
        return self._evaluate()

    def _load(self, name: str) -> Holder:
        holder = self.open(self.run.written(name))
        settings = self.config.model
        if settings.lora_r and name != "model":
            model = add_lora(
                holder.model,
                r=settings.lora_r,
                alpha=settings.lora_alpha,
                dropout=settings.lora_dropout,
            )
            holder = holder.with_model(model)
        holder.model.to(self.accelerator.device)
        return holder

    def _save(self, holder: Holder, name: str) -> None:
        if self.accelerator.is_main_process:
            with write_folder(self.run.path / name) as folder:
                holder.save(folder)
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

    def _context(
        self, measure_dev: Callable[[], dict[str, float]], selects_on: str
    ) -> StageContext:
        return StageContext(
            measure=measure_dev,
            selects_on=selects_on,
            run=self.run,
            accelerator=self.accelerator,
            events=self.events,
            should_stop=self._should_stop,
        )

    # The stages

    def _fit(self, holder: Holder, items: Sequence[TrainItem]) -> Holder:
        if self.run.is_done("fit"):
            return self._load("fitted")
        settings, passes = self.config.fit, self.passes()
        if passes == 0:
            self._save(holder, "fitted")
            self.run.mark_done("fit", {"seconds": 0.0}, wrote=["fitted"])
            return self._load("fitted")
        stage = self._stage(
            "fit",
            passes=passes,
            evaluations=settings.evaluations,
            patience=settings.patience,
            warmup=settings.warmup,
            max_grad_norm=settings.max_grad_norm,
            average_decay=settings.average_decay,
        )
        result = self.fit(holder, items, stage)
        self._save(holder, "fitted")
        self.run.mark_done("fit", dataclasses.asdict(result), wrote=["fitted"])
        return self._load("fitted")  # as a continued run would

    def _optimise(self, holder: Holder, items: Sequence[TrainItem]) -> None:
        settings, rounds = self.config.optimise, self.rounds()
        for round in rounds:
            following = next((other for other in rounds if other.number > round.number), None)
            folder = f"checkpoints/after-{round.file_name}" if following else "model"
            if self.run.is_done(round.name):
                if following is None or not self.run.is_done(following.name):
                    holder = self._load(folder)
                continue
            if round.goes_back:
                fitted = self._load("fitted").model
                go_back(holder.model, fitted, share=self.config.distil.fitted_share)
            cases = self._candidates(holder, items, round)
            set_dropout(holder.model, settings.dropout)
            decay = self.config.distil.average_decay if round.distils else settings.average_decay
            stage = self._stage(
                round.name,
                passes=settings.passes_per_round,
                evaluations=settings.evaluations,
                max_grad_norm=settings.max_grad_norm,
                average_decay=decay,
            )
            result = self.contrast(holder, items, cases, stage, round)
            self._save(holder, folder)
            self.run.mark_done(round.name, dataclasses.asdict(result), wrote=[folder])
            holder = self._load(folder)
        if not rounds and not self.run.is_done("no rounds"):
            self._save(holder, "model")
            self.run.mark_done("no rounds", wrote=["model"])

    def rounds(self) -> list[Round]:
        """The rounds of the run, in order."""
        return rounds_of(self.config)

    def _candidates(self, holder: Holder, items: Sequence[TrainItem], round: Round) -> list[Case]:
        settings = self.config.optimise
        if settings.candidates_file is not None and not round.distils:
            return read_cases(Path(settings.candidates_file), self.examples_of(items))
        items = list(items) * round.variations
        name = f"candidates/{round.file_name}.parquet"
        path, stage = self.run.path / name, round.candidates
        if self.run.is_done(stage):
            return read_cases(self.run.written(name))
        self.run.rewind_log()  # a run that was killed here has logged this stage already
        counts = RewardCount(self.reward, self.accelerator)
        started = time.perf_counter()
        self.events(StageStarted(stage, len(items)))
        share = self.accelerator.num_processes

        def progress(done: int) -> None:
            self.events(StepDone(stage, min(done * share, len(items)), len(items)))
            self._stop_between_chunks(stage)

        cases = over_processes(
            lambda mine: self.generate(holder, items, mine, round, progress),
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
        self.run.mark_done(stage, info, wrote=[name])
        self.events(StageFinished(stage, seconds, numbers))
        return cases

    def _evaluate(self) -> dict[str, Any]:
        fitted = self._measured("fit", "fitted")
        optimised = self._measured("optimised", "model")
        evaluation = self.config.evaluation
        results: dict[str, Any] = {}
        if self.accelerator.is_main_process:
            samples = evaluation.bootstrap_samples
            for stage, measured in (("fit", fitted), ("optimised", optimised)):
                proven = self.run.info_of(f"evaluate {stage}").get("proofs")
                for name, one in measured.items():
                    results[name] = one.summary(n_resamples=samples) | {"proofs": proven}
            for before, after in zip(fitted, optimised, strict=True):
                results["paired" + before.removeprefix("fit")] = compare(
                    fitted[before],
                    optimised[after],
                    is_tested=self.data.split != CHOOSING_SPLIT,
                    n_resamples=samples,
                    seed=self.config.seed,
                )
            results |= {
                "split": self.data.split,
                "measured_on": measured_on(self.data.split),
                "k": evaluation.k,
                "reward": self.reward.name,
                "seconds": self._seconds(),
                "bad_lines": len(self.data.problems),
                "rewards_missing": self._reward_counts(),
            }
            write_json(self.run.path / RESULTS_FILE, results)
        self.run.mark_done("evaluate", {"evaluation": evaluation.model_dump()})
        self.accelerator.wait_for_everyone()
        return results

    def _measured(self, name: str, folder: str) -> dict[str, Measurement]:
        """Predictions of a model in each order, stored and measured."""
        evaluation, examples = self.config.evaluation, self.data.test
        keys = {how: name if how == "top" else f"{name}_{how}" for how in self.choices}
        names = {key: f"evaluation/{key}.jsonl" for key in keys.values()}
        stage = f"evaluate {name}"
        if not self._is_measured(stage):
            holder = self.open(self.run.written(folder))
            holder.model.to(self.accelerator.device)
            self.events(StageStarted(stage, len(examples)))
            counts = RewardCount(self.reward, self.accelerator)
            started = time.perf_counter()
            answers: list[Answer] = over_processes(
                lambda mine: self.search(holder, mine, stage),
                len(examples),
                self.accelerator,
            )
            if self.accelerator.is_main_process:
                found = [one.candidates for one in answers]
                for how, key in keys.items():
                    ranked = [
                        list(some[: evaluation.k]) for some in self.ranked(examples, found, how)
                    ]
                    rewarded = with_rewards(examples, ranked, self.reward)
                    write_records(self.run.path / names[key], examples, rewarded)
            self.accelerator.wait_for_everyone()
            searches = [search for one in answers for search in one.searches]
            proven = proofs(searches).as_json() if searches else None
            info = {"rewards": counts.so_far(), "proofs": proven}
            info["evaluation"] = evaluation.model_dump()
            self.run.mark_done(stage, info, wrote=[*names.values()])
            self.events(StageFinished(stage, time.perf_counter() - started, {}))
        measured = {}
        for key, file in names.items():
            kept, ranked = read_records(self.run.written(file))
            measured[key] = measure(
                kept,
                ranked,
                k=evaluation.k,
                metric=self.reward.metric,
                reward=self.reward.name,
                scheme=self.data.scheme,
                seed=self.config.seed,
            )
            is_duplicate = are_duplicates(
                [example.text for example in kept], [example.text for example in self.data.train]
            )
            measured[key] = dataclasses.replace(measured[key], is_duplicate=is_duplicate)
        return measured

    def _is_measured(self, stage: str) -> bool:
        """Whether a stage that measures is done, the way the settings ask for by now."""
        wanted = self.config.evaluation.model_dump()
        return self.run.is_done(stage) and self.run.info_of(stage)["evaluation"] == wanted

    def _seconds(self) -> dict[str, float]:
        """Of both stages, over all the starts of the run; making candidates is part of optimise."""

        def spent(stage: str) -> float:
            return float(self.run.info_of(stage)["seconds"]) if self.run.is_done(stage) else 0.0

        stages = [name for round in self.rounds() for name in (round.name, round.candidates)]
        return {"fit": spent("fit"), "optimise": sum(map(spent, stages))}

    def _reward_counts(self) -> dict[str, dict[str, int]]:
        """What was asked of the reward for candidates and final numbers."""
        stages = [round.candidates for round in self.rounds()]
        stages += ["evaluate fit", "evaluate optimised"]
        done = [self.run.info_of(stage) for stage in stages if self.run.is_done(stage)]
        return summed(info.get("rewards", {}) for info in done)

    def _disk_bytes(self, holder: Holder) -> int:
        return disk_bytes(self.config, count_parameters(holder.model))


def objective_settings(config: Config) -> dict[str, float]:
    """The settings of the objective that the config names."""
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
