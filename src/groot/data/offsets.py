"""Gold spans as rows give them, in whatever unit and convention, to spans in code points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groot.data.lines import check_text
from groot.data.overlaps import Parts, flatten, one_part, overlapping
from groot.data.result import RowError
from groot.data.settings import OffsetUnit, SpanSettings
from groot.types import Span

_DEFAULTS = SpanSettings()
# other names that people give to the label of a span
_LABEL_NAMES = ("labels", "entity", "entity_group", "type")


def read_spans(
    given: Any,
    text: str,
    *,
    offset_unit: OffsetUnit | None = None,
    settings: SpanSettings = _DEFAULTS,
    notes: list[RowError] | None = None,
) -> tuple[Span, ...]:
    """The spans of one row, in order of start; none of them overlap.

    Args:
        given: a list of {"start", "end", "label"} (with "text", which must then agree), or of
            [start, end, label]; or such lists by name, {"start": [...], "end": [...], ...}.
        text: that they point into.
        offset_unit: what the offsets of this row count; None: as in the settings.
        settings: of offsets and overlaps.
        notes: gets what was done to spans that overlap or have several parts.

    Raises:
        RowError: for anything that is not a span of the text; and with overlap="drop-text" for
            spans that overlap or have several parts.

    >>> read_spans([[5, 9, "artist"]], "play nina")
    (Span(start=5, end=9, label='artist', text='nina', probability=None),)
    """
    if isinstance(given, dict):
        given = _by_row(given)
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RowError(f"spans are {given!r:.60}, where a list is wanted", "span")
    unit = offset_unit or settings.offset_unit
    reader = _SpanReader(text, utf16_places(text) if unit == "utf16" else None, settings)
    try:
        spans = [reader.read(item) for item in given]
    except RowError as error:
        raise RowError(error.reason, error.kind, len(given)) from error
    spans.sort(key=lambda span: (span.start, span.end, span.label))
    pair = overlapping(spans)
    overlap = settings.overlap
    if pair and overlap == "drop-text":
        reason = f"{_said(pair[0])} and {_said(pair[1])} overlap"
        raise RowError(
            f"{reason}; overlap=longest would keep the longer one", "overlap", len(spans)
        )
    kept = flatten(spans, overlap) if pair else tuple(spans)
    if notes is not None:
        n_left = len(spans) - len(kept)
        if n_left:
            reason = f"{n_left} of {len(spans)} spans left out, as they overlap others ({overlap})"
            notes.append(RowError(reason, "overlap", n_left))
        if n := reader.n_joined:
            reason = f"{n} spans of several parts read as one stretch ({overlap})"
            notes.append(RowError(reason, "discontinuous", n))
    return kept


def _by_row(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Spans given as lists by name, as datasets store them, one object each."""
    lists = {name: values for name, values in columns.items() if isinstance(values, list)}
    lengths = {len(values) for values in lists.values()}
    if len(lists) != len(columns) or len(lengths) > 1:
        raise RowError(f"spans are {columns!r:.60}, where lists of one length are wanted", "span")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _said(span: Span) -> str:
    return f"span {span.start}-{span.end} ({span.label} {span.text!r:.40})"


class _SpanReader:
    """Reads the spans of one text."""

    def __init__(self, text: str, places: dict[int, int] | None, settings: SpanSettings) -> None:
        self.text, self.places, self.settings = text, places, settings
        self.n_joined = 0  # spans of several parts

    def read(self, item: Any) -> Span:
        start, end, label, given_text = span_fields(item)
        parts = _parts(start, end)
        if parts is not None:
            if self.settings.overlap == "drop-text" or not parts:
                raise RowError(
                    f"span {item!r:.60} has several parts; one start and one end are wanted",
                    "discontinuous",
                )
            start, end = one_part(parts, self.settings.overlap)
            self.n_joined += 1
            given_text = None
        for name, offset in (("start", start), ("end", end)):
            if type(offset) is not int:  # bool is an int too
                raise RowError(f"{name} of span {item!r:.60} is not a whole number", "span")
        if not isinstance(label, str) or not label.strip():
            raise RowError(f"span {start}-{end} has no label, but {label!r:.40}", "span")
        check_text(label, f"the label of span {start}-{end}")
        return self._place(start, end, label, given_text)

    def _place(self, start: int, end: int, label: str, given_text: Any) -> Span:
        given = f"span {start}-{end} ({label})"
        text, length = self.text, len(self.text)
        if self.settings.ends == "inclusive":
            end += 1
        if self.places is not None:
            length = max(self.places)
            for offset in (start, end):
                if 0 <= offset <= length and offset not in self.places:
                    raise RowError(f"{given}: UTF-16 offset {offset} is inside a character", "span")
            start, end = self.places.get(start, start), self.places.get(end, end + length)
        if start >= end:
            what = "is empty" if start == end else "ends before it starts"
            hint = "; ends look inclusive: set ends='inclusive'" if start == end else ""
            raise RowError(f"{given} {what}{hint}", "span")
        if start < 0 or end > len(text):
            reason = f"{given} lies outside the text, which has {length} characters"
            raise RowError(reason + _hint(text, start, end, given_text), "span")
        slice_ = text[start:end]
        if isinstance(given_text, str) and given_text != slice_:
            reason = f"{given} says {given_text!r:.60}, but the text there is {slice_!r:.60}"
            raise RowError(reason + _hint(text, start, end, given_text), "span")
        return Span(start, end, label, slice_)


def span_fields(item: Any) -> tuple[Any, Any, Any, Any]:
    """Start, end, label and text of a span as it is given."""
    if isinstance(item, dict):
        start = item.get("start", item.get("start_offset", item.get("begin")))
        end = item.get("end", item.get("end_offset"))
        return start, end, _label(item), item.get("text")
    if isinstance(item, (list, tuple)) and len(item) == 3:
        return item[0], item[1], item[2], None
    reason = f"span {item!r:.60} is neither {{start, end, label}} nor [start, end, label]"
    raise RowError(reason, "span")


def _label(item: dict[str, Any]) -> Any:
    """The label of a span, in whichever of the usual fields it stands."""
    label = item.get("label")
    if label is None:
        label = next((item[name] for name in _LABEL_NAMES if item.get(name)), None)
    if isinstance(label, list):
        if len(label) > 1:
            raise RowError(f"span {item!r:.60} has {len(label)} labels; want one", "span")
        label = label[0] if label else None
    return label


def _parts(start: Any, end: Any) -> Parts | None:
    """The parts of a span of several; () where they cannot be told; None where it is one."""
    if isinstance(start, str) and not isinstance(end, list):
        return ()
    if not isinstance(start, list) and not isinstance(end, list):
        return None
    if not isinstance(start, list) or not isinstance(end, list) or len(start) != len(end):
        return ()
    if not all(type(offset) is int for offset in start + end):
        return ()
    return list(zip(start, end, strict=True))


def _hint(text: str, start: int, end: int, given_text: Any) -> str:
    """What the offsets look like, if the span's text is known and stands nearby."""
    if not isinstance(given_text, str) or not given_text:
        return ""
    if text[start : end + 1] == given_text:
        return "; ends look inclusive: set ends='inclusive'"
    places = utf16_places(text)
    if text[places.get(start, 0) : places.get(end, 0)] == given_text:
        return "; offsets look like UTF-16 units: set offset_unit='utf16'"
    if start and text[start - 1 : end - 1] == given_text:
        return "; offsets look counted from 1, where the first character is 0"
    return ""


def utf16_places(text: str) -> dict[int, int]:
    """UTF-16 offset of each character, and of the end -> its offset in code points."""
    places, offset = {}, 0
    for i, character in enumerate(text):
        places[offset] = i
        offset += 2 if ord(character) > 0xFFFF else 1
    places[offset] = len(text)
    return places
