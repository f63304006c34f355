"""A run that makes one model: bound to what it is made of, continued where it was stopped.

DIR/model          the model, with its ledger
DIR/RESULTS.json   what came of it, written last; a finished run gives it again
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator

from groot.engine.events import Note, OnEvent, ignore_events
from groot.engine.files import discard, write_folder, write_json
from groot.engine.interrupts import Interrupt, catch_interrupts
from groot.engine.ledger import Ledger, write_ledger
from groot.engine.marks import Marks
from groot.engine.processes import make_accelerator
from groot.engine.run_folder import RunFolder
from groot.engine.stage import Interrupted, StageContext

MODEL = "model"
FINISHED = "results"  # the last stage of a run

Results = dict[str, Any]


class Saveable(Protocol):
    """What can be written to a folder."""

    def save(self, folder: str | Path) -> None:
        """Write it."""


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run works, and how.

    Args:
        out: the run's folder; a run that was stopped there is continued.
        results_file: name of the file with its results.
        events: told what happens.
        force: go on although what the run is made of has changed since it started.
    """

    out: Path
    results_file: str
    events: OnEvent = ignore_events
    force: bool = False


@dataclass(frozen=True, slots=True)
class ModelRun:
    """A run at work, in its locked folder.

    Args:
        folder: the run's folder.
        accelerator: on what, and with how many processes.
        events: told what happens.
        interrupt: whether to stop.
    """

    folder: RunFolder
    accelerator: Accelerator
    events: OnEvent
    interrupt: Interrupt

    def context(
        self, measure: Callable[[], Mapping[str, float]], *, selects_on: str
    ) -> StageContext:
        """What a stage of training works with.

        Args:
            measure: numbers of the model as it is.
            selects_on: which of them is higher for better weights.
        """
        return StageContext(
            measure=measure,
            selects_on=selects_on,
            run=self.folder,
            accelerator=self.accelerator,
            events=self.events,
            should_stop=lambda: self.interrupt.requested_anywhere(self.accelerator),
        )

    def save(self, model: Saveable, ledger: Ledger, *, name: str = MODEL) -> None:
        """Write a model and its ledger to a folder of the run, in one go."""
        if self.folder.is_writer:
            with write_folder(self.folder.path / name) as place:
                model.save(place)
                write_ledger(place, ledger)
        self.accelerator.wait_for_everyone()

    def forget(self, name: str) -> None:
        """Delete a folder of the run, if it is there."""
        path = self.folder.path / name
        if self.folder.is_writer and path.exists():
            discard(path)


def make_model(place: RunPlace, made_of: Marks, learn: Callable[[ModelRun], Results]) -> Results:
    """Do the work of a run, or what is left of it; a finished run gives its results again.

    Args:
        place: where and how.
        made_of: contents and settings that the run is bound to.
        learn: trains the model, saves it, and returns the results.

    Raises:
        CheckpointError: the run was started with something else, or its results are damaged.
        SystemExit: with 130 or 143 where the run was interrupted; it has been saved then.
    """
    with catch_interrupts() as interrupt:
        accelerator = make_accelerator()
        with RunFolder(place.out, is_writer=accelerator.is_main_process) as folder:
            folder.check_same_run(made_of, force=place.force)
            if folder.is_done(FINISHED):
                place.events(Note(f"{place.out}: this run is finished"))
                stored: Results = json.loads(folder.written(place.results_file).read_text("utf-8"))
                return stored
            try:
                results = learn(ModelRun(folder, accelerator, place.events, interrupt))
            except Interrupted as stopped:
                place.events(Note(f"{stopped}; the same command again continues", "warning"))
                interrupt.leave()
            if folder.is_writer:
                write_json(place.out / place.results_file, results)
            folder.mark_done(FINISHED, wrote=[place.results_file])
            accelerator.wait_for_everyone()
            return results
