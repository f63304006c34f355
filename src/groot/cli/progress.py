"""Events of a recipe as a bar with ETA on a terminal, and as plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from groot.cli.console import harmless, is_first_process, say
from groot.engine.events import Event, Note, StageFinished, StageStarted, StepDone

PLAIN_EVERY_S = 10.0  # seconds between two plain lines of one stage


def watcher() -> AbstractContextManager[Callable[[Event], None]]:
    """A context whose value is called with every event; which kind, stderr decides."""
    if not is_first_process():
        return nullcontext(lambda event: None)
    return Bars() if sys.stderr.isatty() else nullcontext(Lines().show)


class Lines:
    """A line when a stage starts and ends, and one every few seconds between."""

    def __init__(self, *, every_s: float = PLAIN_EVERY_S) -> None:
        self.every_s = every_s
        self._started = 0.0
        self._spoken = 0.0
        self._first_step = 0

    def show(self, event: Event) -> None:
        """Write the event to stderr, or leave it out where it comes too soon."""
        now = time.monotonic()
        if isinstance(event, StageStarted):
            self._started = self._spoken = now
            self._first_step = event.first_step
            total = f", {event.total_steps} steps" if event.total_steps is not None else ""
            say(f"{event.name}{total}")
        elif isinstance(event, StepDone):
            if now - self._spoken >= self.every_s:
                self._spoken = now
                done = event.step - self._first_step
                say(step_line(event, seconds=now - self._started, done=done))
        elif isinstance(event, StageFinished):
            say(f"{event.name} done in {clock(event.seconds)}{numbers(event.values)}")
        else:
            say(note_line(event))


class Bars(AbstractContextManager[Callable[[Event], None]]):
    """One bar per stage, with elapsed time and ETA."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Callable[[Event], None]:
        self._progress.start()
        return self.show

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Move the bar of the event's stage, or print a note above the bars."""
        if isinstance(event, StageStarted):
            self._tasks[event.name] = self._progress.add_task(
                harmless(event.name),
                total=event.total_steps,
                completed=event.first_step,
                numbers="",
            )
        elif isinstance(event, StepDone):
            if event.stage in self._tasks:
                self._progress.update(
                    self._tasks[event.stage],
                    completed=event.step,
                    total=event.total,
                    numbers=step_numbers(event),
                )
        elif isinstance(event, StageFinished):
            if event.name in self._tasks:
                task = self._tasks[event.name]
                total = self._progress.tasks[self._progress.task_ids.index(task)].total
                self._progress.update(task, numbers=numbers(event.values).lstrip(" ,"))
                if total is not None:  # a stage that stopped early is done as well
                    self._progress.update(task, completed=total)
                self._progress.stop_task(task)
        else:
            self._progress.console.print(harmless(note_line(event)), markup=False, highlight=False)


def note_line(note: Note) -> str:
    """A note as a line.

    >>> note_line(Note("2 lines skipped", level="warning"))
    'warning: 2 lines skipped'
    """
    return f"warning: {note.text}" if note.level == "warning" else note.text


def step_line(event: StepDone, *, seconds: float, done: int) -> str:
    """A step as a line, with the time left at the speed of the `done` steps of `seconds`.

    >>> step_line(StepDone("fit", 20, 100, 1.5), seconds=10.0, done=20)
    'fit 20/100, loss 1.500, 0:40 left'
    """
    total = f"/{event.total}" if event.total is not None else ""
    line = f"{event.stage} {event.step}{total}"
    if shown := step_numbers(event):
        line += f", {shown}"
    if event.total is not None and done > 0:
        line += f", {clock(seconds / done * (event.total - event.step))} left"
    return line


def step_numbers(event: StepDone) -> str:
    """Loss and values of a step, side by side."""
    loss = {"loss": event.loss} if event.loss is not None else {}
    return numbers({**loss, **event.values}).lstrip(" ,")


def numbers(values: Mapping[str, float]) -> str:
    """Names and numbers, each after a comma.

    >>> numbers({"dev f0.5": 0.61234, "candidates": 4000.0})
    ', dev f0.5 0.612, candidates 4000'
    """
    return "".join(
        f", {name} {value:.0f}" if float(value).is_integer() else f", {name} {value:.3f}"
        for name, value in values.items()
    )


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss.

    >>> clock(3725.2), clock(59.9)
    ('1:02:05', '0:59')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
