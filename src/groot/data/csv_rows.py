"""CSV and TSV: a text and its class (or classes, or reference text) in two columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from groot.data.lines import read_lines
from groot.data.parallel import split_classes
from groot.data.result import Problem, ReadResult, RowError, collect
from groot.data.rows import CLASS_FIELDS, REFERENCE_FIELDS, TEXT_FIELDS
from groot.errors import DataError
from groot.targets.words import split_words
from groot.types import Example, Task

_TEXT_NAMES = (*TEXT_FIELDS, "utterance", "query", "content", "review")
_LABEL_NAMES = (*CLASS_FIELDS, "category", "intent", "target", *REFERENCE_FIELDS)
_ID_NAMES = ("id", "guid", "uid")

# number of the row's first line, and its cells or the problem with it
Row = tuple[int, list[str] | Problem]


def read_csv(
    path: str | Path,
    *,
    task: Task | None = None,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    class_separator: str | None = None,
    separator: str | None = None,
    id_prefix: str | None = None,
) -> ReadResult:
    """Read one Example per row; a quoted cell may hold line ends.

        text,label
        "play nina simone, please",PlayMusic

    Args:
        path: the file.
        task: "classes", or "text" where the label column holds reference texts; None tells by the
            column's name ("completion" and "reference" hold texts).
        text_column: a name of the header, or a number from 0 where there is none. None finds it.
        label_column: the same for the label.
        class_separator: what stands between the classes of one cell; None: one class a row.
        separator: between cells; None: tab, comma, semicolon or bar, whichever is in the first
            line.
        id_prefix: ids are "prefix:line" where no column is named "id"; default the path's stem.

    Raises:
        DataError: for a missing or empty file, columns that are not clear, or if no row can be
            used.
    """
    if task == "spans":
        raise DataError(f"{path}: CSV files hold classes or texts, not spans.\n  Use JSON lines.")
    rows = list(_rows(path, separator))
    head = next((cells for _, cells in rows if isinstance(cells, list)), None)
    if head is None:
        return collect(path, [row for _, row in rows if isinstance(row, Problem)])
    names = [name.strip().lower() for name in head]
    wanted = [column for column in (text_column, label_column) if isinstance(column, str)]
    is_header = bool(wanted) or not {*_TEXT_NAMES}.isdisjoint(names)
    if is_header:
        rows = [row for row in rows if row[1] is not head]
        text = _column_named(path, text_column, names, _TEXT_NAMES, "text")
        label = _column_named(path, label_column, names, _LABEL_NAMES, "label")
        rest = {name: i for i, name in enumerate(names) if i not in (text, label)}
    else:
        text, label = _columns_without_header(path, rows, len(head), text_column, label_column)
        rest = {}
    if task is None:
        task = "text" if is_header and names[label] in REFERENCE_FIELDS else "classes"
    prefix = id_prefix or Path(path).stem

    def examples() -> Iterator[Example | Problem]:
        for number, cells in rows:
            if isinstance(cells, Problem):
                yield cells
                continue
            source = f"{path}:{number}"
            try:
                if len(cells) != len(head):
                    reason = f"{len(cells)} cells, where the first row has {len(head)}"
                    raise RowError(reason, "counts")
                classes, reference = None, None
                if task == "classes":
                    classes = split_classes(cells[label], class_separator)
                    if not classes and not class_separator:
                        raise RowError("the label is empty", "counts")
                else:
                    reference = cells[label]
            except RowError as error:
                yield error.problem(source, " | ".join(cells))
                continue
            columns = {name: cells[i] for name, i in rest.items()}
            row_id = next((columns.pop(name) for name in _ID_NAMES if columns.get(name)), "")
            words, starts = split_words(cells[text])
            yield Example(
                cells[text],
                words,
                starts,
                classes=classes,
                reference=reference,
                id=row_id or f"{prefix}:{number}",
                source=source,
                columns=columns,
            )

    return collect(path, examples())


def _rows(path: str | Path, separator: str | None) -> Iterator[Row]:
    bad: dict[int, Problem] = {}

    def lines() -> Iterator[str]:
        for number, line in read_lines(path):
            if isinstance(line, Problem):
                bad[number] = line
                line = ""
            yield line + "\n"

    source = lines()
    first = next(source, "")
    if separator is None:
        separator = max("\t,;|", key=first.count)  # max keeps the first of equals

    def all_lines() -> Iterable[str]:
        yield first
        yield from source

    reader = csv.reader(all_lines(), delimiter=separator, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"the row cannot be split (it ends at line {reader.line_num}): {error}"
            yield number, RowError(reason).problem(f"{path}:{number}", "")
            continue
        problems = [bad.pop(i) for i in range(number, reader.line_num + 1) if i in bad]
        if problems:
            yield number, problems[0]
        elif any(cell.strip() for cell in cells):
            yield number, cells


def _column_named(
    path: str | Path, given: str | int | None, names: list[str], known: Iterable[str], what: str
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
    path: str | Path, rows: list[Row], n_columns: int, text: str | int | None, label: object
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
