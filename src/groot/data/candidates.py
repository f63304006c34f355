"""Candidates with their scores, kept in a Parquet file: ours, or one from outside.

One row a candidate. Columns that we write: round, example_id, target, output (JSON: a list of
spans, a list of classes, a text, or null for a malformed target), log_p, reward, rewards (JSON: the
value of each part), source, parent, note. A file from outside needs example_id or text, one of
target, output and spans, and may have any of the others.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

from groot.data.jsonl import parse_json
from groot.data.lines import read_lines
from groot.data.offsets import read_spans
from groot.data.result import Problem, RowError
from groot.errors import DataError
from groot.outputs.items import plain
from groot.types import Candidate, Example, Gold, Source, Span

STAMP = "groot.stamp."  # before the names of a stamp in the metadata of a file

# rows held in memory while writing
_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A candidate, whose it is, and how it came about.

    Args:
        example_id: the example that it is a candidate of.
        target: what the model writes.
        output: what the target says; None where it is malformed.
        log_p: in nats; None if not scored.
        reward: None is missing.
        rewards: the value of each part of the reward, by name.
        source: search, sample, corrected, gold or file.
        parent: which of the example's candidates in this file it was corrected from, from 0.
        note: what the correction did, such as "mend 3:5 artist".
        round: of generating, from 0.
    """

    example_id: str
    target: str
    output: Gold | None
    log_p: float | None = None
    reward: float | None = None
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    source: Source = "file"
    parent: int | None = None
    note: str = ""
    round: int = 0

    @property
    def candidate(self) -> Candidate:
        """The candidate alone."""
        return Candidate(self.target, self.output, self.log_p, self.reward, self.source)


def write_candidates(
    path: str | Path, rows: Iterable[CandidateRow], *, stamp: Mapping[str, str] | None = None
) -> None:
    """Write a Parquet file, whole or not at all: it is written beside and renamed into place.

    Args:
        stamp: what `read_stamp` gives back, such as the mark of the weights that wrote them.
    """
    import pyarrow.parquet as pq

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"tmp-{path.name}-{os.getpid()}")
    schema = _schema(stamp or {})
    remaining = iter(rows)
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            while chunk := list(islice(remaining, _CHUNK)):
                writer.write_table(_table(chunk, schema))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_stamp(path: str | Path) -> dict[str, str]:
    """The stamp of a file that `write_candidates` wrote; nothing for one from outside."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    prefix = STAMP.encode()
    return {
        key.removeprefix(prefix).decode(): value.decode()
        for key, value in metadata.items()
        if key.startswith(prefix)
    }


def _schema(stamp: Mapping[str, str]) -> Any:
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int32()
    fields = {"round": count, "example_id": text, "target": text, "output": text}
    fields |= {"log_p": number, "reward": number, "rewards": text, "source": text}
    fields |= {"parent": count, "note": text}
    told = {"offset_unit": "codepoint", **{STAMP + name: mark for name, mark in stamp.items()}}
    return pa.schema(list(fields.items()), metadata=told)


def _table(rows: list[CandidateRow], schema: Any) -> Any:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        for name, values in columns.items():
            values.append(getattr(row, name))
    columns["output"] = [output_to_json(output) for output in columns["output"]]
    columns["rewards"] = [json.dumps(dict(rewards)) for rewards in columns["rewards"]]
    return pa.table(columns, schema=schema)


def output_to_json(output: Gold | None) -> str | None:
    """The output as JSON text; None for a malformed one."""
    return None if output is None else json.dumps(plain(output), ensure_ascii=False)


def read_candidates(
    path: str | Path, examples: Iterable[Example] = ()
) -> dict[str, list[CandidateRow]]:
    """The candidates of each example, by its id, in the order of the file.

    Args:
        path: a Parquet file, or JSON lines with the same fields.
        examples: for files that give the text instead of the id, and to check and fill in the
            text of spans.

    Raises:
        DataError: for a file that is missing or no such file, and for the first row that cannot be
            read.
    """
    path = Path(path)
    by_id = {example.id: example for example in examples}
    id_of_text: dict[str, str] = {}
    for example in by_id.values():
        id_of_text.setdefault(example.text, example.id)
    rows_of: dict[str, list[CandidateRow]] = {}
    for number, values in _json_rows(path) if path.suffix == ".jsonl" else _parquet_rows(path):
        try:
            row = _read(values, by_id, id_of_text)
        except RowError as error:
            message = f"{path}:{number}: {error.reason}.\n  Mend this row of the candidates file."
            raise DataError(message) from error
        rows_of.setdefault(row.example_id, []).append(row)
    if not rows_of:
        raise DataError(f"{path}: the file holds no candidates.\n  Give a file with candidates.")
    return rows_of


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path} is not a file.\n  Check the path of the candidates.")
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(path):
        if isinstance(line, Problem):
            raise DataError(str(line))
        if line.strip():
            try:
                values = parse_json(line)
            except RowError as error:
                raise DataError(f"{path}:{number}: {error.reason}") from error
            if not isinstance(values, dict):
                raise DataError(f"{path}:{number}: an object with fields is wanted.")
            yield number, values


def _read(
    values: dict[str, Any], by_id: dict[str, Example], id_of_text: dict[str, str]
) -> CandidateRow:
    example_id = values.get("example_id")
    if example_id is None:
        text = values.get("text")
        if text is None:
            raise RowError("neither example_id nor text says whose candidate this is")
        example_id = id_of_text.get(text)
        if example_id is None:
            raise RowError(f"no example has the text {text!r:.60}")
    text = by_id[str(example_id)].text if str(example_id) in by_id else None
    if not {"target", "output", "spans"} & values.keys():
        raise RowError("none of target, output and spans is there")
    output = values.get("output", values.get("spans"))
    if isinstance(output, str):
        output = parse_json(output)
    elif not {"output", "spans"} & values.keys():
        output = values["target"]  # a generated text, from outside
    source = values.get("source") or "file"
    if source not in get_args(Source):
        raise RowError(f"source {source!r:.40} is none of {', '.join(get_args(Source))}")
    rewards = values.get("rewards") or {}
    parent = values.get("parent")
    return CandidateRow(
        example_id=str(example_id),
        target=str(values.get("target") or ""),
        output=_output(output, text),
        log_p=_number(values.get("log_p"), "log_p"),
        reward=_number(values.get("reward"), "reward"),
        rewards=parse_json(rewards) if isinstance(rewards, str) else dict(rewards),
        source=cast(Source, source),
        parent=None if parent is None else int(parent),
        note=str(values.get("note") or ""),
        round=int(values.get("round") or 0),
    )


def _output(value: Any, text: str | None) -> Gold | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise RowError(f"output {value!r:.60} is neither spans, classes nor a text")
    if value and all(isinstance(item, str) for item in value):
        return tuple(value)
    if text is not None:
        return read_spans(value, text)
    # without the text only the form can be checked; the spans say their text themselves
    spans = []
    for item in value:
        if not isinstance(item, dict) or not {"start", "end", "label"} <= item.keys():
            raise RowError(f"span {item!r:.60} is not {{start, end, label}}")
        spans.append(Span(item["start"], item["end"], item["label"], item.get("text") or ""))
    return tuple(spans)


def _number(value: Any, name: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RowError(f"{name} is {value!r:.40}, where a number is wanted")
    return float(value)
