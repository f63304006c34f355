"""CoNLL-2012 (OntoNotes): names as brackets in the eleventh of a varying number of columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.lines import CUT, is_cut, read_lines
from groot.data.result import Problem, Reading, ReadResult, RowError
from groot.data.settings import TagSettings
from groot.data.tagged import TaggedRow, read_tagged

_WORD, _NAME, _MIN_COLUMNS = 3, 10, 11
_BRACKETS = re.compile(r"(?:\(([^()*]+))?\*?(\)?)")


def read_conll2012(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per sentence.

        #begin document (bc/x/00); part 000
        bc/x/00 0 0 play VB (TOP* - - - - *
        bc/x/00 0 1 nina NNP *) - - - - (artist)

    Args:
        path: the file.
        given: those of TagSettings; the scheme is IOB2, as brackets say where spans begin.

    Raises:
        DataError: for a missing or empty file, or if no sentence can be used.
    """
    settings = TagSettings(**{"scheme": "IOB2", **given})
    rows = _sentences(path, settings.id_prefix or Path(path).stem)
    parts = {"words": f"column {_WORD}", "tags": f"column {_NAME}"}
    reading = Reading("conll2012", parts, doubts=(CUT,) if is_cut(path) else ())
    return read_tagged(path, rows, settings, reading=reading)


def _sentences(path: str | Path, prefix: str) -> Iterator[TaggedRow | Problem]:
    first, problem = 0, None
    rows: list[list[str]] = []
    for number, line in [*read_lines(path), (0, "")]:
        source = f"{path}:{number}"
        if isinstance(line, Problem):
            first, problem = first or number, problem or line
        elif not line.strip() or line.startswith(("#begin document", "#end document")):
            if problem is not None:
                yield problem
            elif rows:
                yield _row(path, first, rows, prefix)
            first, problem, rows = 0, None, []
        else:
            first = first or number
            cells = line.split()
            if len(cells) < _MIN_COLUMNS:
                reason = f"{len(cells)} columns, where CoNLL-2012 has at least {_MIN_COLUMNS}"
                problem = problem or RowError(reason, "counts").problem(source, line)
            rows.append(cells)


def _row(path: str | Path, first: int, rows: list[list[str]], prefix: str) -> TaggedRow | Problem:
    words = tuple(cells[_WORD] for cells in rows)
    source = f"{path}:{first}"
    try:
        tags = tags_of_brackets([cells[_NAME] for cells in rows])
    except RowError as error:
        return error.problem(source, " ".join(words))
    return TaggedRow(source, f"{prefix}:{first}", words, tags)


def tags_of_brackets(cells: list[str]) -> tuple[str, ...]:
    """Tags of IOB2 for names in brackets.

    Raises:
        RowError: for brackets that do not match, or stand inside others.

    >>> tags_of_brackets(["(PERSON*", "*)", "*", "(GPE)"])
    ('B-PERSON', 'I-PERSON', 'O', 'B-GPE')
    """
    label: str | None = None
    tags = []
    for number, cell in enumerate(cells, start=1):
        match = _BRACKETS.fullmatch(cell)
        if match is None or (match[1] and label) or (match[2] and not match[1] and not label):
            raise RowError(f"the brackets {cell!r:.40} of word {number} do not match", "tag")
        if match[1]:
            label = match[1]
            tags.append(f"B-{label}")
        else:
            tags.append(f"I-{label}" if label else "O")
        if match[2]:
            label = None
    if label:
        raise RowError(f"the bracket of {label!r:.40} is never closed", "tag")
    return tuple(tags)


def _looks_like(head: Head) -> float:
    lines = [line for line in head.lines[:-1] if line.strip()]
    rows = [line.split() for line in lines if not line.startswith("#")][:50]
    fits = [len(cells) >= _MIN_COLUMNS and cells[2].isdecimal() for cells in rows]
    names = [cells[_NAME] for cells in rows if len(cells) >= _MIN_COLUMNS]
    has_brackets = all(_BRACKETS.fullmatch(cell) and cell != "" for cell in names)
    if not rows or not all(fits) or not has_brackets:
        return 0.0
    return 0.99 if lines[0].startswith("#begin document") else 0.96


FORMAT = FileFormat(read_conll2012, TagSettings, _looks_like)
