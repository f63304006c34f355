"""What a reader returns: examples, and a named problem for each row that is not one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from groot.errors import DataError
from groot.types import Example

ProblemKind = Literal[
    "row",  # anything that none of the following names
    "encoding",
    "json",
    "too long",
    "counts",
    "tag",
    "span",
    "overlap",
    "discontinuous",
    "duplicate id",
    "answer",
    "illegal tag",
    "not read",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that could not be used, or (in ReadResult.notes) one that was used with a doubt.

    Args:
        source: "path:line" of the row.
        reason: what is wrong, in words.
        row: the row as it was read, cut to `ROW_LENGTH` characters.
        kind: what is wrong, in one of the words of ProblemKind.
        n_spans: gold spans that the row held.
    """

    source: str
    reason: str
    row: str = ""
    kind: ProblemKind = "row"
    n_spans: int = 0

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


ROW_LENGTH = 500


class RowError(Exception):
    """Raised while one row is turned into an Example; readers make a Problem of it."""

    def __init__(self, reason: str, kind: ProblemKind = "row", n_spans: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.kind, self.n_spans = reason, kind, n_spans

    def problem(self, source: str, row: str) -> Problem:
        """The problem of the row that stands at source."""
        return Problem(source, self.reason, row[:ROW_LENGTH], self.kind, self.n_spans)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was understood, and how sure that is.

    Args:
        format: of READERS.
        parts: where what was found: {"words": "column 0", "tags": "column 3"}.
        certainty: that this is the format, in [0, 1]; 1 where the user named it.
        doubts: what else the file could mean, each a sentence with the setting that decides.
    """

    format: str
    parts: Mapping[str, str] = field(default_factory=dict)
    certainty: float = 1.0
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = ", ".join(f"{name}: {place}" for name, place in self.parts.items())
        sure = "" if self.certainty >= 0.95 else f", {100 * self.certainty:.0f} % sure"
        return f"{self.format}{f' ({parts})' if parts else ''}{sure}"


@dataclass(slots=True)
class ReadResult:
    """What was read from one place: `n_rows == len(examples) + len(problems)`.

    Args:
        examples: the rows that can be used, in the order of the file.
        problems: the rows that cannot, each with its reason.
        scheme: the tag scheme that was detected or given; None where there are no tags.
        notes: doubts about rows that are used, such as illegal tags.
        where: what was asked for.
        reading: how the file was understood; None where there was nothing to find out.
    """

    examples: list[Example] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    scheme: str | None = None
    notes: list[Problem] = field(default_factory=list)
    where: str = ""
    reading: Reading | None = None

    @property
    def n_rows(self) -> int:
        return len(self.examples) + len(self.problems)


@dataclass(slots=True)
class Splits:
    """The three sets of a run; test is None where none was given.

    Args:
        is_dev_cut: dev was cut from train (every tenth example), for want of a dev set.
    """

    train: ReadResult
    dev: ReadResult
    test: ReadResult | None = None
    is_dev_cut: bool = False


def collect(
    path: str | Path,
    rows: Iterable[Example | Problem],
    *,
    scheme: str | None = None,
    notes: list[Problem] | None = None,
    reading: Reading | None = None,
) -> ReadResult:
    """Sort rows into examples and problems; a second row of an id is a problem.

    The list of notes may still grow while the rows are read.

    Raises:
        DataError: if no row can be used.
    """
    result = ReadResult(
        scheme=scheme,
        where=str(path),
        notes=[] if notes is None else notes,
        reading=reading,
    )
    is_new = unique_ids()
    for row in rows:
        if isinstance(row, Example):
            problem = is_new(row)
            if problem is None:
                result.examples.append(row)
                continue
            row = problem
        result.problems.append(row)
    if not result.examples:
        raise nothing_to_use(path, result.problems)
    return result


def unique_ids() -> Callable[[Example], Problem | None]:
    """A function that returns a problem for each example whose id it has seen before."""
    seen: dict[str, str] = {}

    def is_new(example: Example) -> Problem | None:
        first = seen.setdefault(example.id, example.source)
        if first == example.source:
            return None
        reason = f"id {example.id!r} was already used at {first}; ids must be unique"
        n_spans = len(example.spans or ())
        return RowError(reason, "duplicate id", n_spans).problem(example.source, example.text)

    return is_new


def nothing_to_use(path: str | Path, problems: list[Problem]) -> DataError:
    """The error for a file without one usable row; names its first bad lines."""
    if not problems:
        return DataError(f"{path}: the file holds no rows.\n  Give a file with labelled texts.")
    lines = [f"{path}: none of its {len(problems)} rows can be used."]
    lines += [f"  {problem}" for problem in problems[:3]]
    lines.append("  Mend these lines, or name the format with format=...")
    return DataError("\n".join(lines))
