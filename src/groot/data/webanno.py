"""WebAnno TSV 3, which INCEpTION exports: words with offsets, and a column a feature of a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_named_rows
from groot.data.lines import CUT, is_cut, read_lines
from groot.data.result import ROW_LENGTH, Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import offsets, rows_of, spans_wanted
from groot.engine.files import write_text
from groot.errors import DataError
from groot.types import Example, Span

_LAYER = re.compile(r"#T_(SP|RL|CH)=([^|]+)((?:\|[^|]*)*)")
_TOKEN = re.compile(r"([0-9]+)-([0-9]+)(\.[0-9]+)?\t([0-9]+)-([0-9]+)\t([^\t]*)\t?(.*)")
_VALUE = re.compile(r"((?:[^\\\[|]|\\.)*)(?:\[([0-9]+)\])?")
_FIXED = 3  # columns before those of the layers
_BACKSLASH = "\\"
_SPECIAL = "\\[]|_->;\t\n*"


@dataclass(frozen=True, kw_only=True)
class WebannoSettings(RowSettings):
    """What read_webanno takes.

    Args:
        layer: the layer of the spans, by the end of its name; None: the one named NamedEntity,
            or else the first layer of spans.
        feature: the feature that holds the label; None: "value", or else the first.
    """

    layer: str | None = None
    feature: str | None = None


@dataclass(slots=True)
class _Sentence:
    """The lines of one sentence, and where it begins."""

    first: int
    text: list[str] = field(default_factory=list)
    tokens: list[re.Match[str]] = field(default_factory=list)
    problem: Problem | None = None


def read_webanno(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per sentence.

        #FORMAT=WebAnno TSV 3.3
        #T_SP=webanno.custom.Name|value

        #Text=play nina
        1-1\t0-4\tplay\t_
        1-2\t5-9\tnina\tartist[1]

    Args:
        path: the file.
        given: those of WebannoSettings.

    Raises:
        DataError: for a missing file, one without such a layer, or if no sentence can be used.
    """
    settings = WebannoSettings(**given)
    lines = list(read_lines(path))
    layers = [
        match for _, line in lines if isinstance(line, str) and (match := _LAYER.fullmatch(line))
    ]
    name, column, others = _find_layer(path, layers, settings)
    prefix = settings.id_prefix or Path(path).stem
    rows = [
        (_row(path, sentence, column, name), f"{prefix}:{sentence.first}")
        for sentence in _sentences(path, lines)
    ]
    doubts = [f"the layer {name} is read; it also has {others}: set layer=..."] if others else []
    doubts += [CUT] if is_cut(path) else []
    return read_named_rows(path, rows, settings, format="webanno", unit="utf16", doubts=doubts)


def _find_layer(
    path: str | Path, layers: Sequence[re.Match[str]], settings: WebannoSettings
) -> tuple[str, int, str]:
    """Name of the layer, its column among those of the layers, and the names of the others."""
    places: dict[str, tuple[int, list[str]]] = {}
    column = 0
    for match in layers:
        features = match[3].split("|")[1:]
        if match[1] == "SP":
            places[match[2]] = (column, features)
        column += max(1, len(features))
    if not places:
        raise DataError(f"{path}: no layer of spans (a line #T_SP=...).\n  Export it with one.")
    wanted = settings.layer or "NamedEntity"
    name = next((name for name in places if name.endswith(wanted)), None)
    if name is None and settings.layer is not None:
        raise DataError(f"{path}: no layer {wanted!r}.\n  It has: {', '.join(places)}")
    name = name or next(iter(places))
    first, features = places[name]
    feature = settings.feature or "value"
    if settings.feature is not None and feature not in features:
        raise DataError(f"{path}: no feature {feature!r}.\n  It has: {', '.join(features)}")
    others = ", ".join(other for other in places if other != name)
    place = features.index(feature) if feature in features else 0
    return name, first + place, "" if settings.layer else others


def _sentences(path: str | Path, lines: Sequence[tuple[int, str | Problem]]) -> Iterator[_Sentence]:
    sentence: _Sentence | None = None
    for number, line in [*lines, (0, "")]:
        if isinstance(line, Problem):
            sentence = sentence or _Sentence(number)
            sentence.problem = sentence.problem or line
        elif not line.strip():
            if sentence is not None:
                yield sentence
            sentence = None
        elif line.startswith("#Text="):
            sentence = sentence or _Sentence(number)
            sentence.text.append(_unescaped(line.removeprefix("#Text=")))
        elif line.startswith("#"):
            continue
        else:
            sentence = sentence or _Sentence(number)
            match = _TOKEN.fullmatch(line)
            if match is None:
                source = f"{path}:{number}"
                error = RowError(f"this is no line of a token: {line!r:.60}", "counts")
                sentence.problem = sentence.problem or error.problem(source, line)
            else:
                sentence.tokens.append(match)


def _row(path: str | Path, sentence: _Sentence, column: int, layer: str) -> tuple[str, Any, str]:
    source = f"{path}:{sentence.first}"
    text = "\n".join(sentence.text)
    try:
        if sentence.problem is not None:
            return source, sentence.problem, text
        if not sentence.tokens or not sentence.text:
            raise RowError("a sentence without a text, or without words", "counts")
        spans = _spans(sentence, text, column, layer)
    except RowError as error:
        return source, error.problem(source, text), text
    return source, {"text": text, "spans": spans}, text[:ROW_LENGTH]


def _spans(sentence: _Sentence, text: str, column: int, layer: str) -> list[dict[str, Any]]:
    """The spans of a sentence, with offsets that begin with its text."""
    token = sentence.tokens[0]
    word = _unescaped(token[6])
    before = text.find(word)
    if before < 0:
        raise RowError(f"the word {word!r:.40} is not in the text", "counts")
    base = int(token[4]) - len(text[:before].encode("utf-16-le")) // 2
    spans: dict[tuple[str, str], dict[str, Any]] = {}
    for number, token in enumerate(sentence.tokens):
        cells = token[7].split("\t")
        if len(cells) <= column:
            raise RowError(f"word {number + 1} has no column for {layer}", "counts")
        for label, span_id in _values(cells[column], layer):
            start, end = int(token[4]) - base, int(token[5]) - base
            key = (label, span_id or f"word {number}")
            span = spans.setdefault(key, {"start": start, "end": end, "label": label})
            span["end"] = end
    return list(spans.values())


def _values(cell: str, layer: str) -> Iterator[tuple[str, str | None]]:
    """Label and number of each value of a cell; a number joins words to one span."""
    if cell in ("_", ""):
        return
    for part in re.split(r"(?<!\\)\|", cell):
        match = _VALUE.fullmatch(part)
        if match is None:
            raise RowError(f"the value {part!r:.40} cannot be read", "tag")
        label = layer.rpartition(".")[2] if match[1] == "*" else _unescaped(match[1])
        yield label, match[2]


def _unescaped(text: str) -> str:
    names = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: names.get(match[1], match[1]), text)


def _escaped(text: str, special: str) -> str:
    names = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "".join(
        names.get(letter, f"\\{letter}" if letter in special else letter) for letter in text
    )


def _looks_like(head: Head) -> float:
    return 0.99 if head.text.startswith("#FORMAT=WebAnno TSV 3") else 0.0


def _to_block(example: Example, settings: WriteSettings) -> str:
    spans = spans_wanted(example, "WebAnno TSV")
    if not example.words:
        raise RowError("WebAnno TSV cannot hold a text without words", "counts")
    words = [
        Span(start, start + len(word), "", word)
        for start, word in zip(example.word_starts, example.words, strict=True)
    ]
    starts = {word.start for word in words}
    ends = {word.end for word in words}
    if any(span.start not in starts or span.end not in ends for span in spans):
        raise RowError("WebAnno TSV cannot hold spans off words", "span")
    lines = [f"#Text={_escaped(example.text, _BACKSLASH)}\n"]
    for word, (start, end) in zip(words, offsets(example.text, words, "utf16"), strict=True):
        number = next((i for i, s in enumerate(spans) if s.start <= word.start < s.end), None)
        cell = "_"
        if number is not None:
            cell = f"{_escaped(spans[number].label, _SPECIAL)}[{number + 1}]"
        lines.append(f"%d-{len(lines)}\t{start}-{end}\t{_escaped(word.text, _BACKSLASH)}\t{cell}\n")
    return "".join(lines)


def write_webanno(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write each text as a sentence; offsets begin anew in each, as the texts are no document."""
    blocks, problems = rows_of(examples, settings, _to_block)
    layer = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|value"
    head = f"#FORMAT=WebAnno TSV 3.3\n#T_SP={layer}\n"
    numbered = [
        re.sub(r"(?m)^%d-", f"{number}-", block) for number, block in enumerate(blocks, start=1)
    ]
    write_text(path, head + "\n" + "\n\n".join(["", *numbered]) + "\n")
    return problems


FORMAT = FileFormat(read_webanno, WebannoSettings, _looks_like, write_webanno)
