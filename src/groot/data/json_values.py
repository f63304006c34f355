"""JSON files as one value after another: JSON lines, an array, or an object around an array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from groot.data.lines import open_binary, read_lines
from groot.data.result import ROW_LENGTH, Problem, RowError
from groot.errors import DataError

# line of the value, the value or the problem with it, and its text as it stands in the file
Value = tuple[int, Any, str]

_SPACE = re.compile(r"[ \t\r\n]*")
# names of the list of rows in an object around it, and fields of rows, which no such object has
_LISTS = ("data", "rows", "examples", "common_examples", "documents", "annotations", "train")
_ROW_FIELDS = frozenset(
    ("id", "text", "tokens", "prompt", "sentence", "messages", "instruction", "question", "chosen")
)
_PRETTY = re.compile(r"\s*(?:[\[{]\s*|\[\s*\{\s*|.*[{\[,]\s*)$")
MAX_WHOLE_BYTES = 1 << 30


def parse_json(line: str) -> Any:
    """The value of one line of JSON.

    Raises:
        RowError: if it is not JSON, nested too deep, or gives a key twice.
    """
    try:
        return _DECODER.decode(line)
    except RecursionError as error:
        raise RowError("the JSON is nested too deep", "json") from error
    except ValueError as error:
        raise RowError(f"not JSON: {error}", "json") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError(f"the key {twice!r:.40} stands twice in one object", "json")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys)


def read_values(path: str | Path) -> Iterator[Value]:
    """Yield each row of a JSON file: each line, or each element of its array.

    Raises:
        DataError: for a file that is missing or in another encoding.
    """
    if is_whole(path):
        return array_values(path)
    return line_values(path, read_lines(path))


def is_whole(path: str | Path) -> bool:
    """Whether a file is one JSON value over many lines, not a value a line."""
    with open_binary(path) as file:
        head = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = [line for line in head.split("\n") if line.strip()]
    if not lines or lines[0].lstrip()[0] not in "[{":
        return False
    if len(lines) > 1:
        try:
            parse_json(lines[0])
        except RowError:
            return _PRETTY.match(lines[0]) is not None
        return False
    # one line: an array of rows, an object around one, or a single row
    try:
        value = parse_json(lines[0])
    except RowError:
        return re.match(r"\s*\[\s*[{\[]", lines[0]) is not None
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], (dict, list))
    return _list_name(value) is not None


def _list_name(value: dict[str, Any]) -> str | None:
    """The name of the list of rows that an object is made around; None for a row."""
    if len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        return _list_name(inner)
    if not _ROW_FIELDS.isdisjoint(value):
        return None
    for name in _LISTS:
        rows = value.get(name)
        if isinstance(rows, list) and rows and all(isinstance(row, (dict, list)) for row in rows):
            return name
    return None


def line_values(path: str | Path, lines: Iterable[tuple[int, str | Problem]]) -> Iterator[Value]:
    """Yield the value of each line that is not blank."""
    for number, line in lines:
        if isinstance(line, Problem):
            yield number, line, line.row
        elif line.strip():
            try:
                yield number, parse_json(line), line[:ROW_LENGTH]
            except RowError as error:
                yield number, error.problem(f"{path}:{number}", line), line


def array_values(path: str | Path) -> Iterator[Value]:
    """Yield the elements of the array in a file; behind a broken one, from the next line like it.

    Raises:
        DataError: for a file in another encoding than UTF-8, or without an array of rows.
    """
    text = _whole_text(path)
    place = begin_of_rows(text)
    if place is None:
        yield from _single(path, text)
        return
    plain = json.JSONDecoder()
    line, counted = 1, 0
    indent = text[text.rfind("\n", 0, place) + 1 : place]
    while place < len(text) and text[place] != "]":
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, end = _DECODER.raw_decode(text, place)
        except RowError as error:  # a key twice: the element has an end all the same
            end = plain.raw_decode(text, place)[1]
            value = error.problem(f"{path}:{line}", text[place:end])
        except (ValueError, RecursionError) as error:
            end = _next_like(text, place, indent)
            reason = (
                "nested too deep" if isinstance(error, RecursionError) else f"not JSON: {error}"
            )
            value = RowError(reason, "json").problem(f"{path}:{line}", text[place:end])
        yield line, value, text[place:end][:ROW_LENGTH]
        place = _skip(text, end)
        if text.startswith(",", place):
            place = _skip(text, place + 1)
        elif place < len(text) and text[place] not in "]{[":
            number = line + text.count("\n", counted, place)
            broken = RowError("what follows is no JSON array; the rest is not read", "json")
            yield number, broken.problem(f"{path}:{number}", text[place:]), ""
            return


def _whole_text(path: str | Path) -> str:
    with open_binary(path) as file:
        raw = file.read(MAX_WHOLE_BYTES + 1).removeprefix(b"\xef\xbb\xbf")
    if len(raw) > MAX_WHOLE_BYTES:
        raise DataError(
            f"{path}: a JSON array of more than 1 GiB is not read whole.\n"
            "  Write one object a line (JSON lines), which is read line by line."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: byte {error.start + 1} of the file is not UTF-8.\n"
            "  Save the file as UTF-8."
        ) from error


def begin_of_rows(text: str) -> int | None:
    """The place of the first row of the array; None where the file holds no array of rows."""
    place = _skip(text, 0)
    if text.startswith("[", place):
        return _skip(text, place + 1)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # cut short, perhaps: then by its first list
        value = None
    name = _list_name(value) if isinstance(value, dict) else None
    names = [name] if name else [] if value is not None else list(_LISTS)
    match = re.search(rf'"(?:{"|".join(names)})"\s*:\s*\[\s*(?=[{{\[])', text) if names else None
    return match.end() if match else None


def _single(path: str | Path, text: str) -> Iterator[Value]:
    """The one object of a file that is written over many lines."""
    try:
        yield 1, parse_json(text), text
    except RowError as error:
        yield 1, error.problem(f"{path}:1", text), text


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _next_like(text: str, place: int, indent: str) -> int:
    """The end of a broken element: before the next line that begins as the first element did."""
    opening = text[place : place + 1]
    if indent.strip() == "":
        line_end = text.find(f"\n{indent}{opening}", place)
        if line_end >= 0:
            return len(text[:line_end].rstrip().removesuffix(","))
    return len(text)
