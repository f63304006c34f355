"""CSV and TSV: a text and its class (or classes, spans, or reference text), or a word a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groot.data.column_shape import TAG_NAMES, WORD_NAMES
from groot.data.csv_checks import header_doubts, is_last_odd, merged_rows, without_comments
from groot.data.csv_dialect import (
    SEPARATORS,
    Dialect,
    Row,
    read_dialect,
    split_rows,
)
from groot.data.csv_table import (
    ID_NAMES,
    KNOWN_NAMES,
    LABEL_NAMES,
    TEXT_NAMES,
    CsvSettings,
    Table,
    find_table,
    list_of,
)
from groot.data.csv_words import SENTENCE_NAMES, read_words
from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.layout import REFERENCE_FIELDS
from groot.data.lines import CUT, check_text, is_cut
from groot.data.offsets import read_spans
from groot.data.parallel import split_classes
from groot.data.result import Problem, Reading, ReadResult, RowError, collect
from groot.errors import DataError
from groot.targets.words import split_words
from groot.types import Example


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
        KNOWN_NAMES,
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
    reading = Reading("csv", _parts(dialect), doubts=(*dialect.doubts, *merged_rows(rows, dialect)))
    if _is_by_word(names, settings):
        body = [row for row in rows if row[1] is not head]
        return read_words(path, names, body, settings, reading)
    if settings.text_column is None and _are_words(names):
        raise DataError(
            f"{path}:1: a word and its tag a row, but no column that names the sentence.\n"
            "  Set format=columns, which parts sentences at blank lines, or text_column=..."
        )
    table, rows = find_table(path, rows, head, settings)
    if settings.task == "spans" and table.cells != "spans":
        raise DataError(
            f"{path}: its labels are classes or texts, not spans.\n"
            '  Spans are read from cells such as [[5, 9, "artist"]], or with a word a row.'
        )
    rows = without_comments(path, rows, table)
    reading = _with_columns(reading, table, rows)
    if is_cut(path) and is_last_odd(rows, table):
        reading = replace(reading, doubts=(*reading.doubts, CUT))
    return collect(path, _examples(path, rows, table, len(head), settings), reading=reading)


def _parts(dialect: Dialect) -> dict[str, str]:
    parts = {"separator": SEPARATORS.get(dialect.separator, repr(dialect.separator))}
    return parts if dialect.encoding == "utf-8" else {**parts, "encoding": dialect.encoding}


def _with_columns(reading: Reading, table: Table, rows: Sequence[Row]) -> Reading:
    def name(column: int) -> str:
        return f"{table.names[column] or 'no name'!r}" if table.names else f"column {column}"

    parts = {**reading.parts, "text": name(table.text)}
    if table.one_hot:
        parts["classes"] = f"columns {', '.join(label for _, label in table.one_hot)}"
    else:
        parts["labels"] = name(table.label)
    if table.cells != "plain":
        parts["labels"] += " (lists)" if table.cells == "lists" else " (spans)"
    doubts = (*reading.doubts, *header_doubts(table, rows))
    return replace(reading, parts=parts, doubts=doubts)


def _are_words(names: Sequence[str]) -> bool:
    """Whether a header names a word and its tag, and no text."""
    has_words = not (WORD_NAMES.isdisjoint(names) or TAG_NAMES.isdisjoint(names))
    return has_words and set(names).isdisjoint(TEXT_NAMES)


def _is_by_word(names: Sequence[str], settings: CsvSettings) -> bool:
    """Whether each row is a word: there are columns for the word, its tag and the sentence."""
    if settings.text_column is not None or settings.task in ("classes", "text"):
        return False
    return all(not known.isdisjoint(names) for known in (WORD_NAMES, TAG_NAMES, SENTENCE_NAMES))


def _examples(
    path: str | Path, rows: Iterable[Row], table: Table, n_columns: int, settings: CsvSettings
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
                given = list_of(cells[table.label]) if cells[table.label].strip() else []
                spans = read_spans(given, text, settings=settings)
            elif task == "text":
                reference = cells[table.label]
            else:
                classes = _classes(cells, table, settings)
        except RowError as error:
            yield error.problem(source, " | ".join(cells))
            continue
        columns = {name: cells[i] for name, i in rest.items()}
        row_id = next((columns.pop(name) for name in ID_NAMES if columns.get(name)), "")
        words, starts = split_words(text)
        row_id = row_id or f"{prefix}:{number}"
        yield Example(text, words, starts, spans, classes, reference, row_id, source, columns)


def _classes(cells: Sequence[str], table: Table, settings: CsvSettings) -> tuple[str, ...]:
    if table.one_hot:
        return tuple(
            name for i, name in table.one_hot if cells[i].strip().lower() in ("1", "1.0", "true")
        )
    cell = cells[table.label]
    if table.cells == "lists":
        return tuple(dict.fromkeys(str(item) for item in list_of(cell))) if cell.strip() else ()
    classes = split_classes(cell, settings.class_separator)
    if not classes and not settings.class_separator:
        raise RowError("the label is empty", "counts")
    return classes


def _looks_like(head: Head) -> float:
    if head.suffix == ".csv" or (head.suffix == ".tsv" and not head.has_blank_lines):
        return 0.95
    if head.suffix in (".tsv", ".txt") and _names_columns(head.lines[0]):
        return 0.96  # above that of columns, whose texts blank lines part
    if head.suffix == ".txt" and not head.has_blank_lines:
        counts = {line.count("\t") for line in head.lines[:-1]}
        return 0.7 if counts and min(counts) > 0 else 0.0
    return 0.0


def _names_columns(line: str) -> bool:
    """Whether a first line is a header with a column of texts and one of labels."""
    for mark in SEPARATORS:
        names = {name.strip().lower() for name in line.split(mark)}
        if names & {*TEXT_NAMES} and names & {*LABEL_NAMES}:
            return True
    return False


FORMAT = FileFormat(read_csv, CsvSettings, _looks_like)
