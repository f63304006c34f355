"""CoNLL-U: ten columns a word, with the tag in one of them or in a feature."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.lines import CUT, is_cut, read_lines
from groot.data.result import Problem, Reading, ReadResult, RowError
from groot.data.settings import TagSettings, WriteSettings
from groot.data.tagged import TaggedRow, read_tagged
from groot.data.written import rows_of, spans_wanted, tags_of
from groot.engine.files import write_text
from groot.errors import DataError
from groot.types import Example

_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_ID = re.compile(r"[0-9]+(?:[-.][0-9]+)?")
_HEAD = re.compile(r"[0-9]+|_")
# keys of MISC that hold tags of names
_NAME_KEYS = ("NER", "ner", "NE", "Entity", "Tag")

Block = list[tuple[int, list[str]]]


@dataclass(frozen=True, kw_only=True)
class ConlluSettings(TagSettings):
    """What read_conllu takes.

    Args:
        tag_field: where the tags are: a column ("upos", "xpos", "deprel", ...) or a feature of
            "misc" or "feats" ("misc:NER", "feats:Case"). None finds tags of names in MISC.
    """

    tag_field: str | None = None


def read_conllu(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per sentence.

        # text = play nina
        1\tplay\tplay\tVERB\t_\t_\t0\troot\t_\tNER=O
        2\tnina\tNina\tPROPN\t_\t_\t1\tobj\t_\tNER=B-artist

    The words are the syntactic ones; `# text` is the text where they all stand in it, else they
    are joined as SpaceAfter says. A word without the feature is O.

    Args:
        path: the file.
        given: those of ConlluSettings.

    Raises:
        DataError: for a missing or empty file, where no field of tags is named or found, or if no
            sentence can be used.
    """
    settings = ConlluSettings(**given)
    blocks = list(_blocks(path))
    if not blocks:
        raise DataError(f"{path}: the file holds no sentences.\n  Give a file in CoNLL-U.")
    words = [block for _, _, block, _ in blocks]
    field = settings.tag_field or _find_field(path, words)
    column, _, key = field.partition(":")
    if column not in _COLUMNS or (key and column not in ("feats", "misc")):
        raise DataError(
            f"{path}: tag_field={field!r} is none of {', '.join(_COLUMNS)}, misc:KEY, feats:KEY."
        )
    prefix = settings.id_prefix or Path(path).stem
    rows = (_row(path, prefix, block, _COLUMNS.index(column), key) for block in blocks)
    doubts = (CUT,) if is_cut(path) else ()
    reading = Reading("conllu", {"words": "form", "tags": field}, doubts=doubts)
    return read_tagged(path, rows, settings, reading=reading)


def _blocks(path: str | Path) -> Iterator[tuple[int, str | None, Block, Problem | None]]:
    """First line, text, words and perhaps a problem of each sentence."""
    first, text, problem = 0, None, None
    block: Block = []
    for number, line in [*read_lines(path), (0, "")]:
        if isinstance(line, Problem):
            first, problem = first or number, problem or line
            continue
        if not line.strip():
            if block or problem:
                yield first, text, block, problem
            first, text, problem, block = 0, None, None, []
            continue
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            text = value.strip() if name.strip() == "text" else text
            continue
        first = first or number
        cells = line.split("\t")
        if len(cells) != len(_COLUMNS) or not _ID.fullmatch(cells[0]):
            reason = f"{len(cells)} columns, where CoNLL-U has 10 and begins with a number"
            source = f"{path}:{number}"
            problem = problem or RowError(reason, "counts").problem(source, line)
            continue
        if cells[0].isdecimal():  # not the words "1-2" of the surface, nor the unwritten "1.1"
            block.append((number, cells))


def _find_field(path: str | Path, blocks: Sequence[Block]) -> str:
    cells = [cells[9] for block in blocks for _, cells in block]
    keys = Counter(pair.partition("=")[0] for cell in cells for pair in cell.split("|"))
    for key in _NAME_KEYS:
        if key in keys:
            return f"misc:{key}"
    others = [key for key, _ in keys.most_common(5) if key not in ("_", "SpaceAfter")]
    there = ", ".join(f"misc:{key}" for key in others)
    raise DataError(
        f"{path}: no tags of names in MISC{f', which has {there}' if there else ''}.\n"
        "  Set tag_field=upos for parts of speech, or another column, misc:KEY or feats:KEY."
    )


def _row(
    path: str | Path,
    prefix: str,
    sentence: tuple[int, str | None, Block, Problem | None],
    column: int,
    key: str,
) -> TaggedRow | Problem:
    first, text, block, problem = sentence
    if problem is not None:
        return problem
    words = tuple(cells[1] for _, cells in block)
    tags = tuple(_value(cells[column], key) for _, cells in block)
    spaces = [("SpaceAfter", "No") not in _features(cells[9]) for _, cells in block]
    starts = _places(words, text) if text is not None else None
    if starts is None or text is None:
        parts = [word + " " * has_space for word, has_space in zip(words, spaces, strict=True)]
        text = "".join(parts).rstrip(" ")
        starts = list(accumulate(map(len, parts[:-1]), initial=0))
    return TaggedRow(
        f"{path}:{first}", f"{prefix}:{first}", words, tags, text=text, word_starts=tuple(starts)
    )


def _features(cell: str) -> list[tuple[str, str]]:
    return [(pair.partition("=")[0], pair.partition("=")[2]) for pair in cell.split("|")]


def _value(cell: str, key: str) -> str:
    if not key:
        return "O" if cell == "_" else cell
    return next((value for name, value in _features(cell) if name == key), "O")


def _places(words: Sequence[str], text: str) -> list[int] | None:
    """The offset of each word in the text; None where one does not stand in it."""
    places, offset = [], 0
    for word in words:
        place = text.find(word, offset)
        if place < 0 or text[offset:place].strip():
            return None
        places.append(place)
        offset = place + len(word)
    return places


def _looks_like(head: Head) -> float:
    first = next((line for line in head.lines if line.strip() and not line.startswith("#")), "")
    cells = first.split("\t")
    fits = len(cells) == len(_COLUMNS) and _ID.fullmatch(cells[0]) and _HEAD.fullmatch(cells[6])
    return (0.99 if head.suffix == ".conllu" else 0.97) if fits else 0.0


def _to_block(example: Example, settings: WriteSettings) -> str:
    spans_wanted(example, "CoNLL-U")
    tags = tags_of(example, settings.scheme)
    text = example.text
    odd = [word for word in example.words if any(c in word for c in "\t\n\r")]
    if not example.words or odd or "\n" in text or "\r" in text or text != text.strip():
        raise RowError("CoNLL-U cannot hold a text without words, or with line ends or edges")
    if odd := [tag for tag in tags if any(c in tag for c in "|\t\n\r")]:
        raise RowError(f"CoNLL-U cannot hold the tag {odd[0]!r:.40}", "tag")
    lines = [f"# text = {text}\n"]
    for i, (word, start, tag) in enumerate(
        zip(example.words, example.word_starts, tags, strict=True), start=1
    ):
        is_joined = text[start + len(word) : start + len(word) + 1].strip() != ""
        misc = f"NER={tag}" + ("|SpaceAfter=No" if is_joined else "")
        lines.append("\t".join([str(i), word, *"____", "_", "_", "_", misc]) + "\n")
    return "".join(lines)


def write_conllu(examples: Sequence[Example], path: Path, settings: WriteSettings) -> list[Problem]:
    """Write the words with their tags as NER in MISC; the other columns are empty."""
    blocks, problems = rows_of(examples, settings, _to_block)
    write_text(path, "\n".join(blocks) + "\n")
    return problems


FORMAT = FileFormat(read_conllu, ConlluSettings, _looks_like, write_conllu)
