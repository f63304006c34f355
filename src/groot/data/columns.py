"""Column files (CoNLL and its kin): one word and its tag a line, a blank line between texts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from groot.data.column_shape import Columns, Shape, find_shape, is_blank, table_share
from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.lines import CUT, Line, check_encoding, find_encoding, is_cut, read_lines
from groot.data.result import Problem, Reading, ReadResult, RowError
from groot.data.settings import TagSettings, WriteSettings
from groot.data.tagged import TaggedRow, read_tagged
from groot.data.written import spans_wanted, tags_of, write_blocks
from groot.errors import DataError
from groot.types import Example

# lines looked at to find out the separator and the columns
_LOOKED_AT = 2000
# words of a file without a blank line from which on that is asked about
_MANY_WORDS = 100
_ONE_TEXT = (
    "no blank line parts its texts, so that all its words are one text; put one behind each text"
)


@dataclass(frozen=True, kw_only=True)
class ColumnSettings(TagSettings):
    """What read_columns takes.

    Args:
        separator: between columns; " " means runs of spaces and tabs. None detects tab, spaces,
            comma, semicolon or bar.
        word_column: from 0, negative from the right. None finds the first that can hold words:
            not the number of the word, not one thing for a whole text.
        tag_column: from 0, negative from the right. None finds the last that looks like tags,
            the outer ones where tags stand inside tags; else the last one.
        encoding: None is UTF-8, or UTF-16 where the file begins so.
    """

    separator: str | None = None
    word_column: int | None = None
    tag_column: int | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_encoding(self.encoding)


def read_columns(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per block of lines; blank lines, -DOCSTART- and `# comments` part blocks.

        play    O
        nina    B-artist
        simone  I-artist

    Tags may also be written PER-B, B_PER or b-PER, if nearly all of a file are.

    Args:
        path: the file.
        given: those of ColumnSettings.

    Raises:
        DataError: for a missing or empty file, one column only, words that are mostly numbers,
            one label on most words, or if no block can be used.
    """
    settings = ColumnSettings(**given)
    if settings.task not in (None, "spans"):
        message = f"{path}: column files hold spans, not {settings.task}."
        raise DataError(f"{message}\n  Leave task out.")
    encoding = settings.encoding or ("utf-16" if find_encoding(path) == "utf-16" else "utf-8")
    lines = read_lines(path, encoding)
    head = list(islice(lines, _LOOKED_AT))
    columns = Columns(settings.separator, settings.word_column, settings.tag_column)
    shape = find_shape(path, head, columns)
    reading = Reading(
        "columns",
        {
            "words": f"column {shape.word}",
            "tags": f"column {shape.tag}",
            "separator": shape.separator,
            **({} if encoding == "utf-8" else {"encoding": encoding}),
        },
        doubts=shape.doubts,
    )
    prefix = settings.id_prefix or Path(path).stem
    rows = list(_rows(path, chain(head, lines), shape, prefix))
    if len(rows) == 1 and not isinstance(rows[0], Problem) and len(rows[0].words) > _MANY_WORDS:
        reading = replace(reading, doubts=(*reading.doubts, _ONE_TEXT))
    if is_cut(path) and _is_last_odd(rows, shape):
        reading = replace(reading, doubts=(*reading.doubts, CUT))
    return read_tagged(path, rows, settings, reading=reading)


def _is_last_odd(rows: Sequence[TaggedRow | Problem], shape: Shape) -> bool:
    """Whether the last line ends with what may be cut: a tag found nowhere else, or a word."""
    if not rows or isinstance(rows[-1], Problem):
        return False
    last = (rows[-1].tags or ("O",))[-1]
    n_same = sum((row.tags or ()).count(last) for row in rows if isinstance(row, TaggedRow))
    return n_same == 1 or shape.word == shape.n_columns - 1


def _rows(
    path: str | Path, lines: Iterable[Line], shape: Shape, id_prefix: str
) -> Iterator[TaggedRow | Problem]:
    cells_of_block: list[list[str]] = []
    first = 0  # line where the block begins; 0: none is open
    problem: Problem | None = None
    header = shape.header
    for number, line in chain(lines, [(0, "")]):
        source = f"{path}:{number}"
        if isinstance(line, Problem):
            problem = problem or line
            first = first or number
            continue
        if is_blank(line) or line.startswith("-DOCSTART-"):
            if problem is not None:
                yield problem
            elif first:
                yield _row(path, first, cells_of_block, shape, id_prefix)
            cells_of_block, first, problem = [], 0, None
            continue
        if line == header:
            header = None
            continue
        cells: list[str] = []
        reason = ""
        try:
            cells = shape.split(line)
        except csv.Error as error:
            reason = f"the line cannot be split: {error}"
        if not first and shape.is_comment(line, cells):
            continue  # above its text
        if len(cells) != shape.n_columns:
            reason = reason or f"{len(cells)} columns, where the file has {shape.n_columns}"
            problem = problem or RowError(reason, "counts").problem(source, line)
        first = first or number
        cells_of_block.append(cells)


def _row(
    path: str | Path, first: int, block: list[list[str]], shape: Shape, id_prefix: str
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


# share of the lines that must have one number of columns, as prose has not
_MIN_TABLE_SHARE = 0.7
_SUFFIXES = (".conll", ".conll03", ".bio", ".iob", ".iob2", ".bilou", ".iobes", ".bmes")


def _looks_like(head: Head) -> float:
    if head.suffix in _SUFFIXES:
        return 0.95
    if head.suffix in ("", ".txt", ".tsv", ".tags", ".dat") and head.has_blank_lines:
        is_json = head.text.lstrip()[:1] in ("{", "[") and bool(head.values)
        if is_json:
            return 0.3
        share = table_share(head.lines)
        return 0.95 * share if share > _MIN_TABLE_SHARE else 0.1
    return 0.0


def _to_block(example: Example, settings: WriteSettings) -> str:
    spans_wanted(example, "a column file")
    tags = tags_of(example, settings.scheme)
    if not example.words:
        raise RowError("the text has no word", "counts")
    if odd := [word for word in example.words if "\t" in word or "\n" in word]:
        raise RowError(f"the word {odd[0]!r:.40} holds a tab or a line end", "counts")
    return "".join(f"{word}\t{tag}\n" for word, tag in zip(example.words, tags, strict=True))


def write_columns(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write word, tab and tag a line; the text becomes the words joined by single spaces."""
    return write_blocks(examples, path, settings, _to_block)


FORMAT = FileFormat(read_columns, ColumnSettings, _looks_like, write_columns)
