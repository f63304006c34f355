"""Rows with named fields (JSON objects, rows of a dataset) to examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groot.data.lines import check_text
from groot.data.offsets import Ends, OffsetUnit, read_spans
from groot.data.parallel import split_classes
from groot.data.result import RowError
from groot.data.tagged import TaggedRow, check_words
from groot.targets.words import split_words
from groot.types import Example, Span, Task

TEXT_FIELDS = ("text", "prompt", "sentence")
TOKEN_FIELDS = ("tokens", "words", "tokenized_text")
TAG_FIELDS = ("tags", "ner_tags", "labels", "label")
SPAN_FIELDS = ("spans", "entities", "label", "labels")
CLASS_FIELDS = ("classes", "class", "label", "labels")
REFERENCE_FIELDS = ("completion", "reference")


def read_row(
    row: Any,
    source: str,
    row_id: str,
    *,
    task: Task | None = None,
    tags_field: str | None = None,
    class_separator: str | None = None,
    offset_unit: OffsetUnit = "codepoint",
    ends: Ends = "exclusive",
) -> Example | TaggedRow:
    """One row; a row with tags stays a TaggedRow until the scheme of all of them is known.

    Args:
        row: its fields; those that mean nothing here become the example's columns.
        source: "path:line".
        row_id: the id to give if the row has none.
        task: which gold to take; None takes all there is.
        tags_field: the field of tags, one for each token; None: the first of TAG_FIELDS.
        class_separator: what stands between several classes in one string.
        offset_unit: of span offsets, unless the row names its own.
        ends: of spans.

    Raises:
        RowError: if the row cannot be used.
    """
    if not isinstance(row, Mapping):
        raise RowError(f"the row is {row!r:.60}, where an object with fields is wanted", "json")
    fields = dict(row)
    if fields.get("answer", "accept") != "accept":
        raise RowError(f"its answer is {fields['answer']!r:.40}, not 'accept'", "answer")
    given_id = fields.pop("id", None)
    if type(given_id) is int or (isinstance(given_id, str) and given_id):
        row_id = check_text(str(given_id), "the id")
    elif given_id not in (None, ""):
        raise RowError(f"its id is {given_id!r:.40}, where text or a number is wanted")
    offset_unit = _unit_of(fields, offset_unit)
    text = _take_text(fields)
    tokens = _take_tokens(fields)
    if text is None and tokens is None:
        wanted = ", ".join(TEXT_FIELDS + TOKEN_FIELDS[:1])
        raise RowError(f"no text: none of the fields {wanted} is there, but {_names(row)}")
    if tokens is None:
        assert text is not None
        words, starts = split_words(text)
    else:
        words = tuple(tokens)
        text, starts = _place(words, text)
    tags = _take_tags(fields, words, tags_field) if tokens is not None else None
    spans = None
    if tags is None:
        spans = _take_spans(fields, text, words, starts, offset_unit, ends)
    classes = _take_classes(fields, class_separator)
    reference = _take_reference(fields)
    if task is not None:
        spans = spans if task == "spans" else None
        tags = tags if task == "spans" else None
        classes = classes if task == "classes" else None
        reference = reference if task == "text" else None
    if tags is not None:
        return TaggedRow(source, row_id, words, tags, classes, fields, text, starts)
    return Example(text, words, starts, spans, classes, reference, row_id, source, fields)


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, list(row)[:6])) or "no field at all"


def _unit_of(fields: dict[str, Any], offset_unit: OffsetUnit) -> OffsetUnit:
    """The offset unit that a row names itself, else the one of the file."""
    unit = fields.pop("offset_unit", offset_unit)
    if unit == "codepoint":
        return "codepoint"
    if unit == "utf16":
        return "utf16"
    raise RowError(f"offset_unit is {unit!r:.40}; want 'codepoint' or 'utf16'", "span")


def _take_text(fields: dict[str, Any]) -> str | None:
    for name in TEXT_FIELDS:
        if name in fields:
            text = fields.pop(name)
            if not isinstance(text, str):
                raise RowError(f"{name!r} is {text!r:.60}, where a text is wanted")
            return check_text(text, f"{name!r}")
    return None


def _take_tokens(fields: dict[str, Any]) -> list[str] | None:
    for name in TOKEN_FIELDS:
        if isinstance(fields.get(name), (list, tuple)):
            tokens = []
            for i, token in enumerate(fields.pop(name), start=1):
                if isinstance(token, Mapping):  # {"text", "start", "end"}
                    token = token.get("text")
                if not isinstance(token, str):
                    raise RowError(f"token {i} is {token!r:.60}, where a text is wanted")
                tokens.append(check_text(token, f"token {i}"))
            return tokens
    return None


def _place(words: Sequence[str], text: str | None) -> tuple[str, tuple[int, ...]]:
    """The text and the offset of each word in it; without a text, the words joined by spaces."""
    starts = check_words(words)
    if text is None:
        return " ".join(words), starts
    places, offset = [], 0
    for i, word in enumerate(words):
        found = text.find(word, offset)
        if found < 0:
            reason = f"token {i + 1} ({word!r:.40}) is not in the text behind character {offset}"
            raise RowError(reason, "counts")
        places.append(found)
        offset = found + len(word)
    return text, tuple(places)


def _take_tags(
    fields: dict[str, Any], words: Sequence[str], tags_field: str | None
) -> tuple[str, ...] | None:
    if tags_field is not None and tags_field not in fields:
        raise RowError(f"the field {tags_field!r} is not there, but {_names(fields)}", "counts")
    for name in [tags_field] if tags_field else TAG_FIELDS:
        tags = fields.get(name)
        if not isinstance(tags, (list, tuple)):
            continue
        if any(isinstance(tag, (list, tuple, Mapping)) for tag in tags):
            continue  # spans
        if tags and all(type(tag) is int for tag in tags):
            reason = f"{name!r} holds numbers, whose label names are not known; give them as text"
            raise RowError(reason, "tag")
        if not all(isinstance(tag, str) for tag in tags):
            raise RowError(f"{name!r} holds something that is not text", "tag")
        if len(tags) != len(words):
            counts = f"{len(words)} words but {len(tags)} tags"
            raise RowError(f"{counts}; every word needs one tag", "counts")
        del fields[name]
        for i, tag in enumerate(tags):
            check_text(tag, f"tag {i + 1}")
        return tuple(tags)
    return None


def _take_spans(
    fields: dict[str, Any],
    text: str,
    words: Sequence[str],
    starts: Sequence[int],
    offset_unit: OffsetUnit,
    ends: Ends,
) -> tuple[Span, ...] | None:
    for name in SPAN_FIELDS:
        value = fields.get(name)
        if name in ("spans", "entities"):
            if value is None:
                continue
        # "label" may be classes as well: a list of lists or objects means spans
        elif not (isinstance(value, list) and value and isinstance(value[0], (list, dict))):
            continue
        del fields[name]
        return read_spans(value, text, offset_unit=offset_unit, ends=ends)
    if isinstance(fields.get("ner"), list):  # [first word, last word, label]
        items = []
        for item in fields.pop("ner"):
            fits = isinstance(item, (list, tuple)) and len(item) == 3
            if not fits or not all(type(i) is int and 0 <= i < len(words) for i in item[:2]):
                raise RowError(f"span {item!r:.60} is not [first word, last word, label]", "span")
            items.append([starts[item[0]], starts[item[1]] + len(words[item[1]]), item[2]])
        return read_spans(items, text)
    return None


def _take_classes(fields: dict[str, Any], separator: str | None) -> tuple[str, ...] | None:
    for name in CLASS_FIELDS:
        value = fields.get(name)
        if value is None:
            continue
        del fields[name]
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        classes: list[str] = []
        for item in values:
            if type(item) is int:
                item = str(item)
            if not isinstance(item, str) or not item.strip():
                raise RowError(f"{name!r} is {value!r:.60}, where names of classes are wanted")
            classes += split_classes(check_text(item, f"{name!r}"), separator)
        return tuple(dict.fromkeys(classes))
    return None


def _take_reference(fields: dict[str, Any]) -> str | None:
    for name in REFERENCE_FIELDS:
        if fields.get(name) is not None:
            reference = fields.pop(name)
            if not isinstance(reference, str):
                raise RowError(f"{name!r} is {reference!r:.60}, where a text is wanted")
            return check_text(reference, f"{name!r}")
    return None
