"""brat: a folder of .txt files, each with its annotations in an .ann file beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_named_rows
from groot.data.lines import open_binary
from groot.data.result import ROW_LENGTH, Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import rows_of, spans_wanted
from groot.engine.files import write_folder
from groot.errors import DataError
from groot.types import Example

_SPAN = re.compile(r"(T\S*)\t(\S+) ([0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)\t(.*)")
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def read_brat(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per .txt file with an .ann file beside it, in a folder and those inside it.

        T1\tartist 5 9\tnina
        T2\tband 0 4;10 14\tplay rose

    A span of several parts follows the setting overlap. Relations, events, attributes and notes
    are counted in the notes, not read.

    Args:
        path: the folder, or one .txt or .ann file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing or empty folder, or if no text can be used.
    """
    settings = RowSettings(**given)
    notes: list[Problem] = []
    rows = [(_document(text_path, notes), text_path.stem) for text_path in _texts(Path(path))]
    return read_named_rows(path, rows, settings, format="brat", notes=notes)


def _texts(path: Path) -> list[Path]:
    """The .txt files that are named, or are in a folder with .ann files."""
    if not path.is_dir():
        open_binary(path).close()  # for its errors
        if not path.with_suffix(".ann").is_file() or not path.with_suffix(".txt").is_file():
            raise DataError(f"{path}: want a .txt and an .ann file of this name, side by side.")
        return [path.with_suffix(".txt")]
    stems = {file.with_suffix("") for file in path.rglob("*.ann")}
    stems |= {file.with_suffix("") for file in path.rglob("*.txt")}
    if not stems:
        raise DataError(f"{path}: no .txt and .ann files.\n  Name the folder that holds them.")
    return [stem.with_name(f"{stem.name}.txt") for stem in sorted(stems)]


def _document(text_path: Path, notes: list[Problem]) -> tuple[str, Any, str]:
    """A text and its spans as a row, behind the place of the text."""
    source = f"{text_path}:1"
    ann_path = text_path.with_suffix(".ann")
    for file in (text_path, ann_path):
        if not file.is_file():
            reason = f"{file.name} is not beside it"
            return source, RowError(reason, "counts").problem(source, ""), ""
    try:
        text = text_path.read_bytes().decode("utf-8")
        lines = ann_path.read_bytes().decode("utf-8").split("\n")
        spans, n_others = _spans(lines, text, ann_path)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not UTF-8"
        return source, RowError(reason, "encoding").problem(source, ""), ""
    except RowError as error:
        return source, error.problem(source, text), ""
    if n_others:
        reason = f"{n_others} relations, events, attributes or notes are not read"
        notes.append(RowError(reason, "not read").problem(source, text))
    return source, {"id": text_path.stem, "text": text, "spans": spans}, text[:ROW_LENGTH]


def _spans(lines: Sequence[str], text: str, ann_path: Path) -> tuple[list[dict[str, Any]], int]:
    """The spans of the lines of an .ann file, and how many lines hold something else."""
    spans: list[dict[str, Any]] = []
    n_others = 0
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        if not line.startswith("T"):
            n_others += 1
            continue
        match = _SPAN.fullmatch(line)
        if match is None:
            raise RowError(f"{ann_path.name}:{number} is no span: {line!r:.60}", "span")
        parts = [tuple(map(int, part.split())) for part in match[3].split(";")]
        span: dict[str, Any] = {"label": match[2], "text": match[4]}
        if len(parts) == 1:
            ((span["start"], span["end"]),) = parts
            # brat writes a line end inside a span as a space
            there = text[span["start"] : span["end"]]
            if there.replace("\r", " ").replace("\n", " ") == match[4]:
                span["text"] = there
        else:
            span["start"] = [start for start, _ in parts]
            span["end"] = [end for _, end in parts]
        spans.append(span)
    return spans, n_others


def _looks_like(head: Head) -> float:
    if head.names:
        return 0.97 if any(name.endswith(".ann") for name in head.names) else 0.0
    return 0.97 if head.suffix == ".ann" else 0.0


def _to_files(example: Example, settings: WriteSettings) -> tuple[str, str, str]:
    """Id, text and annotations of an example."""
    lines = []
    for number, span in enumerate(spans_wanted(example, "brat"), start=1):
        if not span.label.strip() or any(character.isspace() for character in span.label):
            raise RowError(f"brat cannot hold white space in the label {span.label!r:.40}", "span")
        there = span.text.replace("\r", " ").replace("\n", " ")
        lines.append(f"T{number}\t{span.label} {span.start} {span.end}\t{there}\n")
    return example.id, example.text, "".join(lines)


def _file_names(ids: Sequence[str]) -> Iterator[str]:
    """A name for each text: its id where that is a good and new name, else its number."""
    seen: set[str] = set()
    for number, name in enumerate(ids, start=1):
        is_good = _SAFE_NAME.fullmatch(name) and "." not in name and name.lower() not in seen
        chosen = name if is_good else f"text-{number:06d}"
        seen.add(chosen.lower())
        yield chosen


def write_brat(examples: Sequence[Example], path: Path, settings: WriteSettings) -> list[Problem]:
    """Write a folder with a .txt and an .ann file for each text.

    Raises:
        DataError: where something of this name is there already.
    """
    if path.exists():
        raise DataError(f"{path} exists already.\n  Name a folder that is not there yet.")
    rows, problems = rows_of(examples, settings, _to_files)
    with write_folder(path) as folder:
        names = _file_names([row_id for row_id, _, _ in rows])
        for name, (_, text, annotations) in zip(names, rows, strict=True):
            (folder / f"{name}.txt").write_bytes(text.encode())
            (folder / f"{name}.ann").write_bytes(annotations.encode())
    return problems


FORMAT = FileFormat(read_brat, RowSettings, _looks_like, write_brat)
