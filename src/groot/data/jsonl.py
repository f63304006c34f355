"""JSON lines: one object a line, read whole with read_jsonl or one by one with stream_jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_json_file
from groot.data.json_values import line_values, parse_json
from groot.data.layout import CLASS_FIELDS, REFERENCE_FIELDS, SPAN_FIELDS, TAG_FIELDS
from groot.data.lines import number_lines, read_lines
from groot.data.result import Problem, ReadResult, RowError
from groot.data.rows import read_row
from groot.data.settings import RowSettings, WriteSettings
from groot.data.tagged import TaggedRow
from groot.data.written import offsets, write_json_lines
from groot.types import Example

__all__ = ["FORMAT", "parse_json", "read_jsonl", "stream_jsonl", "write_jsonl"]


def read_jsonl(path: str | Path, **settings: Any) -> ReadResult:
    """Read one Example per line, or per element of a JSON array; blank lines are skipped.

        {"text": "play nina", "spans": [{"start": 5, "end": 9, "label": "artist"}]}
        {"text": "play nina", "label": [[5, 9, "artist"]]}            also "entities"
        {"tokens": ["play", "nina"], "tags": ["O", "B-artist"]}       also "ner_tags"
        {"text": "play nina", "class": "PlayMusic"}                   also "label", "classes": [...]
        {"prompt": "Name a singer.", "completion": "Nina Simone"}     also "text" and "reference"

    A first line such as {"offset_unit": "utf16"} sets the unit for the lines below it. What
    "label" holds is decided once, for all rows; an empty list is a row without that gold.

    Args:
        path: the file.
        settings: those of RowSettings.

    Raises:
        DataError: for a missing or empty file, gold of two kinds, or if no line can be used.
    """
    return read_json_file(path, RowSettings(**settings), format="jsonl")


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
    if isinstance(path, (str, Path)):
        name, lines = name or str(path), read_lines(path)
    else:
        name = name or "stdin"
        lines = number_lines(path, name)
    for number, row, text in line_values(name, lines):
        if isinstance(row, Problem):
            yield row
            continue
        if isinstance(row, dict):  # gold that cannot be read is no reason not to predict
            row = {key: value for key, value in row.items() if key not in _GOLD_FIELDS}
        source = f"{name}:{number}"
        try:
            example = read_row(row, source, f"{Path(name).stem}:{number}")
        except RowError as error:
            yield error.problem(source, text)
            continue
        if isinstance(example, TaggedRow):
            raise AssertionError("a row without gold has no tags")
        yield example


_GOLD_FIELDS = frozenset(
    [*SPAN_FIELDS, "ner", *TAG_FIELDS, *CLASS_FIELDS, *REFERENCE_FIELDS, "offset_unit"]
)


def _looks_like(head: Head) -> float:
    if head.suffix in (".jsonl", ".ndjson", ".json"):
        return 0.95
    return 0.9 if head.rows else 0.5 if head.text.lstrip().startswith("{") else 0.0


def to_row(example: Example, settings: WriteSettings) -> dict[str, Any]:
    """The example with all its gold, as read_jsonl reads it."""
    row: dict[str, Any] = {"id": example.id, "text": example.text}
    if example.spans is not None:
        places = offsets(example.text, example.spans, settings.offset_unit)
        row["spans"] = [
            {"start": start, "end": end, "label": span.label, "text": span.text}
            for span, (start, end) in zip(example.spans, places, strict=True)
        ]
        if settings.offset_unit != "codepoint":
            row["offset_unit"] = settings.offset_unit
    if example.classes is not None:
        row["classes"] = list(example.classes)
    if example.reference is not None:
        row["reference"] = example.reference
    return row


def write_jsonl(examples: Sequence[Example], path: Path, settings: WriteSettings) -> list[Problem]:
    """Write one object a line with all the gold of the example."""
    return write_json_lines(examples, path, settings, to_row)


FORMAT = FileFormat(read_jsonl, RowSettings, _looks_like, write_jsonl)
