"""Parallel files: line i of one file holds the words, line i of the other their tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.lines import open_binary, read_lines
from groot.data.result import Problem, Reading, ReadResult, RowError
from groot.data.settings import TagSettings
from groot.data.tagged import TaggedRow, read_tagged
from groot.errors import DataError

WORDS_NAME, TAGS_NAME, CLASSES_NAME = "seq.in", "seq.out", "label"


@dataclass(frozen=True, kw_only=True)
class ParallelSettings(TagSettings):
    """What read_parallel takes.

    Args:
        tags_path: default: `seq.out` beside `seq.in`, `label_x.txt` beside `sent_x.txt`.
        classes_path: default: `label` beside `seq.in`, if it is there.
        class_separator: what stands between the classes of one line; None: one class a line.
    """

    tags_path: str | Path | None = None
    classes_path: str | Path | None = None
    class_separator: str | None = None


def read_parallel(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per line of parallel files; lines blank in all of them are skipped.

    words: play nina simone        tags: O B-artist I-artist        classes: PlayMusic

    Args:
        path: the words file, or a folder that holds `seq.in`, `seq.out` and perhaps `label`.
        given: those of ParallelSettings; id_prefix is the stem of the words file by default, or
            its folder's name.

    Raises:
        DataError: for missing files, or if no line can be used.
    """
    settings = ParallelSettings(**given)
    task, id_prefix = settings.task, settings.id_prefix
    tags_path, classes_path = settings.tags_path, settings.classes_path
    words_path = Path(path)
    if words_path.is_dir():
        words_path = words_path / WORDS_NAME
        id_prefix = id_prefix or Path(path).name
    if words_path.name == WORDS_NAME:
        tags_path = tags_path or words_path.with_name(TAGS_NAME)
        beside = words_path.with_name(CLASSES_NAME)
        classes_path = classes_path or (beside if beside.exists() or task == "classes" else None)
    elif tags_path is None and task != "classes":
        tags_path = partner(words_path)
        if tags_path is None:
            raise DataError(
                f"{words_path}: no file of tags beside it.\n"
                "  Give tags_path=..., or name the two files sent_x.txt and label_x.txt."
            )
    if task == "text":
        raise DataError(f"{words_path}: parallel files hold spans and classes, no reference texts.")
    if task == "classes":
        tags_path = None
    if task == "spans":
        classes_path = None
    for file in (words_path, tags_path, classes_path):
        if file is not None:
            open_binary(file).close()  # all files must be there before any is read
    rows = _rows(
        words_path,
        Path(tags_path) if tags_path else None,
        Path(classes_path) if classes_path else None,
        settings.class_separator,
        id_prefix or words_path.stem,
    )
    parts = {"words": words_path, "tags": tags_path, "classes": classes_path}
    names = {name: Path(file).name for name, file in parts.items() if file is not None}
    return read_tagged(words_path, rows, settings, reading=Reading("parallel", names))


def partner(words_path: Path) -> Path | None:
    """The file of tags that by its name belongs to a file of words, if it exists."""
    for sign, other in (("sent", "label"), ("words", "tags"), (WORDS_NAME, TAGS_NAME)):
        if sign in words_path.name:
            tags_path = words_path.with_name(words_path.name.replace(sign, other, 1))
            if tags_path.is_file():
                return tags_path
    return None


def _rows(
    words_path: Path,
    tags_path: Path | None,
    classes_path: Path | None,
    class_separator: str | None,
    id_prefix: str,
) -> Iterator[TaggedRow | Problem]:
    paths = [path for path in (words_path, tags_path, classes_path) if path is not None]
    for number, lines in enumerate(zip_longest(*map(read_lines, paths)), start=1):
        cells: dict[Path, str] = {}
        problem = None
        for path, line in zip(paths, lines, strict=True):
            if line is None:  # this file is shorter than the others
                continue
            content = line[1]
            if isinstance(content, Problem):
                problem = problem or content
            else:
                cells[path] = content
        if problem is not None:
            yield problem
            continue
        if not any(content.strip() for content in cells.values()):
            continue
        if short := [path for path in paths if path not in cells]:
            longer = next(path for path in paths if path in cells)
            reason = f"the file ends before line {number}, which {longer.name} has"
            yield RowError(reason, "counts").problem(f"{short[0]}:{number}", "")
            continue
        words, tags = _split(cells[words_path]), None
        if tags_path is not None:
            tags = _split(cells[tags_path])
            if len(words) != len(tags):
                reason = f"{len(words)} words but {len(tags)} tags; every word needs one tag"
                error = RowError(reason, "counts")
                yield error.problem(f"{tags_path}:{number}", cells[words_path])
                continue
        classes = None
        if classes_path is not None:
            classes = split_classes(cells[classes_path].strip(), class_separator)
            if not classes:
                error = RowError("the line holds no class", "counts")
                yield error.problem(f"{classes_path}:{number}", cells[words_path])
                continue
        row_id = f"{id_prefix}:{number}"
        yield TaggedRow(f"{words_path}:{number}", row_id, words, tags, classes)


def _split(line: str) -> tuple[str, ...]:
    # not str.split(): a no-break space or U+2028 may be part of a word
    return tuple(part for part in line.replace("\t", " ").split(" ") if part)


def split_classes(cell: str, separator: str | None) -> tuple[str, ...]:
    """The classes of one cell, each once, in the order written.

    >>> split_classes("flight#airfare", "#"), split_classes("a, b", None)
    (('flight', 'airfare'), ('a, b',))
    """
    parts = cell.split(separator) if separator else [cell]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _looks_like(head: Head) -> float:
    if head.names:
        return 0.99 if WORDS_NAME in head.names else 0.0
    return 0.97 if head.path.name == WORDS_NAME or partner(head.path) else 0.0


FORMAT = FileFormat(read_parallel, ParallelSettings, _looks_like)
