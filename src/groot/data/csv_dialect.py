"""How a CSV or TSV file is written: its encoding, separator and quotes, and its rows as cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groot.data.lines import Line, find_encoding, read_lines
from groot.data.result import Problem, RowError

Quotes = Literal["csv", "text"]
# number of the row's first line, and its cells or the problem with it
Row = tuple[int, list[str] | Problem]

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
_SEP_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
# lines that one quoted cell may run over
_MAX_LINES = 500
_LOOKED_AT = 400


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    Args:
        encoding: of its bytes.
        separator: between cells.
        quotes: "csv" where quotes hold a cell together, "text" where they are characters as any.
        n_columns: of most rows.
        n_skipped: lines before the first row.
        doubts: what else it could be.
    """

    encoding: str
    separator: str
    quotes: Quotes
    n_columns: int
    n_skipped: int = 0
    doubts: tuple[str, ...] = ()


def read_dialect(
    path: str | Path,
    known_names: frozenset[str],
    *,
    encoding: str | None = None,
    separator: str | None = None,
    quotes: Quotes | None = None,
) -> tuple[Dialect, list[Line]]:
    """How a file is written, and its lines.

    Args:
        path: the file.
        known_names: of columns; a separator that finds one of them in the first row is right.
        encoding, separator, quotes: what the user said; None is found out.

    Raises:
        DataError: for a file that is missing, or not in the encoding.
    """
    doubts = []
    if encoding is None:
        encoding = find_encoding(path)
        if encoding == "cp1252":
            doubts.append(
                "the file is not UTF-8 and is read as cp1252, as Excel writes it in Western Europe;"
                " if letters look wrong, set encoding=..."
            )
    lines = list(read_lines(path, encoding))
    n_skipped = 0
    if lines and isinstance(lines[0][1], str) and (named := _SEP_LINE.fullmatch(lines[0][1])):
        separator, n_skipped = separator or named[1], 1
    texts = [line for _, line in lines[n_skipped:] if isinstance(line, str) and line.strip()]
    head = texts[:_LOOKED_AT]
    candidates = [separator] if separator else list(SEPARATORS)
    shapes = {mark: _shape(head, mark, quotes) for mark in candidates}
    if separator is None:
        separator = _best_separator(head, shapes, known_names)
    quoting, n_columns, _ = shapes[separator]
    if quotes is None and quoting == "text" and any(line.startswith('"') for line in head):
        doubts.append("quotes are read as text; if they hold cells together, set quotes=csv")
    return Dialect(encoding, separator, quoting, n_columns, n_skipped, tuple(doubts)), lines


def _shape(
    lines: Sequence[str], separator: str, quotes: Quotes | None
) -> tuple[Quotes, int, float]:
    """Whether quotes hold cells together, the number of cells of most rows, and their share."""
    if quotes is None:
        quotes = _find_quotes(lines, separator)
    rows = list(_split_rows(list(enumerate(lines, start=1)), separator, quotes, None))
    counts = Counter(len(cells) for _, cells in rows if isinstance(cells, list))
    if not counts:
        return quotes, 0, 0.0
    n_columns, n_rows = counts.most_common(1)[0]
    return quotes, n_columns, n_rows / len(rows)


def _find_quotes(lines: Sequence[str], separator: str) -> Quotes:
    """Quotes are text in a TSV, unless its lines make no table without them, or all are needed."""
    if separator != "\t":
        return "csv"
    cells = [cell for line in lines for cell in line.split("\t")]
    opening = [cell for cell in cells if cell.startswith('"')]
    if not opening:
        return "text"
    n_columns = {line.count("\t") for line in lines}
    if len(n_columns) > 1:
        rows = list(_split_rows(list(enumerate(lines, start=1)), "\t", "csv", None))
        lengths = {len(row) if isinstance(row, list) else 0 for _, row in rows}
        return "csv" if len(lengths) == 1 and lengths != {0} else "text"
    closed = [cell for cell in opening if _QUOTED.fullmatch(cell) and len(cell) > 1]
    is_needed = all('""' in cell[1:-1] for cell in opening)
    return "csv" if len(closed) == len(opening) and (is_needed or closed == cells) else "text"


def _best_separator(
    lines: Sequence[str],
    shapes: dict[str, tuple[Quotes, int, float]],
    known_names: frozenset[str],
) -> str:
    """The separator whose first row names known columns, or else that makes the best table."""

    def rank(mark: str) -> tuple[bool, bool, bool, float, int]:
        quotes, n_columns, share = shapes[mark]
        rows = _split_rows(list(enumerate(lines[:1], start=1)), mark, quotes, None)
        cells = next((cells for _, cells in rows if isinstance(cells, list)), [])
        names = [cell.strip().lower() for cell in cells]
        is_table = n_columns > 1 and share >= 0.9
        # without a header two columns are wanted, a text and its label
        return (
            n_columns > 1 and not known_names.isdisjoint(names),
            is_table and n_columns == 2,
            is_table,
            share if n_columns > 1 else 0.0,
            n_columns,
        )

    return max(shapes, key=rank)  # max keeps the first of equals


def split_rows(lines: Sequence[Line], dialect: Dialect) -> Iterator[Row]:
    """Yield the cells of each row that is not blank.

    A quoted cell may run over lines. Where a quote is never closed, or closing it makes a row of
    another length, its line alone is a problem, and the next line is read on its own.
    """
    wanted = dialect.n_columns
    yield from _split_rows(lines[dialect.n_skipped :], dialect.separator, dialect.quotes, wanted)


def _split_rows(
    lines: Sequence[Line], separator: str, quotes: Quotes, n_columns: int | None
) -> Iterator[Row]:
    i = 0
    while i < len(lines):
        number, line = lines[i]
        i += 1
        if isinstance(line, Problem):
            yield number, line
        elif quotes == "text" or '"' not in line:
            cells = line.split(separator)
            if any(cell.strip() for cell in cells):
                yield number, cells
        else:
            row, n_more = _quoted_row(lines, i - 1, separator, n_columns)
            i += n_more
            if isinstance(row, RowError):
                yield number, row.problem(f"{number}", line)
            elif any(cell.strip() for cell in row):
                yield number, row


def _quoted_row(
    lines: Sequence[Line], first: int, separator: str, n_columns: int | None
) -> tuple[list[str] | RowError, int]:
    """The cells of the row that begins at a line, and how many more lines it takes."""
    held = ""
    reason = "a quote is not closed"
    for n_more, (_, line) in enumerate(lines[first : first + _MAX_LINES]):
        if isinstance(line, Problem):
            break
        held = f"{held}\n{line}" if n_more else line
        if n_more and '"' not in line:
            continue
        try:
            cells = next(csv.reader([held], delimiter=separator, strict=True))
        except csv.Error as error:
            if "unexpected end" not in str(error):
                reason = str(error)
                break
            continue
        except StopIteration:
            return [], n_more
        if n_more and n_columns is not None and len(cells) != n_columns:
            break
        return cells, n_more
    return RowError(f"the row cannot be split: {reason}"), 0


def rows_inside(cells: Sequence[str], dialect: Dialect) -> int:
    """How many lines inside the quoted cells of a row look like rows of their own."""
    inner = [line for cell in cells for line in cell.split("\n")[1:-1]]
    return sum(line.count(dialect.separator) == dialect.n_columns - 1 for line in inner)
