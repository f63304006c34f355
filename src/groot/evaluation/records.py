"""Predictions as JSONL, one line an example, so that a score can be computed again and looked into.

{"id", "source", "text", "words", "word_starts", "gold": {"spans" | "classes" | "reference"},
 "candidates": [{"target", "output", "log_p", "reward", "probability", "source"}]}

Offsets are in code points. `output` is null for a malformed candidate.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groot.errors import DataError
from groot.outputs.marginals import candidate_probability
from groot.types import Candidate, Example, Gold, Span


def write_records(
    path: Path, examples: Iterable[Example], candidates: Iterable[Sequence[Candidate]]
) -> None:
    """Write the candidates of each example; the file is whole or not there.

    The examples' other columns are left out: they may be large, and no number needs them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"tmp-{path.name}-{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as out:
            for example, ranked in zip(examples, candidates, strict=True):
                line = json.dumps(record_of(example, ranked), allow_nan=False)
                out.write(line + "\n")
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_records(path: Path) -> tuple[list[Example], list[list[Candidate]]]:
    """Read what `write_records` wrote.

    Raises:
        DataError: naming path:line, if a line is not such a record.
    """
    pairs = list(_read(path))
    return [example for example, _ in pairs], [ranked for _, ranked in pairs]


def record_of(example: Example, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """One line of the file as a dictionary.

    >>> record_of(Example("hi", classes=("greet",), id="7"), [])["gold"]
    {'classes': ['greet']}
    """
    gold = {
        "spans": _json_of(example.spans),
        "classes": _json_of(example.classes),
        "reference": example.reference,
    }
    return {
        "id": example.id,
        "source": example.source,
        "text": example.text,
        "words": list(example.words),
        "word_starts": list(example.word_starts),
        "gold": {name: value for name, value in gold.items() if value is not None},
        "candidates": [
            {
                "target": candidate.target,
                "output": _json_of(candidate.output),
                "log_p": _finite(candidate.log_p),
                "reward": _finite(candidate.reward),
                "probability": candidate_probability(candidate),
                "source": candidate.source,
            }
            for candidate in candidates
        ],
    }


def _read(path: Path) -> Iterator[tuple[Example, list[Candidate]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _example_and_candidates(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{path}:{number}: not a record of predictions ({error!r}). Files in "
                    "DIR/evaluation are written by groot train and groot evaluate."
                ) from error


def _example_and_candidates(record: Mapping[str, Any]) -> tuple[Example, list[Candidate]]:
    text, gold = record["text"], record["gold"]
    example = Example(
        text=text,
        words=tuple(record["words"]),
        word_starts=tuple(record["word_starts"]),
        spans=_spans(gold["spans"], text) if "spans" in gold else None,
        classes=tuple(gold["classes"]) if "classes" in gold else None,
        reference=gold.get("reference"),
        id=record["id"],
        source=record["source"],
    )
    candidates = [
        Candidate(
            target=candidate["target"],
            output=_output(candidate["output"], text),
            log_p=candidate["log_p"],
            reward=candidate["reward"],
            source=candidate["source"],
        )
        for candidate in record["candidates"]
    ]
    return example, candidates


def _output(value: Any, text: str) -> Gold | None:
    if value is None or isinstance(value, str):
        return value
    if value and isinstance(value[0], str):
        return tuple(value)
    return _spans(value, text)


def _spans(values: Iterable[Mapping[str, Any]], text: str) -> tuple[Span, ...]:
    return tuple(
        Span(
            start=span["start"],
            end=span["end"],
            label=span["label"],
            text=text[span["start"] : span["end"]],
            probability=span.get("probability"),
        )
        for span in values
    )


def _json_of(gold: Gold | None) -> Any:
    if gold is None or isinstance(gold, str):
        return gold
    return [item if isinstance(item, str) else _span_json(item) for item in gold]


def _span_json(span: Span) -> dict[str, Any]:
    place = {"start": span.start, "end": span.end, "label": span.label}
    return place if span.probability is None else {**place, "probability": span.probability}


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: a number that is not finite is written as missing."""
    return value if value is not None and math.isfinite(value) else None
