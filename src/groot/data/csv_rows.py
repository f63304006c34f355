"""CSV and TSV: a text and its class (or classes, spans, or reference text), or a word a row."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from groot.data.column_shape import TAG_NAMES, WORD_NAMES
from groot.data.csv_dialect import (
    SEPARATORS,
    Dialect,
    Quotes,
    Row,
    read_dialect,
    rows_inside,
    split_rows,
)
from groot.data.csv_words import SENTENCE_NAMES, read_words
from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.layout import CLASS_FIELDS, REFERENCE_FIELDS, TEXT_FIELDS
from groot.data.lines import check_encoding, check_text
from groot.data.offsets import read_spans
from groot.data.parallel import split_classes
from groot.data.result import Problem, Reading, ReadResult, RowError, collect
from groot.data.settings import SpanSettings, TagSettings, check_choice
from groot.errors import DataError
from groot.targets.words import split_words
from groot.types import Example

_TEXT_NAMES = (
    *TEXT_FIELDS,
    *("utterance", "query", "content", "review", "message", "comment_text", "comment", "body"),
    *("tweet", "document", "question", "input", "instruction"),
)
_LABEL_NAMES = (
    *CLASS_FIELDS,
    *("category", "intent", "target", "sentiment", "topic"),
    *("spans", "entities"),
    *REFERENCE_FIELDS,
)
_ID_NAMES = ("id", "guid", "uid")
_KNOWN_NAMES = frozenset((*_TEXT_NAMES, *WORD_NAMES))

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
class _Table:
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


def read_csv(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per row; a quoted cell may hold line ends.

        text,label
        "play nina simone, please",PlayMusic

    Labels may be lists, "['a', 'b']", or lists of spans. With columns for the word, its tag and
    the sentence ("Sentence #", Word, Tag), each row is a word.

    Args:
        path: the file.
        given: those of CsvSettings; task="text" reads the labels as reference texts, which None
            tells by the column's name ("completion" and "reference" hold texts).

    Raises:
        DataError: for a missing or empty file, columns that are not clear, or if no row can be
            used.
    """
    settings = CsvSettings(**given)
    dialect, lines = read_dialect(
        path,
        _KNOWN_NAMES,
        encoding=settings.encoding,
        separator=settings.separator,
        quotes=settings.quotes,
    )
    rows = [
        (number, replace(row, source=f"{path}:{number}") if isinstance(row, Problem) else row)
        for number, row in split_rows(lines, dialect)
    ]
    head = next((cells for _, cells in rows if isinstance(cells, list)), None)
    if head is None:
        return collect(path, [row for _, row in rows if isinstance(row, Problem)])
    names = [name.strip().lower() for name in head]
    reading = Reading("csv", _parts(dialect), doubts=(*dialect.doubts, *_merged(rows, dialect)))
    if _is_by_word(names, settings):
        body = [row for row in rows if row[1] is not head]
        return read_words(path, names, body, settings, reading)
    table, rows = _find_table(path, rows, head, settings)
    if settings.task == "spans" and table.cells != "spans":
        raise DataError(
            f"{path}: its labels are classes or texts, not spans.\n"
            '  Spans are read from cells such as [[5, 9, "artist"]], or with a word a row.'
        )
    reading = _with_columns(reading, table, rows)
    return collect(path, _examples(path, rows, table, len(head), settings), reading=reading)


def _parts(dialect: Dialect) -> dict[str, str]:
    parts = {"separator": SEPARATORS.get(dialect.separator, repr(dialect.separator))}
    return parts if dialect.encoding == "utf-8" else {**parts, "encoding": dialect.encoding}


def _merged(rows: Iterable[Row], dialect: Dialect) -> Iterator[str]:
    """A doubt where quotes hold lines together that look like rows of their own."""
    for number, cells in rows:
        if isinstance(cells, list) and (n := rows_inside(cells, dialect)):
            yield (
                f"the quotes of line {number} hold {n} lines together that look like rows;"
                " if they are, set quotes=text"
            )
            return


def _with_columns(reading: Reading, table: _Table, rows: Sequence[Row]) -> Reading:
    def name(column: int) -> str:
        return f"{table.names[column] or 'no name'!r}" if table.names else f"column {column}"

    parts = {**reading.parts, "text": name(table.text)}
    if table.one_hot:
        parts["classes"] = f"columns {', '.join(label for _, label in table.one_hot)}"
    else:
        parts["labels"] = name(table.label)
    if table.cells != "plain":
        parts["labels"] += " (lists)" if table.cells == "lists" else " (spans)"
    doubts = (*reading.doubts, *_header_doubts(table, rows))
    return replace(reading, parts=parts, doubts=doubts)


def _header_doubts(table: _Table, rows: Sequence[Row]) -> Iterator[str]:
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


def _is_by_word(names: Sequence[str], settings: CsvSettings) -> bool:
    """Whether each row is a word: there are columns for the word, its tag and the sentence."""
    if settings.text_column is not None or settings.task in ("classes", "text"):
        return False
    return all(not known.isdisjoint(names) for known in (WORD_NAMES, TAG_NAMES, SENTENCE_NAMES))


def _find_table(
    path: str | Path, rows: list[Row], head: list[str], settings: CsvSettings
) -> tuple[_Table, list[Row]]:
    """Where what stands, and the rows without the header."""
    text, label = settings.text_column, settings.label_column
    names = [name.strip().lower() for name in head]
    is_named = isinstance(text, str) or isinstance(label, str) or settings.label_columns
    if not is_named and {*_TEXT_NAMES}.isdisjoint(names):
        text, label = _columns_without_header(path, rows, len(head), text, label)
        return _Table((), text, label, _cells_of(rows, label)), rows
    body = [row for row in rows if row[1] is not head]
    text = _column_named(path, text, names, _TEXT_NAMES, "text")
    if settings.label_columns:
        columns = [
            (_column_named(path, name, names, (), "label"), name) for name in settings.label_columns
        ]
        return _Table(names, text, columns[0][0], one_hot=columns), body
    if label is None and set(names).isdisjoint(_LABEL_NAMES):
        _check_one_hot(path, names, body, text)
    label = _column_named(path, label, names, _LABEL_NAMES, "label")
    return _Table(names, text, label, _cells_of(body, label)), body


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
    told = [value for value in values if value]
    if not told or not all(value[0] + value[-1] == "[]" for value in told):
        return "plain"
    try:
        lists = [_list_of(value) for value in told[:200]]
    except RowError:
        return "plain"
    items = [item for value in lists for item in value]
    return "spans" if items and all(isinstance(item, (list, dict)) for item in items) else "lists"


def _list_of(cell: str) -> list[Any]:
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


def _examples(
    path: str | Path, rows: Iterable[Row], table: _Table, n_columns: int, settings: CsvSettings
) -> Iterator[Example | Problem]:
    task = settings.task
    if task is None:
        is_text = bool(table.names) and table.names[table.label] in REFERENCE_FIELDS
        task = "text" if is_text else "classes"
    prefix = settings.id_prefix or Path(path).stem
    used = {table.text, table.label, *(column for column, _ in table.one_hot)}
    rest = {name: i for i, name in enumerate(table.names) if i not in used}
    for number, cells in rows:
        if isinstance(cells, Problem):
            yield cells
            continue
        source = f"{path}:{number}"
        try:
            if len(cells) != n_columns:
                reason = f"{len(cells)} cells, where the first row has {n_columns}"
                raise RowError(reason, "counts")
            text = check_text(cells[table.text], "the text")
            spans = classes = reference = None
            if table.cells == "spans":
                given = _list_of(cells[table.label]) if cells[table.label].strip() else []
                spans = read_spans(given, text, settings=settings)
            elif task == "text":
                reference = cells[table.label]
            else:
                classes = _classes(cells, table, settings)
        except RowError as error:
            yield error.problem(source, " | ".join(cells))
            continue
        columns = {name: cells[i] for name, i in rest.items()}
        row_id = next((columns.pop(name) for name in _ID_NAMES if columns.get(name)), "")
        words, starts = split_words(text)
        row_id = row_id or f"{prefix}:{number}"
        yield Example(text, words, starts, spans, classes, reference, row_id, source, columns)


def _classes(cells: Sequence[str], table: _Table, settings: CsvSettings) -> tuple[str, ...]:
    if table.one_hot:
        return tuple(
            name for i, name in table.one_hot if cells[i].strip().lower() in ("1", "1.0", "true")
        )
    cell = cells[table.label]
    if table.cells == "lists":
        return tuple(dict.fromkeys(str(item) for item in _list_of(cell))) if cell.strip() else ()
    classes = split_classes(cell, settings.class_separator)
    if not classes and not settings.class_separator:
        raise RowError("the label is empty", "counts")
    return classes


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


def _looks_like(head: Head) -> float:
    if head.suffix == ".csv" or (head.suffix == ".tsv" and not head.has_blank_lines):
        return 0.95
    if head.suffix == ".txt" and not head.has_blank_lines:
        counts = {line.count("\t") for line in head.lines[:-1]}
        return 0.7 if counts and min(counts) > 0 else 0.6 * (_names_columns(head.lines[0]))
    return 0.0


def _names_columns(line: str) -> bool:
    """Whether a first line is a header with a column of texts and one of labels."""
    for mark in SEPARATORS:
        names = {name.strip().lower() for name in line.split(mark)}
        if names & {*_TEXT_NAMES} and names & {*_LABEL_NAMES}:
            return True
    return False


FORMAT = FileFormat(read_csv, CsvSettings, _looks_like)
