"""How functions of the user's own are called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class CallSettings:
    """How functions of the user's own are called, and what happens when a call fails.

    Args:
        timeout_s: seconds that one call may take.
        workers: processes that run the functions.
        on_error: what a failed call does: "stop" raises, "skip" leaves its rewards missing.
        max_missing: under "skip", the share of values that may fail before it stops after all.
        memory_mb: address space that a worker process may use; None for no limit.
        failures: folder for the file with the example at which a function failed; None for a
            temporary one.
    """

    timeout_s: float = 30.0
    workers: int = 1
    on_error: Literal["stop", "skip"] = "stop"
    max_missing: float = 0.01
    memory_mb: int | None = None
    failures: Path | None = None

    def mistakes(self) -> list[str]:
        """A sentence for each setting that cannot be.

        >>> CallSettings(workers=0).mistakes()
        ['workers is 0; rewards need at least 1 process.']
        """
        checks = (
            (
                not 0 < self.timeout_s < math.inf,
                f"timeout_s is {self.timeout_s}; it must be a number of seconds above 0.",
            ),
            (self.workers < 1, f"workers is {self.workers}; rewards need at least 1 process."),
            (
                self.on_error not in ("stop", "skip"),
                f"on_error is {self.on_error!r}; it can be 'stop' or 'skip'.",
            ),
            (
                not 0 <= self.max_missing <= 1,
                f"max_missing is {self.max_missing}; it is a share between 0 and 1.",
            ),
            (
                self.memory_mb is not None and self.memory_mb < 1,
                f"memory_mb is {self.memory_mb}; it must be above 0, or None for no limit.",
            ),
        )
        return [sentence for is_wrong, sentence in checks if is_wrong]
