"""What a recipe tells whoever watches: stages, steps, notes. No terminal, no files.

A recipe is given `events: Callable[[Event], None]` and calls it; the command line shows a bar, a
notebook may print, a test collects a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins.

    Args:
        name: "fit", "round 1: search", "evaluate": what a person would call it.
        total_steps: steps that it will take; None where that is not known.
        first_step: steps already done when a run continues.
    """

    name: str
    total_steps: int | None = None
    first_step: int = 0


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step of a stage is done.

    Args:
        stage: the name that StageStarted gave.
        step: number of steps done, from 1.
        total: steps of the stage; None where that is not known.
        loss: mean loss of the step, in nats; None for a stage without one.
        values: further numbers worth showing: "reward", "dev f0.5", "candidates/s".
    """

    stage: str
    step: int
    total: int | None = None
    loss: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ends.

    Args:
        name: the name that StageStarted gave.
        seconds: how long it took, over all the starts of the run.
        values: its results: "dev f0.5", "candidates".
    """

    name: str
    seconds: float
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the person who watches: "continuing from step 400 of fit".

    Args:
        text: the sentence.
        level: a "warning" is shown even where progress is not.
    """

    text: str
    level: str = "info"


Event = StageStarted | StepDone | StageFinished | Note
OnEvent = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """The default watcher: nobody watches."""
