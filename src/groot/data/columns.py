"""Column files (CoNLL and its kin): one word and its tag a line, a blank line between texts."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from groot.data.lines import read_lines
from groot.data.result import Problem, ReadResult, RowError
from groot.data.tagged import TaggedRow, read_tagged
from groot.errors import DataError
from groot.targets.schemes import split_tag
from groot.types import Task

# lines looked at to find out the separator and the columns
_LOOKED_AT = 2000

Line = tuple[int, str | Problem]


def read_columns(
    path: str | Path,
    *,
    task: Task | None = None,
    separator: str | None = None,
    word_column: int | None = None,
    tag_column: int | None = None,
    scheme: str | None = None,
    prefer_scheme: str = "IOB2",
    id_prefix: str | None = None,
) -> ReadResult:
    """Read one Example per block of lines; blank lines, -DOCSTART- and `# comments` part blocks.

        play    O
        nina    B-artist
        simone  I-artist

    Args:
        path: the file.
        task: None or "spans"; column files hold nothing else.
        separator: between columns; " " means runs of spaces and tabs. None detects tab, spaces,
            comma, semicolon or bar.
        word_column: from 0, negative from the right. None: the first, or the last where the tags
            are first.
        tag_column: from 0, negative from the right. None detects it: the last column that looks
            like tags, else the last one.
        scheme: of the tags; None detects it.
        prefer_scheme: the scheme to take where several fit equally well.
        id_prefix: ids are "prefix:line"; default the stem of the path.

    Raises:
        DataError: for a missing or empty file, one column only, or if no block can be used.
    """
    if task not in (None, "spans"):
        raise DataError(f"{path}: column files hold spans, not {task}.\n  Leave task out.")
    lines = read_lines(path)
    head = list(islice(lines, _LOOKED_AT))
    shape = _shape_of(path, head, separator, word_column, tag_column)
    rows = _rows(path, chain(head, lines), shape, id_prefix or Path(path).stem)
    return read_tagged(path, rows, scheme=scheme, prefer=prefer_scheme)


@dataclass(frozen=True, slots=True)
class _Shape:
    split: Callable[[str], list[str]]
    n_columns: int
    word: int
    tag: int


def _splitter(separator: str) -> Callable[[str], list[str]]:
    if separator == " ":
        # not str.split(): a no-break space or U+2028 may be part of a word
        return lambda line: re.split("[ \t]+", line.strip(" \t"))
    if separator in ",;|":  # these may be words too, and are then quoted
        return lambda line: [
            cell.strip(" ") for cell in next(csv.reader([line], delimiter=separator), [])
        ]
    return lambda line: [cell.strip(" ") for cell in line.split(separator)]


def _is_blank(line: str) -> bool:
    return not line.strip(" \t")


def _shape_of(
    path: str | Path,
    head: Sequence[Line],
    separator: str | None,
    word_column: int | None,
    tag_column: int | None,
) -> _Shape:
    """The separator, number of columns and places of word and tag that fit most of the lines."""
    lines = [line for _, line in head if isinstance(line, str) and not _is_blank(line)]
    lines = [line for line in lines if not line.startswith(("-DOCSTART-", "# "))] or lines
    if not lines:
        problems = [line for _, line in head if isinstance(line, Problem)]
        first = f"\n  First: {problems[0]}" if problems else ""
        raise DataError(
            f"{path}: the file holds no words.{first}\n  Give a file with tagged words."
        )
    best: tuple[int, Callable[[str], list[str]], int] = (0, _splitter(separator or " "), 0)
    for candidate in [separator] if separator else ["\t", " ", ",", ";", "|"]:
        split = _splitter(candidate)
        n_cells, n_lines = Counter(len(split(line)) for line in lines).most_common(1)[0]
        if n_cells > 1 and n_lines > best[0]:
            best = (n_lines, split, n_cells)
    _, split, n_columns = best
    if n_columns < 2:
        raise DataError(
            f"{path}:{head[0][0]}: one column only, where a word and its tag are wanted.\n"
            "  Separate them by a tab or spaces, or name the separator with separator=..."
        )
    rows = [cells for line in lines if len(cells := split(line)) == n_columns]
    for name, column in (("word_column", word_column), ("tag_column", tag_column)):
        if column is not None and not -n_columns <= column < n_columns:
            raise DataError(f"{path}: {name}={column}, but the file has {n_columns} columns.")
    if tag_column is None:
        shares = [
            sum(split_tag(cells[column]) is not None for cells in rows)
            for column in range(n_columns)
        ]
        if word_column is not None:
            shares[word_column % n_columns] = -1
        # the last of equals: in `word POS chunk entity` both of the last two look like tags
        tag_column = max(range(n_columns), key=lambda column: (shares[column], column))
    tag = tag_column % n_columns
    if word_column is None:
        word_column = n_columns - 1 if tag == 0 else 0
    if word_column % n_columns == tag:
        raise DataError(f"{path}: word_column and tag_column are both {tag}.")
    return _Shape(split, n_columns, word_column % n_columns, tag)


def _rows(
    path: str | Path, lines: Iterable[Line], shape: _Shape, id_prefix: str
) -> Iterator[TaggedRow | Problem]:
    cells_of_block: list[list[str]] = []
    first = 0  # line where the block begins; 0: none is open
    problem: Problem | None = None
    for number, line in chain(lines, [(0, "")]):
        source = f"{path}:{number}"
        if isinstance(line, Problem):
            problem = problem or line
            first = first or number
            continue
        is_document = line.startswith("-DOCSTART-")
        if _is_blank(line) or is_document:
            if problem is not None:
                yield problem
            elif first:
                yield _row(path, first, cells_of_block, shape, id_prefix)
            cells_of_block, first, problem = [], 0, None
            continue
        cells: list[str] = []
        reason = ""
        try:
            cells = shape.split(line)
        except csv.Error as error:
            reason = f"the line cannot be split: {error}"
        if len(cells) != shape.n_columns:
            if not first and line.startswith("# "):
                continue  # a comment above its text
            reason = reason or f"{len(cells)} columns, where the file has {shape.n_columns}"
            problem = problem or RowError(reason, "counts").problem(source, line)
        first = first or number
        cells_of_block.append(cells)


def _row(
    path: str | Path, first: int, block: list[list[str]], shape: _Shape, id_prefix: str
) -> TaggedRow:
    rest = {
        f"column_{column}": tuple(cells[column] for cells in block)
        for column in range(shape.n_columns)
        if column not in (shape.word, shape.tag)
    }
    return TaggedRow(
        source=f"{path}:{first}",
        id=f"{id_prefix}:{first}",
        words=tuple(cells[shape.word] for cells in block),
        tags=tuple(cells[shape.tag] for cells in block),
        columns=rest,
    )
