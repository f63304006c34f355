"""doccano: JSON lines with a list of labels; an empty list is a text without any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_json_file
from groot.data.result import Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import offsets, write_json_lines
from groot.types import Example

_FIELDS = {"id", "text", "label", "labels", "entities", "relations", "Comments", "meta", "cats"}


def read_doccano(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per row.

        {"id": 1, "text": "play nina", "label": [[5, 9, "artist"]]}
        {"id": 2, "text": "good morning", "label": []}
        {"id": 3, "text": "play nina", "label": ["PlayMusic"]}       in a project of classes
        {"id": 4, "text": "play nina", "entities": [{"start_offset": 5, "end_offset": 9,
         "label": "artist"}], "relations": []}

    doccano counts UTF-16 units where it does not count graphemes: set offset_unit="utf16" for
    texts with emoji.

    Args:
        path: the file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing or empty file, or if no row can be used.
    """
    return read_json_file(path, RowSettings(**given), format="doccano")


def _looks_like(head: Head) -> float:
    fits = [
        set(row) <= _FIELDS and "text" in row and {"label", "labels", "entities"} & set(row)
        for row in head.rows
    ]
    is_export = any(
        isinstance(row.get(name), list) for row in head.rows for name in ("label", "labels")
    ) or any("Comments" in row or "relations" in row for row in head.rows)
    return 0.96 if fits and all(fits) and is_export else 0.0


def _to_row(example: Example, settings: WriteSettings) -> dict[str, Any]:
    if example.spans is not None:
        places = offsets(example.text, example.spans, settings.offset_unit)
        label: list[Any] = [
            [start, end, span.label]
            for span, (start, end) in zip(example.spans, places, strict=True)
        ]
    elif example.classes is not None:
        label = list(example.classes)
    else:
        raise RowError("the example has neither spans nor classes")
    return {"id": example.id, "text": example.text, "label": label}


def write_doccano(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write rows to import into doccano; set offset_unit="utf16" as the project counts."""
    return write_json_lines(examples, path, settings, _to_row)


FORMAT = FileFormat(read_doccano, RowSettings, _looks_like, write_doccano)
