"""JSON lines: one object a line, read whole with read_jsonl or one by one with stream_jsonl."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from groot.data.lines import number_lines, read_lines
from groot.data.offsets import Ends, OffsetUnit
from groot.data.result import Problem, ReadResult, RowError
from groot.data.rows import (
    CLASS_FIELDS,
    REFERENCE_FIELDS,
    SPAN_FIELDS,
    TAG_FIELDS,
    TEXT_FIELDS,
    TOKEN_FIELDS,
    read_row,
)
from groot.data.tagged import TaggedRow, read_tagged
from groot.errors import ConfigError, DataError
from groot.types import Example, Task

ReadRow = Callable[[Any, str, str, OffsetUnit], Example | TaggedRow]


def read_jsonl(
    path: str | Path,
    *,
    task: Task | None = None,
    scheme: str | None = None,
    prefer_scheme: str = "IOB2",
    tags_field: str | None = None,
    class_separator: str | None = None,
    offset_unit: OffsetUnit = "codepoint",
    ends: Ends = "exclusive",
    id_prefix: str | None = None,
) -> ReadResult:
    """Read one Example per line; blank lines are skipped.

        {"text": "play nina", "spans": [{"start": 5, "end": 9, "label": "artist"}]}
        {"text": "play nina", "label": [[5, 9, "artist"]]}            also "entities"
        {"tokens": ["play", "nina"], "tags": ["O", "B-artist"]}       also "ner_tags"
        {"text": "play nina", "class": "PlayMusic"}                   also "label", "classes": [...]
        {"prompt": "Name a singer.", "completion": "Nina Simone"}     also "text" and "reference"

    A first line such as {"offset_unit": "utf16"} sets the unit for the lines below it.

    Args:
        path: the file.
        task: which gold to take; None takes all there is.
        scheme: of the tags; None detects it.
        prefer_scheme: the scheme to take where several fit equally well.
        tags_field: the field of tags; None: "tags", "ner_tags" or "labels".
        class_separator: what stands between several classes in one string.
        offset_unit: "codepoint", or "utf16" for offsets made by JavaScript, Java or C#.
        ends: "exclusive", or "inclusive" where the end is the last character itself.
        id_prefix: ids are "prefix:line" where the row has none; default the stem of the path.

    Raises:
        DataError: for a missing or empty file, or if no line can be used.
    """
    check_conventions(offset_unit, ends)

    def read(row: Any, source: str, row_id: str, unit: OffsetUnit) -> Example | TaggedRow:
        return read_row(
            row,
            source,
            row_id,
            task=task,
            tags_field=tags_field,
            class_separator=class_separator,
            offset_unit=unit,
            ends=ends,
        )

    prefix = id_prefix or Path(path).stem
    rows = _rows(path, read_lines(path), prefix, read, offset_unit)
    return read_tagged(path, rows, scheme=scheme, prefer=prefer_scheme)


def stream_jsonl(
    path: str | Path | BinaryIO, *, name: str | None = None
) -> Iterator[Example | Problem]:
    """Yield the Example or Problem of each line, as it is read, without its gold.

    Repeated ids are not looked for, as that would keep every id in memory.

    Args:
        path: a file, or an open binary one such as sys.stdin.buffer.
        name: what to call an open file in messages and ids; default "stdin".

    Raises:
        DataError: for a file that is missing or in another encoding from its first byte.
    """

    def read(row: Any, source: str, row_id: str, unit: OffsetUnit) -> Example | TaggedRow:
        if isinstance(row, dict):  # gold that cannot be read is no reason not to predict
            row = {key: value for key, value in row.items() if key not in _GOLD_FIELDS}
        return read_row(row, source, row_id)

    if isinstance(path, (str, Path)):
        name, lines = name or str(path), read_lines(path)
    else:
        name = name or "stdin"
        lines = number_lines(path, name)
    for row in _rows(name, lines, Path(name).stem, read, "codepoint"):
        if isinstance(row, TaggedRow):
            raise AssertionError("a row without gold has no tags")
        yield row


_GOLD_FIELDS = frozenset(
    [*SPAN_FIELDS, "ner", *TAG_FIELDS, *CLASS_FIELDS, *REFERENCE_FIELDS, "answer", "offset_unit"]
)


def check_conventions(offset_unit: str, ends: str) -> None:
    """Check the two settings of span offsets.

    Raises:
        ConfigError: for a value that is not known.
    """
    if offset_unit not in ("codepoint", "utf16"):
        raise ConfigError(f"offset_unit={offset_unit!r}: want 'codepoint' or 'utf16'.")
    if ends not in ("exclusive", "inclusive"):
        raise ConfigError(f"ends={ends!r}: want 'exclusive' or 'inclusive'.")


def _rows(
    path: str | Path,
    lines: Iterable[tuple[int, str | Problem]],
    id_prefix: str,
    read: ReadRow,
    offset_unit: OffsetUnit,
) -> Iterator[Example | TaggedRow | Problem]:
    for number, line in lines:
        source = f"{path}:{number}"
        if isinstance(line, Problem):
            yield line
        elif line.strip():
            try:
                row = parse_json(line)
                if number == 1 and _is_header(row):
                    offset_unit = _unit_of_file(row["offset_unit"], source)
                    continue
                yield read(row, source, f"{id_prefix}:{number}", offset_unit)
            except RowError as error:
                yield error.problem(source, line)


def _unit_of_file(unit: object, source: str) -> OffsetUnit:
    if unit == "codepoint":
        return "codepoint"
    if unit == "utf16":
        return "utf16"
    raise DataError(f"{source}: offset_unit is {unit!r}; want 'codepoint' or 'utf16'.")


def parse_json(line: str) -> Any:
    """The value of one line of JSON.

    Raises:
        RowError: if it is not JSON, or nested too deep.
    """
    try:
        return json.loads(line)
    except RecursionError as error:
        raise RowError("the JSON is nested too deep", "json") from error
    except ValueError as error:
        raise RowError(f"not JSON: {error}", "json") from error


def _is_header(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and "offset_unit" in row
        and not any(name in row for name in TEXT_FIELDS + TOKEN_FIELDS)
    )
