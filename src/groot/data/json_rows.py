"""From rows with named fields to a ReadResult: what JSON files, datasets and tables share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groot.data.conversations import plain_prompts
from groot.data.json_values import Value, read_values
from groot.data.layout import (
    AMBIGUOUS_FIELDS,
    REFERENCE_FIELDS,
    TEXT_FIELDS,
    TOKEN_FIELDS,
    Layout,
    find_layout,
)
from groot.data.result import Problem, Reading, ReadResult, RowError
from groot.data.rows import read_row
from groot.data.settings import OffsetUnit, RowSettings, check_choice
from groot.data.tagged import TaggedRow, read_tagged
from groot.errors import ConfigError, DataError
from groot.types import Example

# a row as a tool writes it -> the fields of read_row; it may note what it leaves out
Adapt = Callable[[Any, Callable[[str], None]], Mapping[str, Any]]


def read_json_file(
    path: str | Path, settings: RowSettings, *, format: str, adapt: Adapt | None = None
) -> ReadResult:
    """Read one Example per row of JSON lines or of a JSON array.

    Args:
        path: the file.
        settings: of the reader.
        format: its name, for the reading.
        adapt: gives the row as read_row knows it, for rows that a tool writes.

    Raises:
        DataError: for a missing or empty file, gold of two kinds, or if no row can be used.
    """
    values = list(read_values(path))
    unit: OffsetUnit | None = None
    if values and _is_header(values[0][1]):
        unit = _unit_of_file(values[0][1]["offset_unit"], f"{path}:{values[0][0]}")
        del values[0]
    rows = [(f"{path}:{number}", value, text) for number, value, text in values]
    ids = _row_ids(settings.id_prefix or Path(path).stem, values)
    return read_named_rows(
        path, zip(rows, ids, strict=True), settings, format=format, adapt=adapt, unit=unit
    )


def _row_ids(prefix: str, values: Iterable[Value]) -> Iterator[str]:
    """prefix:line, with a letter behind it where a line holds several rows."""
    before = n_same = 0
    for number, _, _ in values:
        n_same = n_same + 1 if number == before else 0
        before = number
        yield f"{prefix}:{number}" + (f".{n_same + 1}" if n_same else "")


def read_named_rows(
    where: str | Path,
    rows: Iterable[tuple[tuple[str, Any, str], str]],
    settings: RowSettings,
    *,
    format: str,
    adapt: Adapt | None = None,
    unit: OffsetUnit | None = None,
    notes: list[Problem] | None = None,
    doubts: Sequence[str] = (),
) -> ReadResult:
    """Read one Example per row.

    Args:
        where: what they are called in messages.
        rows: ("path:line", the row or the problem with it, the row as text) and its id.
        settings: of the reader.
        format: the name of the format.
        adapt: as in read_json_file.
        unit: of offsets, for the whole file; None: as in the settings.
        notes: what was read with a change so far.
        doubts: what the file could mean besides.

    Raises:
        DataError: for gold of two kinds, or if no row can be used.
    """
    notes = [] if notes is None else notes
    plain = [(*_plain(row, settings, adapt, notes), row_id) for row, row_id in rows]
    mappings = [(source, row) for source, row, _, _ in plain if isinstance(row, Mapping)]
    layout = find_layout(where, mappings, settings)
    parts = _parts(mappings, layout, unit or settings.offset_unit)
    mappings.clear()
    plain.reverse()

    def examples() -> Iterator[Example | TaggedRow | Problem]:
        while plain:  # each row is let go of once it is an example
            source, row, text, row_id = plain.pop()
            if isinstance(row, Problem):
                yield row
                continue
            try:
                if unit is not None and isinstance(row, Mapping):
                    row = {"offset_unit": unit, **row}
                yield read_row(row, source, row_id, layout=layout, settings=settings, notes=notes)
            except RowError as error:
                yield error.problem(source, text)

    reading = Reading(format, parts, doubts=tuple(doubts))
    return read_tagged(where, examples(), settings, reading=reading, notes=notes)


def _plain(
    row: tuple[str, Any, str], settings: RowSettings, adapt: Adapt | None, notes: list[Problem]
) -> tuple[str, Any, str]:
    """The row with the fields that read_row knows, or its problem."""
    source, value, text = row
    if isinstance(value, Problem):
        return row

    def note(reason: str) -> None:
        notes.append(RowError(reason, "not read").problem(source, text))

    try:
        if adapt is not None:
            value = _adapted(adapt, value, note)
        if isinstance(value, Mapping):
            value = plain_prompts(value)
            if (name := settings.label_field) is not None:
                value = _with_label(value, name)
    except RowError as error:
        return source, error.problem(source, text), text
    return source, value, text


def _adapted(adapt: Adapt, value: Any, note: Callable[[str], None]) -> Mapping[str, Any]:
    """What adapt makes of the row; a row of another shape than the tool's is a RowError."""
    try:
        return adapt(value, note)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        reason = f"the row is not as the tool writes it ({type(error).__name__}: {error!s:.60})"
        raise RowError(reason, "json") from error


def _with_label(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in row:
        there = ", ".join(map(repr, list(row)[:6])) or "no field at all"
        raise RowError(f"the field {name!r} is not there, but {there}", "counts")
    rest = {key: value for key, value in row.items() if key != name}
    return {**rest, "label": row[name]}


def _parts(
    rows: Iterable[tuple[str, Mapping[str, Any]]], layout: Layout, unit: OffsetUnit
) -> dict[str, str]:
    """Which fields the text and the gold of the rows stand in."""
    seen: dict[str, None] = {}
    for _, row in rows:
        seen.update(dict.fromkeys(row))
    parts = {}
    fields: tuple[tuple[str, Sequence[str]], ...] = (
        ("text", TEXT_FIELDS),
        ("words", TOKEN_FIELDS),
        ("spans", ("spans", "entities", "ents", "ner")),
        ("tags", ("tags", "ner_tags")),
        ("classes", ("classes", "class")),
        ("reference", REFERENCE_FIELDS),
    )
    for kind, names in fields:
        if name := next((name for name in names if name in seen), None):
            parts[kind] = name
    parts.update({layout.kinds[name]: name for name in AMBIGUOUS_FIELDS if name in layout.kinds})
    if "spans" in parts and unit != "codepoint":
        parts["offsets"] = unit
    return parts


def _is_header(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and "offset_unit" in row
        and not any(name in row for name in TEXT_FIELDS + TOKEN_FIELDS)
    )


def _unit_of_file(unit: object, source: str) -> OffsetUnit:
    try:
        check_choice("offset_unit", unit, ("codepoint", "utf16"))
    except ConfigError as error:
        reason = f"offset_unit is {unit!r}; want 'codepoint' or 'utf16'"
        raise DataError(f"{source}: {reason}.") from error
    return "utf16" if unit == "utf16" else "codepoint"
