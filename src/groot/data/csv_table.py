"""Which columns of a CSV file hold the text and the labels, and what the labels are."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groot.data.column_shape import WORD_NAMES
from groot.data.csv_dialect import Quotes, Row
from groot.data.layout import CLASS_FIELDS, REFERENCE_FIELDS, TEXT_FIELDS
from groot.data.lines import check_encoding
from groot.data.result import RowError
from groot.data.settings import SpanSettings, TagSettings, check_choice
from groot.errors import DataError

TEXT_NAMES = (
    *TEXT_FIELDS,
    *("utterance", "query", "content", "review", "message", "comment_text", "comment", "body"),
    *("tweet", "document", "question", "input", "instruction"),
)
LABEL_NAMES = (
    *CLASS_FIELDS,
    *("category", "intent", "target", "sentiment", "topic"),
    *("spans", "entities"),
    *REFERENCE_FIELDS,
)
ID_NAMES = ("id", "guid", "uid")
KNOWN_NAMES = frozenset((*TEXT_NAMES, *WORD_NAMES))

Cells = Literal["plain", "lists", "spans"]


@dataclass(frozen=True, kw_only=True)
class CsvSettings(TagSettings, SpanSettings):
    """What read_csv takes.

    Args:
        text_column: a name of the header, or a number from 0 where there is none. None finds it.
        label_column: the same for the label.
        label_columns: names of columns that hold 0 or 1, one for each class.
        class_separator: what stands between the classes of one cell; None: one class a row.
        separator: between cells; None: tab, comma, semicolon or bar, whichever makes a table, or
            the one of a first line such as `sep=;`.
        quotes: "csv" where quotes hold cells together, "text" where they are text; None finds it.
        encoding: None is UTF-8, UTF-16 where the file begins so, or cp1252 where no line is UTF-8.
    """

    text_column: str | int | None = None
    label_column: str | int | None = None
    label_columns: Sequence[str] | None = None
    class_separator: str | None = None
    separator: str | None = None
    quotes: Quotes | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("quotes", self.quotes, (None, "csv", "text"))
        check_encoding(self.encoding)


@dataclass(frozen=True, slots=True)
class Table:
    """Where what stands in each row.

    Args:
        names: of the columns; () without a header.
        text, label: numbers of the two columns.
        cells: what the cells of the label hold.
        one_hot: number and name of each column of 0 and 1.
    """

    names: Sequence[str]
    text: int
    label: int
    cells: Cells = "plain"
    one_hot: Sequence[tuple[int, str]] = ()


def find_table(
    path: str | Path, rows: list[Row], head: list[str], settings: CsvSettings
) -> tuple[Table, list[Row]]:
    """Where what stands, and the rows without the header."""
    text, label = settings.text_column, settings.label_column
    names = [name.strip().lower() for name in head]
    is_named = isinstance(text, str) or isinstance(label, str) or settings.label_columns
    if not is_named and {*TEXT_NAMES}.isdisjoint(names):
        text, label = _columns_without_header(path, rows, len(head), text, label)
        return Table((), text, label, _cells_of(rows, label)), rows
    body = [row for row in rows if row[1] is not head]
    text = _column_named(path, text, names, TEXT_NAMES, "text")
    if settings.label_columns:
        columns = [
            (_column_named(path, name, names, (), "label"), name) for name in settings.label_columns
        ]
        return Table(names, text, columns[0][0], one_hot=columns), body
    if label is None and set(names).isdisjoint(LABEL_NAMES):
        _check_one_hot(path, names, body, text)
    label = _column_named(path, label, names, LABEL_NAMES, "label")
    return Table(names, text, label, _cells_of(body, label)), body


def _check_one_hot(path: str | Path, names: Sequence[str], rows: Sequence[Row], text: int) -> None:
    bits = {"0", "1", "0.0", "1.0", "true", "false"}
    cells = [row for _, row in rows if isinstance(row, list) and len(row) == len(names)]
    columns = [
        name
        for i, name in enumerate(names)
        if i != text and name and cells and all(row[i].strip().lower() in bits for row in cells)
    ]
    if len(columns) > 1:
        raise DataError(
            f"{path}:1: the columns {', '.join(columns)} hold 0 and 1, as one column for each class"
            f" does.\n  Set label_columns=[{', '.join(columns)}], or name one label_column=..."
        )


def _cells_of(rows: Iterable[Row], label: int) -> Cells:
    """What the cells of the label hold, decided by all of them."""
    values = [
        cells[label].strip() for _, cells in rows if isinstance(cells, list) and label < len(cells)
    ]
    filled = [value for value in values if value]
    if not filled or not all(value[0] + value[-1] == "[]" for value in filled):
        return "plain"
    try:
        lists = [list_of(value) for value in filled[:200]]
    except RowError:
        return "plain"
    items = [item for value in lists for item in value]
    return "spans" if items and all(isinstance(item, (list, dict)) for item in items) else "lists"


def list_of(cell: str) -> list[Any]:
    """The list that a cell holds, as JSON or as Python writes it."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise RowError(f"the label {cell!r:.60} is not a list", "json") from error
    if not isinstance(value, list):
        raise RowError(f"the label {cell!r:.60} is not a list", "json")
    return value


def _column_named(
    path: str | Path, given: str | int | None, names: Sequence[str], known: Iterable[str], what: str
) -> int:
    if isinstance(given, int):
        if not 0 <= given < len(names):
            raise DataError(f"{path}: {what}_column={given}, but there are {len(names)} columns.")
        return given
    for name in known if given is None else [given.strip().lower()]:
        if name in names:
            return names.index(name)
    raise DataError(
        f"{path}:1: no {what} column{f' {given!r}' if given else ''}; the header has: "
        f"{', '.join(names)}.\n  Name it with {what}_column=..."
    )


def _columns_without_header(
    path: str | Path, rows: list[Row], n_columns: int, text: object, label: object
) -> tuple[int, int]:
    """The numbers of the two columns; the one with fewer different cells is the label."""
    if isinstance(text, int) and isinstance(label, int):
        if max(text, label) < n_columns and min(text, label) >= 0:
            return text, label
        raise DataError(f"{path}: there are {n_columns} columns, but {text} and {label} are named.")
    if n_columns != 2:
        raise DataError(
            f"{path}:1: {n_columns} columns, and no header that names the text and the label.\n"
            "  Add a first line such as text,label, or give text_column=... and label_column=..."
        )
    cells = [row for _, row in rows if isinstance(row, list) and len(row) == 2]
    n_first, n_second = (len({row[i] for row in cells}) for i in (0, 1))
    return (1, 0) if n_first < n_second else (0, 1)
