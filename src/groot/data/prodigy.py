"""Prodigy: JSON lines whose rows say whether their annotation was accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_json_file
from groot.data.result import Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import word_spans, write_json_lines
from groot.types import Example


def read_prodigy(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per row; those whose answer is not "accept" are reported, not used.

        {"text": "play nina", "answer": "accept", "_input_hash": 1,
         "spans": [{"start": 5, "end": 9, "label": "artist", "token_start": 1, "token_end": 1}]}
        {"text": "play nina", "answer": "accept", "accept": ["Play"], "options": [...]}

    Args:
        path: the file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing or empty file, or if no row can be used.
    """
    return read_json_file(path, RowSettings(**given), format="prodigy", adapt=_row)


def _row(row: Any, note: Callable[[str], None]) -> Mapping[str, Any]:
    """A row with the fields that read_row knows: of a choice, the accepted options are classes."""
    if isinstance(row, Mapping) and isinstance(row.get("accept"), list) and "options" in row:
        fields = {name: value for name, value in row.items() if name not in ("accept", "options")}
        return {**fields, "classes": row["accept"]}
    if not isinstance(row, Mapping):
        raise RowError(f"the row is {row!r:.60}, where an object with fields is wanted", "json")
    return row


def _looks_like(head: Head) -> float:
    if head.share_of_rows("_input_hash") > 0.5:
        return 0.99
    answers = {row["answer"] for row in head.rows if isinstance(row.get("answer"), str)}
    is_all = head.share_of_rows("answer", "text") > 0.9
    return 0.97 if is_all and answers and answers <= {"accept", "reject", "ignore"} else 0.0


def _to_row(example: Example, settings: WriteSettings) -> dict[str, Any]:
    row: dict[str, Any] = {"text": example.text, "answer": "accept", "meta": {"id": example.id}}
    words = zip(example.word_starts, example.words, strict=True)
    row["tokens"] = [
        {"text": word, "start": start, "end": start + len(word), "id": i}
        for i, (start, word) in enumerate(words)
    ]
    if example.spans is not None:
        row["spans"] = [
            {
                "start": span.start,
                "end": span.end,
                "label": span.label,
                "token_start": first,
                "token_end": behind - 1,  # the last token itself, other than "end"
            }
            for span, (first, behind, _) in zip(example.spans, word_spans(example), strict=True)
        ]
    if example.classes is not None:
        row["options"] = [{"id": name, "text": name} for name in example.classes]
        row["accept"] = list(example.classes)
    return row


def write_prodigy(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write accepted rows with tokens; spans off words are problems, as Prodigy has none."""
    return write_json_lines(examples, path, settings, _to_row)


FORMAT = FileFormat(read_prodigy, RowSettings, _looks_like, write_prodigy)
