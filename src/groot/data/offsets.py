"""Gold spans as rows give them, in whatever unit and convention, to spans in code points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from groot.data.lines import check_text
from groot.data.result import RowError
from groot.types import Span

OffsetUnit = Literal["codepoint", "utf16"]
Ends = Literal["exclusive", "inclusive"]


def read_spans(
    given: Any, text: str, *, offset_unit: OffsetUnit = "codepoint", ends: Ends = "exclusive"
) -> tuple[Span, ...]:
    """The spans of one row, in order of start.

    Args:
        given: a list of {"start", "end", "label"} (with "text", which must then agree), or of
            [start, end, label].
        text: that they point into.
        offset_unit: what the offsets count: code points, or UTF-16 units as in JavaScript.
        ends: whether "end" is one behind the last character or that character itself.

    Raises:
        RowError: for anything that is not a span of the text, and for spans that overlap.

    >>> read_spans([[5, 9, "artist"]], "play nina")
    (Span(start=5, end=9, label='artist', text='nina', probability=None),)
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RowError(f"spans are {given!r:.60}, where a list is wanted", "span")
    n_spans = len(given)
    places = utf16_places(text) if offset_unit == "utf16" else None
    spans = [_read_span(item, text, places, ends, n_spans) for item in given]
    spans.sort(key=lambda span: (span.start, span.end, span.label))
    for before, after in pairwise(spans):
        if after.start < before.end:
            reason = f"{_said(before)} and {_said(after)} overlap"
            raise RowError(reason, "overlap", n_spans)
    return tuple(spans)


def _said(span: Span) -> str:
    return f"span {span.start}-{span.end} ({span.label} {span.text!r:.40})"


def _read_span(
    item: Any, text: str, places: dict[int, int] | None, ends: Ends, n_spans: int
) -> Span:
    start, end, label, said = _fields(item, n_spans)
    if isinstance(start, list) or isinstance(end, list) or isinstance(start, str):
        reason = f"span {item!r:.60} has several parts; one start and one end are wanted"
        raise RowError(reason, "discontinuous", n_spans)
    for name, offset in (("start", start), ("end", end)):
        if type(offset) is not int:  # bool is an int too
            raise RowError(f"{name} of span {item!r:.60} is not a whole number", "span", n_spans)
    if not isinstance(label, str) or not label.strip():
        raise RowError(f"span {start}-{end} has no label, but {label!r:.40}", "span", n_spans)
    check_text(label, f"the label of span {start}-{end}")
    given = f"span {start}-{end} ({label})"
    length = len(text)
    if ends == "inclusive":
        end += 1
    if places is not None:
        length = max(places)
        for offset in (start, end):
            if 0 <= offset <= length and offset not in places:
                reason = f"{given}: UTF-16 offset {offset} is inside a character"
                raise RowError(reason, "span", n_spans)
        start, end = places.get(start, start), places.get(end, end + length)
    if start >= end:
        what = "is empty" if start == end else "ends before it starts"
        hint = "; ends look inclusive: set ends='inclusive'" if start == end else ""
        raise RowError(f"{given} {what}{hint}", "span", n_spans)
    if start < 0 or end > len(text):
        hint = _hint(text, start, end, said)
        reason = f"{given} lies outside the text, which has {length} characters{hint}"
        raise RowError(reason, "span", n_spans)
    found = text[start:end]
    if isinstance(said, str) and said != found:
        reason = f"{given} says {said!r:.60}, but the text there is {found!r:.60}"
        raise RowError(reason + _hint(text, start, end, said), "span", n_spans)
    return Span(start, end, label, found)


def _fields(item: Any, n_spans: int) -> tuple[Any, Any, Any, Any]:
    """Start, end, label and text of a span as it is given."""
    if isinstance(item, dict):
        start = item.get("start", item.get("start_offset"))
        end = item.get("end", item.get("end_offset"))
        return start, end, item.get("label"), item.get("text")
    if isinstance(item, (list, tuple)) and len(item) == 3:
        return item[0], item[1], item[2], None
    reason = f"span {item!r:.60} is neither {{start, end, label}} nor [start, end, label]"
    raise RowError(reason, "span", n_spans)


def _hint(text: str, start: int, end: int, said: Any) -> str:
    """What the offsets look like, if the span's text is known and stands nearby."""
    if not isinstance(said, str) or not said:
        return ""
    if text[start : end + 1] == said:
        return "; ends look inclusive: set ends='inclusive'"
    places = utf16_places(text)
    if text[places.get(start, 0) : places.get(end, 0)] == said:
        return "; offsets look like UTF-16 units: set offset_unit='utf16'"
    if start and text[start - 1 : end - 1] == said:
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
