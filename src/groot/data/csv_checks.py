"""What makes a CSV file doubtful: headers, comments and cut ends that look like rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from groot.data.csv_dialect import Dialect, Row, rows_inside
from groot.data.csv_table import Table
from groot.data.result import Problem, RowError


def merged_rows(rows: Iterable[Row], dialect: Dialect) -> Iterator[str]:
    """A doubt where quotes hold lines together that look like rows of their own."""
    for number, cells in rows:
        if isinstance(cells, list) and (n := rows_inside(cells, dialect)):
            yield (
                f"the quotes of line {number} hold {n} lines together that look like rows;"
                " if they are, set quotes=text"
            )
            return


def header_doubts(table: Table, rows: Sequence[Row]) -> Iterator[str]:
    """A doubt where the first row may be a header with names that are not known."""
    full = [cells for _, cells in rows if isinstance(cells, list) and len(cells) > table.label]
    if table.names or not full:
        return
    first, *others = (cells[table.label] for cells in full)
    if len(others) > 2 and first not in others and len(set(others)) <= len(others) / 2:
        yield (
            f"the first row may be a header, as its label {first!r:.40} stands nowhere else; if it"
            f" is, name the columns: text_column={full[0][table.text]!r:.40}, label_column=..."
        )


def _labels(rows: Iterable[Row], table: Table) -> Counter[str]:
    """How often each label stands in rows that do not begin like a comment."""
    return Counter(
        cells[table.label]
        for _, cells in rows
        if isinstance(cells, list) and len(cells) > table.label and not _begins_as_comment(cells)
    )


def _begins_as_comment(cells: Sequence[str]) -> bool:
    return any(cell.strip().startswith("#") for cell in cells[:2])


def without_comments(path: str | Path, rows: Sequence[Row], table: Table) -> list[Row]:
    """The rows, those that begin with # and have a label of their own as problems."""
    known = _labels(rows, table)
    kept: list[Row] = []
    for number, cells in rows:
        if isinstance(cells, list) and len(cells) > table.label and _begins_as_comment(cells):
            label = cells[table.label]
            if label not in known:
                reason = f"the row looks like a comment: its label {label!r:.40} is no other row's"
                problem = RowError(reason).problem(f"{path}:{number}", " | ".join(cells))
                kept.append((number, problem))
                continue
        kept.append((number, cells))
    return kept


def is_last_odd(rows: Sequence[Row], table: Table) -> bool:
    """Whether the last row ends with what may be cut: a label found nowhere else, or a text."""
    if not rows or isinstance(rows[-1][1], Problem):
        return False
    cells = rows[-1][1]
    if table.text == len(cells) - 1:
        return True
    return table.label < len(cells) and _labels(rows, table)[cells[table.label]] == 1
