"""GLiNER: words and spans of words, the last word included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_json_file
from groot.data.result import Problem, ReadResult
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import spans_wanted, word_spans, write_json_array
from groot.types import Example


def read_gliner(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per row of an array or of JSON lines.

        {"tokenized_text": ["play", "nina"], "ner": [[1, 1, "artist"]]}

    Args:
        path: the file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing or empty file, or if no row can be used.
    """
    return read_json_file(path, RowSettings(**given), format="gliner")


def _looks_like(head: Head) -> float:
    return 0.99 * head.share_of_rows("tokenized_text", "ner")


def _to_row(example: Example, settings: WriteSettings) -> dict[str, Any]:
    spans_wanted(example, "GLiNER's format")
    ner = [[first, behind - 1, label] for first, behind, label in word_spans(example)]
    return {"tokenized_text": list(example.words), "ner": ner}


def write_gliner(examples: Sequence[Example], path: Path, settings: WriteSettings) -> list[Problem]:
    """Write an array of rows; spans off words are problems."""
    return write_json_array(examples, path, settings, _to_row)


FORMAT = FileFormat(read_gliner, RowSettings, _looks_like, write_gliner)
