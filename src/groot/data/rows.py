"""Rows with named fields (JSON objects, rows of a dataset) to examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groot.data.json_values import parse_json
from groot.data.layout import (
    CLASS_FIELDS,
    REFERENCE_FIELDS,
    SPAN_FIELDS,
    TAG_FIELDS,
    TEXT_FIELDS,
    TOKEN_FIELDS,
    Layout,
    unlike_the_others,
)
from groot.data.lines import check_text
from groot.data.offsets import read_spans, span_fields
from groot.data.parallel import split_classes
from groot.data.result import Problem, RowError
from groot.data.settings import OffsetUnit, RowSettings
from groot.data.tagged import TaggedRow, check_words
from groot.targets.words import split_words
from groot.types import Example, Span

_BY_ROW = Layout()
_DEFAULTS = RowSettings()


def read_row(
    row: Any,
    source: str,
    row_id: str,
    *,
    layout: Layout = _BY_ROW,
    settings: RowSettings = _DEFAULTS,
    notes: list[Problem] | None = None,
) -> Example | TaggedRow:
    """One row; a row with tags stays a TaggedRow until the scheme of all of them is known.

    Args:
        row: its fields; those that mean nothing here become the example's columns.
        source: "path:line".
        row_id: the id to give if the row has none.
        layout: what the fields of all rows of the file mean.
        settings: of the reader.
        notes: gets a note for what was read with a doubt.

    Raises:
        RowError: if the row cannot be used.
    """
    fields = _Fields(row, layout, settings)
    row_id = fields.take_id(row_id)
    offset_unit = fields.take_offset_unit()
    text = fields.take_text()
    has_text = text is not None
    tokens = fields.take_tokens()
    if text is None and tokens is None:
        wanted = ", ".join(TEXT_FIELDS + TOKEN_FIELDS[:1])
        raise RowError(f"no text: none of the fields {wanted} is there, but {_names(row)}")
    if tokens is None:
        assert text is not None
        words, starts = split_words(text)
    elif not tokens:
        raise RowError("the row has no token", "counts")
    else:
        words = tuple(tokens)
        text, starts = _place(words, text)
    tags = fields.take_tags(words) if tokens is not None else None
    spans, doubts = None, list[RowError]()
    if tags is None:
        spans = fields.take_spans(text, words, starts, offset_unit, doubts)
    if spans and not has_text:
        _check_characters(spans, words, starts)
    classes = fields.take_classes()
    reference = fields.take_reference()
    if settings.task is not None:
        spans = spans if settings.task == "spans" else None
        tags = tags if settings.task == "spans" else None
        classes = classes if settings.task == "classes" else None
        reference = reference if settings.task == "text" else None
    if notes is not None and spans is not None:
        notes += [doubt.problem(source, text) for doubt in doubts]
    if tags is not None:
        return TaggedRow(source, row_id, words, tags, classes, fields.rest, text, starts)
    return Example(text, words, starts, spans, classes, reference, row_id, source, fields.rest)


def _check_characters(spans: Sequence[Span], words: Sequence[str], starts: Sequence[int]) -> None:
    """Offsets into tokens alone must fit them as characters; small ones may count the tokens."""
    edges = zip(starts, words, strict=True)
    ends = {start + len(word) for start, word in edges}
    is_off = any(span.start not in starts or span.end not in ends for span in spans)
    if is_off and all(span.end <= len(words) for span in spans):
        raise RowError("offsets look like numbers of tokens: set token_offsets=true", "span")


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, list(row)[:6])) or "no field at all"


def _place(words: Sequence[str], text: str | None) -> tuple[str, tuple[int, ...]]:
    """The text and the offset of each word in it; without a text, the words joined by spaces."""
    starts = check_words(words)
    if text is None:
        return " ".join(words), starts
    places, offset = [], 0
    for i, word in enumerate(words):
        place = text.find(word, offset)
        if place < 0:
            reason = f"token {i + 1} ({word!r:.40}) is not in the text behind character {offset}"
            raise RowError(reason, "counts")
        places.append(place)
        offset = place + len(word)
    return text, tuple(places)


class _Fields:
    """The fields of one row; what is taken from them is no longer in the rest."""

    def __init__(self, row: Any, layout: Layout, settings: RowSettings) -> None:
        if not isinstance(row, Mapping):
            raise RowError(f"the row is {row!r:.60}, where an object with fields is wanted", "json")
        self.rest: dict[str, Any] = dict(row)
        self.layout, self.settings = layout, settings
        answer = self.rest.get("answer")
        if layout.filters_answers and answer is not None:
            if answer != "accept":
                raise RowError(f"its answer is {answer!r:.40}, not 'accept'", "answer")
            del self.rest["answer"]

    def take_id(self, default: str) -> str:
        given = self.rest.pop("id", None)
        if type(given) is int or (isinstance(given, str) and given):
            return check_text(str(given), "the id")
        if given not in (None, ""):
            raise RowError(f"its id is {given!r:.40}, where text or a number is wanted")
        return default

    def take_offset_unit(self) -> OffsetUnit:
        """The offset unit that a row names itself, else the one of the file."""
        unit = self.rest.pop("offset_unit", self.settings.offset_unit)
        if unit == "codepoint":
            return "codepoint"
        if unit == "utf16":
            return "utf16"
        raise RowError(f"offset_unit is {unit!r:.40}; want 'codepoint' or 'utf16'", "span")

    def take_text(self) -> str | None:
        name = self.settings.text_field
        names = TEXT_FIELDS if name is None else (name,)
        for name in names:
            if name in self.rest:
                text = self.rest.pop(name)
                if not isinstance(text, str):
                    raise RowError(f"{name!r} is {text!r:.60}, where a text is wanted")
                return check_text(text, f"{name!r}")
        return None

    def take_tokens(self) -> list[str] | None:
        for name in TOKEN_FIELDS:
            if isinstance(self.rest.get(name), (list, tuple)):
                tokens = []
                for i, token in enumerate(self.rest.pop(name), start=1):
                    if isinstance(token, Mapping):  # {"text", "start", "end"}
                        token = token.get("text")
                    if not isinstance(token, str):
                        raise RowError(f"token {i} is {token!r:.60}, where a text is wanted")
                    tokens.append(check_text(token, f"token {i}"))
                return tokens
        return None

    def take_tags(self, words: Sequence[str]) -> tuple[str, ...] | None:
        tags_field = self.settings.tags_field
        if tags_field is not None and tags_field not in self.rest:
            there = _names(self.rest)
            raise RowError(f"the field {tags_field!r} is not there, but {there}", "counts")
        for name in [tags_field] if tags_field else TAG_FIELDS:
            tags = self.rest.get(name)
            if not isinstance(tags, (list, tuple)) or self.layout.kinds.get(name) == "spans":
                continue
            if any(isinstance(tag, (list, tuple, Mapping)) for tag in tags):
                continue  # spans
            if name == "ner" and not tags:
                continue  # no span, as GLiNER writes it
            names = self.settings.label_names
            if tags and all(type(tag) is int for tag in tags):
                if names is None or not all(0 <= tag < len(names) for tag in tags):
                    reason = (
                        f"{name!r} holds numbers, whose label names are not known;"
                        " give them as text, or set label_names=[O, B-first, ...]"
                    )
                    raise RowError(reason, "tag")
                tags = [names[tag] for tag in tags]
            if not all(isinstance(tag, str) for tag in tags):
                raise RowError(f"{name!r} holds something that is not text", "tag")
            if len(tags) != len(words):
                counts = f"{len(words)} words but {len(tags)} tags"
                raise RowError(f"{counts}; every word needs one tag", "counts")
            del self.rest[name]
            for i, tag in enumerate(tags):
                check_text(tag, f"tag {i + 1}")
            return tuple(tags)
        return None

    def take_spans(
        self,
        text: str,
        words: Sequence[str],
        starts: Sequence[int],
        offset_unit: OffsetUnit,
        notes: list[RowError],
    ) -> tuple[Span, ...] | None:
        for name in SPAN_FIELDS:
            value = self.rest.get(name)
            if value is None:
                continue
            kind = self.layout.kinds.get(name)
            if name in ("label", "labels") and kind != "spans":
                # without a layout, a list of lists or objects means spans
                is_list = isinstance(value, list) and value and isinstance(value[0], (list, dict))
                if kind is not None or not is_list:
                    continue
            elif kind == "spans" and not isinstance(value, (list, tuple, dict)):
                raise RowError(unlike_the_others(name, kind, value))
            del self.rest[name]
            if self.settings.token_offsets:
                items = [self._by_token(item, words, starts) for item in value]
                return read_spans(
                    items,
                    text,
                    offset_unit="codepoint",
                    settings=_inner(self.settings),
                    notes=notes,
                )
            return read_spans(
                value, text, offset_unit=offset_unit, settings=self.settings, notes=notes
            )
        if isinstance(self.rest.get("ner"), list):  # [first word, last word, label]
            items = []
            for item in self.rest.pop("ner"):
                fits = isinstance(item, (list, tuple)) and len(item) == 3
                if not fits or not all(type(i) is int and 0 <= i < len(words) for i in item[:2]):
                    reason = f"span {item!r:.60} is not [first word, last word, label]"
                    raise RowError(reason, "span")
                items.append([starts[item[0]], starts[item[1]] + len(words[item[1]]), item[2]])
            return read_spans(
                items, text, offset_unit="codepoint", settings=_inner(self.settings), notes=notes
            )
        return None

    def _by_token(self, item: Any, words: Sequence[str], starts: Sequence[int]) -> list[Any]:
        """A span of tokens as one of characters."""
        first, last, label, _ = span_fields(item)
        if self.settings.ends == "exclusive" and type(last) is int:
            last -= 1
        if not all(type(place) is int and 0 <= place < len(words) for place in (first, last)):
            raise RowError(f"span {item!r:.60} is none of the {len(words)} tokens", "span")
        return [starts[first], starts[last] + len(words[last]), label]

    def take_classes(self) -> tuple[str, ...] | None:
        for name in CLASS_FIELDS:
            value = self.rest.get(name)
            if value is None:
                continue
            kind = self.layout.kinds.get(name)
            if kind == "tags" and not isinstance(value, (list, tuple)):
                raise RowError(unlike_the_others(name, kind, value))
            if kind == "spans":
                continue
            del self.rest[name]
            values = list(value) if isinstance(value, (list, tuple)) else [value]
            if name in self.layout.is_one_hot:
                return self._one_hot(name, values)
            classes: list[str] = []
            for item in values:
                item = self._class_name(item)
                if not isinstance(item, str) or not item.strip():
                    wanted = (
                        unlike_the_others(name, kind, value)
                        if kind and isinstance(item, (list, dict))
                        else f"{name!r} is {value!r:.60}, where names of classes are wanted"
                    )
                    raise RowError(wanted)
                if _is_list(item):
                    raise RowError(f"{name!r} is a list written as text, {item!r:.60}; want a list")
                classes += split_classes(
                    check_text(item, f"{name!r}"), self.settings.class_separator
                )
            return tuple(dict.fromkeys(classes))
        return None

    def _class_name(self, item: Any) -> Any:
        if type(item) is not int:
            return item
        names = self.settings.label_names
        if names is None:
            return str(item)
        if not 0 <= item < len(names):
            raise RowError(f"class {item} has no name: label_names has {len(names)}", "tag")
        return names[item]

    def _one_hot(self, name: str, values: Sequence[Any]) -> tuple[str, ...]:
        names = self.settings.label_names or ()
        if len(names) != len(values):
            raise RowError(
                f"{name!r} has {len(values)} places, but label_names has {len(names)}", "counts"
            )
        return tuple(label for label, value in zip(names, values, strict=True) if value)

    def take_reference(self) -> str | None:
        for name in REFERENCE_FIELDS:
            if self.rest.get(name) is not None:
                reference = self.rest.pop(name)
                if not isinstance(reference, str):
                    raise RowError(f"{name!r} is {reference!r:.60}, where a text is wanted")
                return check_text(reference, f"{name!r}")
        return None


def _is_list(text: str) -> bool:
    """Whether a text is a JSON list."""
    if not text.startswith("[") or not text.endswith("]"):
        return False
    try:
        parse_json(text)
    except RowError:
        return False
    return True


def _inner(settings: RowSettings) -> RowSettings:
    """The settings for offsets that were made here, whatever those of the file count."""
    return RowSettings(overlap=settings.overlap)
