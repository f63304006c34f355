"""PubTator: a title, an abstract, and the mentions in them by character offsets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_named_rows
from groot.data.lines import CUT, is_cut, read_lines
from groot.data.result import ROW_LENGTH, Problem, ReadResult, RowError
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import spans_wanted, write_blocks
from groot.types import Example

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
Row = tuple[tuple[str, Any, str], str]


def read_pubtator(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per document: its title, a space and its abstract.

        12|t|Nina has a cold.
        12|a|It is a bad cold.
        12\t11\t15\tcold\tDisease\tD003139

    Relations, and the concepts of mentions, are not read.

    Args:
        path: the file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing or empty file, or if no document can be used.
    """
    notes: list[Problem] = []
    rows = list(_documents(path, notes))
    return read_named_rows(
        path,
        rows,
        RowSettings(**given),
        format="pubtator",
        notes=notes,
        doubts=[CUT] if is_cut(path) else [],
    )


def _documents(path: str | Path, notes: list[Problem]) -> Iterator[Row]:
    block: list[tuple[int, str]] = []
    problem: Problem | None = None
    for number, line in [*read_lines(path), (0, "")]:
        if isinstance(line, Problem):
            problem = problem or line
        elif line.strip():
            block.append((number, line))
        elif block or problem:
            yield _document(path, block, problem, notes)
            block, problem = [], None


def _document(
    path: str | Path, block: list[tuple[int, str]], problem: Problem | None, notes: list[Problem]
) -> Row:
    number, first = block[0] if block else (0, "")
    source = problem.source if problem and not block else f"{path}:{number}"
    if problem is not None:
        return (source, problem, first), source
    texts: dict[str, str] = {}
    spans: list[dict[str, Any]] = []
    n_others = 0
    row_id = ""
    for place, line in block:
        cells = line.split("\t")
        if (match := _TEXT.fullmatch(line)) and not spans:
            row_id, texts[match[2]] = match[1], match[3]
        elif len(cells) >= 5 and cells[1].isdecimal() and cells[2].isdecimal():
            start, end = int(cells[1]), int(cells[2])
            spans.append({"start": start, "end": end, "text": cells[3], "label": cells[4]})
        elif len(cells) >= 3 and not cells[1].isdecimal():
            n_others += 1
        else:
            reason = f"line {place} is neither a text nor a mention: {line!r:.60}"
            return (source, RowError(reason, "span").problem(source, first), first), source
    if "t" not in texts:
        reason = "the document has no title (a line such as 12|t|...)"
        return (source, RowError(reason).problem(source, first), first), source
    text = f"{texts['t']} {texts['a']}" if texts.get("a") else texts["t"]
    if n_others:
        reason = f"{n_others} relations are not read"
        notes.append(RowError(reason, "not read").problem(source, text))
    return (source, {"id": row_id, "text": text, "spans": spans}, text[:ROW_LENGTH]), row_id


def _looks_like(head: Head) -> float:
    first = next((line for line in head.lines if line.strip()), "")
    match = _TEXT.fullmatch(first)
    return 0.98 if match and match[2] == "t" else 0.0


def _to_block(example: Example, settings: WriteSettings) -> str:
    if "\n" in example.text or "\r" in example.text:
        raise RowError("PubTator cannot hold a line end in a text")
    row_id = example.id
    if not row_id or "|" in row_id or "\t" in row_id or "\n" in row_id:
        raise RowError(f"PubTator cannot hold the id {row_id!r:.40}")
    lines = [f"{row_id}|t|{example.text}\n", f"{row_id}|a|\n"]
    for span in spans_wanted(example, "PubTator"):
        if "\t" in span.label + span.text or "\n" in span.label:
            raise RowError(f"PubTator cannot hold a tab in {span.text!r:.40}", "span")
        lines.append(f"{row_id}\t{span.start}\t{span.end}\t{span.text}\t{span.label}\t-\n")
    return "".join(lines)


def write_pubtator(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write each text as a title with an empty abstract."""
    return write_blocks(examples, path, settings, _to_block)


FORMAT = FileFormat(read_pubtator, RowSettings, _looks_like, write_pubtator)
