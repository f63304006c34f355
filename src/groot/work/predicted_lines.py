"""The lines of groot predict: those of the input as texts, those of the output as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groot.data.jsonl import parse_json
from groot.data.result import RowError
from groot.data.rows import TEXT_FIELDS, TOKEN_FIELDS, read_row
from groot.outputs.items import Item
from groot.types import Candidate, Example, Task
from groot.writer.prediction import Prediction


@dataclass(frozen=True, slots=True)
class InputLine:
    """One readable line of the input.

    Args:
        id: as the user gave it, text or a number; else "name of the file:line".
        example: the text with its words.
    """

    id: str | int
    example: Example


def line_of(row: InputLine, prediction: Prediction, *, task: Task) -> dict[str, Any]:
    """One line of the output.

    >>> greet = Candidate("greet", ("greet",), log_p=0.0)
    >>> predicted = Prediction([greet], 1.0, {"greet": 1.0})
    >>> line_of(InputLine(7, Example("hi")), predicted, task="classes")
    ... # doctest: +NORMALIZE_WHITESPACE
    {'id': 7, 'text': 'hi', 'covered': 1.0,
     'candidates': [{'classes': ['greet'], 'probabilities': [1.0],
                     'log_p': 0.0, 'probability': 1.0}]}
    """
    return {
        "id": row.id,
        "text": row.example.text,
        **({} if prediction.exact is None else {"exact": prediction.exact}),
        **({} if prediction.covered is None else {"covered": prediction.covered}),
        "candidates": [
            {
                **_output_of(candidate, task, prediction.probabilities),
                "log_p": candidate.log_p,
                "probability": (
                    None if candidate.log_p is None else min(1.0, math.exp(candidate.log_p))
                ),
            }
            for candidate in prediction.candidates
        ],
    }


def _output_of(
    candidate: Candidate, task: Task, probabilities: Mapping[Item, float]
) -> dict[str, Any]:
    if candidate.is_malformed:
        return {"malformed": candidate.target}
    if task == "text":
        return {"text": candidate.text}
    if task == "classes":
        return {
            "classes": list(candidate.classes),
            "probabilities": [probabilities.get(name) for name in candidate.classes],
        }
    return {
        "spans": [
            {
                "start": span.start,
                "end": span.end,
                "text": span.text,
                "label": span.label,
                "probability": span.probability,
            }
            for span in candidate.spans
        ]
    }


def parse_line(line: str, source: str, default_id: str, *, is_plain_text: bool) -> InputLine:
    """The text (or tokens) and id of a line of the input; gold, where there is some, is ignored.

    Raises:
        RowError: if the line holds no text.

    >>> parse_line('{"text": "hi", "id": 7}', "in.jsonl:3", "in:3", is_plain_text=False).id
    7
    >>> parse_line('"hi"', "in.jsonl:3", "in:3", is_plain_text=False).example.text
    'hi'
    """
    value = {"text": line} if is_plain_text else parse_json(line)
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, dict):
        raise RowError('want {"text": "..."} or "...": a line needs a text', "row")
    asked = {name: value[name] for name in (*TEXT_FIELDS, *TOKEN_FIELDS, "id") if name in value}
    example = read_row(asked, source, default_id)
    assert isinstance(example, Example)  # a row without gold has no tags
    is_number = type(value.get("id")) is int
    return InputLine(value["id"] if is_number else example.id, example)


def is_same(predicted: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    """Whether two lines say the same; numbers may differ by what a batch's padding changes."""

    def outputs(line: Mapping[str, Any]) -> list[Any]:
        return [
            {
                **{name: value for name, value in candidate.items() if name not in numbers},
                "spans": [
                    {name: value for name, value in span.items() if name != "probability"}
                    for span in candidate.get("spans", ())
                ],
            }
            for candidate in line["candidates"]
        ]

    numbers = ("log_p", "probability", "probabilities", "spans")
    pairs = zip(predicted["candidates"], written["candidates"], strict=False)
    return outputs(predicted) == outputs(written) and all(
        _is_close(now["log_p"], before.get("log_p")) for now, before in pairs
    )


def _is_close(mine: float | None, written: float | None) -> bool:
    if mine is None or written is None:
        return mine is written
    return math.isclose(mine, written, abs_tol=1e-3)
