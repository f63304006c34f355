"""A run at work: its stages in order, each saved when done and continued when it was not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from accelerate import Accelerator

from groot.config import Config, to_yaml
from groot.engine.events import Note, OnEvent
from groot.engine.files import free_space_check, write_folder, write_text
from groot.engine.interrupts import Interrupt
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted, StageContext, StageSettings
from groot.models.embedded import count_parameters
from groot.recipes.dev import likelihood_numbers, reward_numbers
from groot.recipes.make_writer import with_adapters
from groot.recipes.plan import disk_bytes
from groot.recipes.rounds import rounds_of
from groot.recipes.run_data import RunData
from groot.rewards import Reward
from groot.rollouts.instances import training_instances
from groot.writer.folders import load
from groot.writer.writer import Writer

CONFIG_FILE = "config.yaml"
RESULTS_FILE = "results.json"
LIKELIHOOD = "log_p_per_token"  # the dev number that needs no search


@dataclasses.dataclass(frozen=True)
class Job:
    """What the stages of a run work with.

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

    def begin(self, writer: Writer | None) -> Writer:
        """The writer that the run starts from: what is given is written down first.

        Args:
            writer: of a run that is new; None continues.
        """
        run = self.run
        if writer is not None and self.accelerator.is_main_process:
            n_rounds = len(rounds_of(self.config, can_vary=writer.notation.can_vary))
            needed = disk_bytes(self.config, count_parameters(writer.model), n_rounds)
            free_space_check(run.path, needed)
            write_text(run.path / CONFIG_FILE, to_yaml(self.config))
            with write_folder(run.path / "start") as folder:
                writer.save(folder)
            run.mark_done("start", wrote=["start"])
        self.accelerator.wait_for_everyone()
        return self.load("start")

    def results(self) -> dict[str, Any] | None:
        """What results.json of a finished run holds; None where it is not finished."""
        path = self.run.path / RESULTS_FILE
        if not self.is_measured("evaluate") or not path.is_file():
            return None
        self.events(Note(f"{self.run.path}: this run is finished"))
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return stored

    def is_measured(self, stage: str) -> bool:
        """Whether a stage that measures is done, the way the settings ask for by now."""
        wanted = self.config.evaluation.model_dump()
        return self.run.is_done(stage) and self.run.info_of(stage)["evaluation"] == wanted

    def load(self, name: str) -> Writer:
        """The writer in a folder of the run, ready to be trained or asked."""
        writer = load(self.run.written(name))
        writer.is_trusted = True  # the run's reward is the user's own, and named by them
        if name != "model":
            adapted = with_adapters(writer.model, self.config)
            writer = writer if adapted is writer.model else writer.with_model(adapted)
        writer.model.to(self.accelerator.device)
        return writer

    def save(self, writer: Writer, name: str) -> None:
        """Write the writer to a folder of the run, with the texts that it has learnt from."""
        ledger = writer.ledger.with_texts("learnt_from", (e.text for e in self.data.train))
        writer.ledger = ledger.with_texts("chosen_on", (e.text for e in self.data.dev))
        if self.accelerator.is_main_process:
            with write_folder(self.run.path / name) as folder:
                writer.save(folder)
        self.accelerator.wait_for_everyone()

    def stage(self, name: str, **settings: Any) -> StageSettings:
        """The settings of a stage, those of the whole run filled in."""
        return StageSettings(
            name=name,
            seed=self.config.seed,
            checkpoint_every_s=self.config.output.checkpoint_every_s,
            keep_checkpoints=self.config.output.keep_checkpoints,
            **settings,
        )

    def context(self, writer: Writer, selects_on: str, *, k: int) -> StageContext:
        """What a stage of a writer works with; the dev number `selects_on` picks its weights.

        Args:
            k: ranks of dev that are looked at.
        """
        return StageContext(
            measure=self._dev_measurement(writer, selects_on, k),
            selects_on=selects_on,
            run=self.run,
            accelerator=self.accelerator,
            events=self.events,
            should_stop=self._should_stop,
        )

    def _dev_measurement(
        self, writer: Writer, selects_on: str, k: int
    ) -> Callable[[], dict[str, float]]:
        logs_likelihood = LIKELIHOOD in (selects_on, writer.notation.fit_selects_on)
        gold = training_instances(writer.notation, self.data.dev)[0] if logs_likelihood else []

        def measure() -> dict[str, float]:
            numbers = likelihood_numbers(writer, gold, self.accelerator) if gold else {}
            if selects_on != LIKELIHOOD:
                numbers |= reward_numbers(writer, self.data.dev, self.reward, self.accelerator, k=k)
            return numbers

        return measure

    def _should_stop(self) -> bool:
        return self.interrupt.requested_anywhere(self.accelerator)

    def stop_between_chunks(self, where: str) -> None:
        """Leave the run where it was asked to stop, between two pieces of a long search."""
        if self.accelerator.num_processes == 1 and self.interrupt.requested:
            raise Interrupted(f"{where}: stopped")
