"""A file of predictions that grows line by line and can be continued after an interruption."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from groot.data.result import Problem
from groot.errors import OutputError

STANDARD = Path("-")  # standard input or output


class ContinuedFile:
    """The output file and, once there is something for it, the side file of bad lines.

    Args:
        path: the output; "-" is standard output, which has no side file.
        is_restarted: begin anew where path is there already.

    Raises:
        OutputError: on entering, if path cannot be written.
    """

    def __init__(self, path: Path, *, is_restarted: bool = False) -> None:
        self.path = path
        self.is_restarted = is_restarted
        self.errors_path = None if path == STANDARD else path.with_suffix(".errors.jsonl")
        self._last_error_line = 0

    def __enter__(self) -> ContinuedFile:
        if self.errors_path is None:
            return self
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("ab").close()
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error}). Name another --out."
            ) from error
        if self.is_restarted or self.path.stat().st_size == 0:
            self.errors_path.unlink(missing_ok=True)
            self.path.write_bytes(b"")
        cut_half_line(self.path)
        if self.errors_path.exists():
            cut_half_line(self.errors_path)
            with self.errors_path.open(encoding="ascii") as lines:
                numbers = [int(json.loads(line)["line"]) for line in lines]
            self._last_error_line = max(numbers, default=0)
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def written(self) -> Iterator[dict[str, Any]]:
        """The lines that are there already."""
        if self.path == STANDARD:
            return
        with self.path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                    row["candidates"] = list(row["candidates"])
                except (ValueError, KeyError, TypeError) as error:
                    raise OutputError(
                        f"{self.path}:{number}: not a line of predictions ({error}). Name another"
                        " --out, or give --force to overwrite the file."
                    ) from error
                yield row

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append lines; they are handed to the system together."""
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        if self.path == STANDARD:
            sys.stdout.buffer.write(text.encode("utf-8"))
            sys.stdout.flush()
        else:
            with self.path.open("ab") as file:
                file.write(text.encode("utf-8"))

    def write_error(self, number: int, problem: Problem) -> None:
        """Append a bad line to the side file, unless an earlier start did."""
        if self.errors_path is None or number <= self._last_error_line:
            return
        self._last_error_line = number
        row = {
            "line": number,
            "source": problem.source,
            "reason": problem.reason,
            "row": problem.row,
        }
        with self.errors_path.open("ab") as file:
            file.write((json.dumps(row) + "\n").encode("ascii"))


def cut_half_line(path: Path) -> None:
    """Take off a last line that an interruption left without its end."""
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - (1 << 16))
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)
