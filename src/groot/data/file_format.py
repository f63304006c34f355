"""A row of the table of formats: how to read one, write it, and recognise it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groot.data.head import Head
from groot.data.result import Problem, ReadResult
from groot.data.settings import ReadSettings, WriteSettings
from groot.types import Example

Write = Callable[[Sequence[Example], Path, WriteSettings], list[Problem]]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One format. `READERS[name](path, task=...)` reads a file of it.

    Args:
        read: (path, **settings) -> what was read.
        settings: the dataclass of these settings.
        looks_like: how sure it is, in [0, 1], that a file with this head is of the format; 0
            where it cannot be.
        write: (examples, path, settings) -> a problem for each example that the format cannot
            hold; None where groot does not write it.
    """

    read: Callable[..., ReadResult]
    settings: type[ReadSettings]
    looks_like: Callable[[Head], float]
    write: Write | None = None

    def __call__(self, path: str | Path, **settings: Any) -> ReadResult:
        """Read a file."""
        return self.read(path, **settings)
