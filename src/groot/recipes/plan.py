"""What a run would do and cost, known before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from groot.config import Config


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of a run.

    Args:
        name: the name that its events will carry: "fit", "optimise".
        steps: steps at most; early stopping may take fewer.
        seconds: an estimate; None where nothing is known about this machine and model.
        note: what is behind the number: "6894 examples x 20 passes / 32".
    """

    name: str
    steps: int
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do and cost.

    Args:
        examples: number of examples by split: {"train": 6894, "dev": 766, "test": 1521}.
        stages: in order.
        parameters: weights of the model.
        memory_bytes: an estimate of the largest resident memory.
        disk_bytes: an estimate of what the run folder will hold at most.
        reward_calls: candidates that will be scored, at most.
        facts: further lines worth showing: {"tag scheme": "IOB2", "model": "embedded, 1.4 M"}.
        problems: lines that could not be read and will be skipped: "path:line: reason".
    """

    examples: Mapping[str, int]
    stages: tuple[PlannedStage, ...]
    parameters: int
    memory_bytes: int
    disk_bytes: int
    reward_calls: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """The estimate for all stages; None where one of them has none.

        >>> stages = (PlannedStage("fit", 100, 60.0), PlannedStage("optimise", 50, 30.0))
        >>> Plan({"train": 10}, stages, 1, 1, 1).seconds
        90.0
        """
        known = [stage.seconds for stage in self.stages if stage.seconds is not None]
        return sum(known) if len(known) == len(self.stages) else None

    def as_json(self) -> dict[str, Any]:
        """The plan as plain data, with the total seconds."""
        return {**asdict(self), "seconds": self.seconds}


BYTES_PER_WEIGHT = 4


def disk_bytes(config: Config, parameters: int, n_rounds: int) -> int:
    """An estimate of what a run's folder holds at most: models, checkpoints with moments."""
    models = 3 + max(0, n_rounds - 1)
    checkpoints = 5 * (config.output.keep_checkpoints + 1)
    return parameters * BYTES_PER_WEIGHT * (models + checkpoints) + (64 << 20)
