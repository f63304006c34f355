"""Label Studio: its JSON export with annotations, and JSON-MIN; an array, or an object a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_json_file
from groot.data.result import Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.units import read_in_best_unit
from groot.data.written import offsets, write_json_array
from groot.types import Example


def read_labelstudio(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per task.

        {"data": {"text": "play nina"}, "annotations": [{"result": [{"type": "labels",
         "value": {"start": 5, "end": 9, "text": "nina", "labels": ["artist"]}}]}]}
        {"text": "play nina", "label": [{"start": 5, "end": 9, "labels": ["artist"]}]}

    Of several annotations of a task, the first that was not cancelled is taken, and noted;
    predictions are not read. Offsets are UTF-16 units where only so the spans' texts agree.

    Args:
        path: the file.
        given: those of RowSettings; text_field names the text among the data of a task.

    Raises:
        DataError: for a missing or empty file, or if no task can be used.
    """

    def read(settings: RowSettings) -> ReadResult:
        def adapt(row: Any, note: Callable[[str], None]) -> Mapping[str, Any]:
            return _task(row, note, settings.text_field)

        return read_json_file(path, settings, format="labelstudio", adapt=adapt)

    return read_in_best_unit(read, given)


def _task(row: Any, note: Callable[[str], None], text_field: str | None) -> Mapping[str, Any]:
    """A task with the fields that read_row knows."""
    if not isinstance(row, Mapping):
        raise RowError(f"the row is {row!r:.60}, where an object with fields is wanted", "json")
    data = row.get("data")
    if not isinstance(data, Mapping):
        return _minimal(row)
    fields: dict[str, Any] = {"id": row.get("id")}
    texts = [name for name, value in data.items() if isinstance(value, str)]
    name = text_field or ("text" if "text" in texts else texts[0] if len(texts) == 1 else None)
    if name is None:
        raise RowError(f"which of the data is the text? It has {', '.join(texts)}; set text_field")
    fields |= {other: value for other, value in data.items() if other != name}
    fields[text_field or "text"] = data.get(name)
    given = row.get("annotations", row.get("completions")) or []
    annotations = [annotation for annotation in given if not annotation.get("was_cancelled")]
    if not annotations:
        return fields
    if len(annotations) > 1:
        note(f"the task has {len(annotations)} annotations; the first is read")
    return fields | _gold(annotations[0].get("result") or [])


def _gold(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Spans and classes of one annotation."""
    kinds = {result.get("type") for result in results}
    gold: dict[str, Any] = {}
    if not kinds or "labels" in kinds or "hypertextlabels" in kinds:
        gold["spans"] = [
            result["value"]
            for result in results
            if result.get("type") in ("labels", "hypertextlabels")
        ]
    choices = [result["value"]["choices"] for result in results if result.get("type") == "choices"]
    if choices:
        gold["classes"] = [choice for group in choices for choice in group]
    return gold


def _minimal(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of JSON-MIN, whose field of spans has the name of the labelling."""
    fields = dict(row)
    for name, value in row.items():
        is_list = isinstance(value, list) and value and isinstance(value[0], Mapping)
        if is_list and all(isinstance(span, Mapping) and "labels" in span for span in value):
            fields["label"] = fields.pop(name)
        elif isinstance(value, Mapping) and "choices" in value:
            del fields[name]
            fields["classes"] = value["choices"]
    return fields


def _looks_like(head: Head) -> float:
    with_data = head.share_of_rows("data") * any("annotations" in row for row in head.rows)
    minimal = any(
        isinstance(value, list) and value and isinstance(value[0], Mapping) and "labels" in value[0]
        for row in head.rows
        for value in row.values()
    )
    return 0.99 * max(with_data, float(minimal))


def _row(example: Example, settings: WriteSettings) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    spans = example.spans or ()
    for i, (span, (start, end)) in enumerate(
        zip(spans, offsets(example.text, spans, "utf16"), strict=True)
    ):
        value = {"start": start, "end": end, "text": span.text, "labels": [span.label]}
        names = {"from_name": "label", "to_name": "text", "type": "labels"}
        results.append({"id": f"span{i}", "value": value, **names})
    if example.classes is not None:
        names = {"from_name": "class", "to_name": "text", "type": "choices"}
        results.append({"id": "class", "value": {"choices": list(example.classes)}, **names})
    data = {"text": example.text, "groot_id": example.id}
    return {"data": data, "annotations": [{"result": results}]}


def write_labelstudio(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write tasks to import into Label Studio; offsets count UTF-16 units, as it does."""
    return write_json_array(examples, path, settings, _row)


FORMAT = FileFormat(read_labelstudio, RowSettings, _looks_like, write_labelstudio)
