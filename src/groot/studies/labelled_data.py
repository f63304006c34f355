"""Labelled data that predictions are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groot.data import read_examples
from groot.data.benchmarks import Split
from groot.data.result import ReadResult
from groot.errors import DataError


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Where labelled data is and how it is read.

    Args:
        source: a file, a folder or a benchmark's name.
        split: of a benchmark or a folder of splits.
        format: of the file; None finds it out.
        reader: settings of the format's reader.
        on_bad_lines: "stop" raises at the first unreadable lines, "skip" leaves them out.
    """

    source: str | Path
    split: Split = "test"
    format: str | None = None
    reader: Mapping[str, Any] = field(default_factory=dict)
    on_bad_lines: Literal["stop", "skip"] = "stop"

    def read(self) -> ReadResult:
        """Read it.

        Raises:
            DataError: if it cannot be read, or a row of it cannot and on_bad_lines is "stop".
        """
        result = read_examples(self.source, split=self.split, format=self.format, **self.reader)
        if result.problems and self.on_bad_lines == "stop":
            raise DataError(
                "\n  ".join(
                    [
                        f"{len(result.problems)} of {result.n_rows} rows cannot be used:",
                        *map(str, result.problems[:10]),
                        "Mend them, or leave them out with --on-bad-lines skip.",
                    ]
                )
            )
        return result
