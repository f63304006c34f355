"""What writers of formats share: offsets in the unit asked for, tags on words, files of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from groot.data.lost_gold import off_words
from groot.data.result import Problem, RowError
from groot.data.settings import OffsetUnit, WriteSettings
from groot.engine.files import write_text
from groot.targets.schemes import tags_of_spans
from groot.types import Example, Span

# a row of the format, or RowError where it cannot hold the example
ToRow = Callable[[Example, WriteSettings], Any]


def write_json_lines(
    examples: Iterable[Example], path: Path, settings: WriteSettings, to_row: ToRow
) -> list[Problem]:
    """Write one JSON value a line; those that cannot be written are returned as problems."""
    rows, problems = rows_of(examples, settings, to_row)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return problems


def write_json_array(
    examples: Iterable[Example], path: Path, settings: WriteSettings, to_row: ToRow
) -> list[Problem]:
    """Write one JSON array with an element an example."""
    rows, problems = rows_of(examples, settings, to_row)
    write_text(path, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    return problems


def write_blocks(
    examples: Iterable[Example], path: Path, settings: WriteSettings, to_block: ToRow
) -> list[Problem]:
    """Write one block of lines an example, with a blank line between two."""
    blocks, problems = rows_of(examples, settings, to_block)
    write_text(path, "\n".join(blocks))
    return problems


def rows_of(
    examples: Iterable[Example], settings: WriteSettings, to_row: ToRow
) -> tuple[list[Any], list[Problem]]:
    """The rows of the examples that the format can hold, and a problem for each other."""
    rows, problems = [], []
    for example in examples:
        try:
            rows.append(to_row(example, settings))
        except RowError as error:
            n_spans = len(example.spans or ())
            named = RowError(error.reason, error.kind, n_spans)
            problems.append(named.problem(example.source, example.text))
    return rows, problems


def spans_wanted(example: Example, format: str) -> tuple[Span, ...]:
    """The gold spans of an example, for a format that holds nothing else.

    Raises:
        RowError: if the example has none.
    """
    if example.spans is None:
        raise RowError(f"the example has no spans, and {format} holds nothing else")
    return example.spans


def offsets(text: str, spans: Sequence[Span], unit: OffsetUnit) -> list[tuple[int, int]]:
    """Start and end of each span in the unit.

    >>> offsets("\\U0001f44d nina", [Span(2, 6, "artist")], "utf16")
    [(3, 7)]
    """
    if unit == "codepoint" or not spans:
        return [(span.start, span.end) for span in spans]
    places, offset = [], 0
    for character in text:
        places.append(offset)
        offset += 2 if ord(character) > 0xFFFF else 1
    places.append(offset)
    return [(places[span.start], places[span.end]) for span in spans]


def word_spans(example: Example) -> list[tuple[int, int, str]]:
    """(first word, one behind the last, label) of each gold span.

    Raises:
        RowError: for spans that do not begin and end with words.
    """
    spans = example.spans or ()
    if off := off_words(example):
        reason = f"span {off[0].start}-{off[0].end} ({off[0].label}) is not on word boundaries"
        raise RowError(f"{reason}, so no tags can say it", "span")
    first = {start: i for i, start in enumerate(example.word_starts)}
    pairs = zip(example.word_starts, example.words, strict=True)
    behind = {start + len(word): i + 1 for i, (start, word) in enumerate(pairs)}
    return [(first[span.start], behind[span.end], span.label) for span in spans]


def tags_of(example: Example, scheme: str) -> list[str]:
    """One tag for each word of an example.

    Raises:
        RowError: for spans that do not begin and end with words, or a scheme that cannot say them.
    """
    spans = word_spans(example)
    if scheme == "WORD" and any(behind - first > 1 for first, behind, _ in spans):
        raise RowError("scheme WORD cannot say a span of several words", "tag")
    if any("\n" in label for _, _, label in spans):
        raise RowError("a label holds a line end", "tag")
    return tags_of_spans(spans, len(example.words), scheme)
