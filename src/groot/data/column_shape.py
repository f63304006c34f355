"""Which column of a column file holds the words and which the tags, and what parts them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groot.data.lines import Line
from groot.data.result import Problem
from groot.data.tag_forms import find_form
from groot.errors import DataError
from groot.targets.schemes import split_tag

WORD_NAMES = frozenset(("word", "words", "token", "tokens", "form"))
TAG_NAMES = frozenset(("tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "entity"))
# labels of phrases (CoNLL-2000): their column stands before the one of names
_PHRASES = frozenset(
    ["NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"]
)
_COMMENT = re.compile(r"#(?:[ \t#]|begin |end )")
_LABEL_STUDIO = re.compile(r"(.*) -X- _ (\S.*)")
_NUMBER = re.compile(r"[0-9][0-9.,:/-]*")

# words from which on numbers in place of words, or one label on nearly all, are suspicious
MIN_WORDS = 50
_MAX_NUMBERS = 0.5
_MAX_ONE_LABEL = 0.8
# different values for a line from which on a column without B- and I- holds no tags
_MAX_KINDS = 0.5

Split = Callable[[str], list[str]]
SEPARATORS = {"\t": "tab", " ": "spaces", ",": "comma", ";": "semicolon", "|": "bar"}


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user said of the columns; None is to be found out."""

    separator: str | None = None
    word: int | None = None
    tag: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a file.

    Args:
        split: line -> cells.
        n_columns: of a good line.
        word, tag: the places of the two.
        separator: its name.
        tags: that stand in the lines looked at.
        header: the first line, where it names the columns; else None.
        doubts: what else the columns could mean.
    """

    split: Split
    n_columns: int
    word: int
    tag: int
    separator: str
    tags: frozenset[str]
    header: str | None = None
    doubts: tuple[str, ...] = ()

    def is_comment(self, line: str, cells: Sequence[str]) -> bool:
        """Whether a line that begins a text is a comment, not the word "#" with its tag."""
        if not _COMMENT.match(line):
            return False
        if len(cells) != self.n_columns:
            return True
        tag = cells[self.tag]
        return tag not in self.tags and split_tag(tag) is None


def is_blank(line: str) -> bool:
    """Whether a line parts two texts."""
    return not line.strip(" \t")


def find_shape(path: object, head: Sequence[Line], columns: Columns) -> Shape:
    """The separator, number of columns and places of word and tag that fit most of the lines.

    Raises:
        DataError: for a file of one column, for places that are not there, and where the words
            found are mostly numbers or one label stands on most of them.
    """
    lines = [line for _, line in head if isinstance(line, str) and not is_blank(line)]
    lines = [line for line in lines if not line.startswith("-DOCSTART-")] or lines
    lines = [line for line in lines if not _COMMENT.match(line)] or lines
    if not lines:
        problems = [line for _, line in head if isinstance(line, Problem)]
        first = f"\n  First: {problems[0]}" if problems else ""
        raise DataError(
            f"{path}: the file holds no words.{first}\n  Give a file with tagged words."
        )
    separator, split, n_columns = _best_split(lines, columns.separator)
    if n_columns < 2:
        raise DataError(
            f"{path}:{head[0][0]}: one column only, where a word and its tag are wanted.\n"
            "  Separate them by a tab or spaces, or name the separator with separator=..."
        )
    for name, place in (("word_column", columns.word), ("tag_column", columns.tag)):
        if place is not None and not -n_columns <= place < n_columns:
            raise DataError(f"{path}: {name}={place}, but the file has {n_columns} columns.")
    header = _header(_cells(split, lines[0]), n_columns)
    body = [_cells(split, line) for line in lines[header is not None :]]
    rows = [cells for cells in body if len(cells) == n_columns]
    pairs = _neighbours(head, split, n_columns)
    table = _Table(rows or [_cells(split, lines[0])], pairs)
    named_word, named_tag = header or (None, None)
    tag = _place(columns.tag, n_columns)
    word = _place(columns.word, n_columns)
    doubts: list[str] = []
    if tag is None:
        tag = named_tag if named_tag is not None else table.find_tag(word, doubts)
    if word is None:
        word = named_word if named_word not in (None, tag) else table.find_word(tag)
    if word == tag:
        raise DataError(f"{path}: word_column and tag_column are both {tag}.")
    if columns.word is None:
        _check_words(path, table, word)
    if columns.tag is None:
        _check_tags(path, table, tag)
    return Shape(
        split,
        n_columns,
        word,
        tag,
        separator,
        frozenset(table.counts[tag]),
        lines[0] if header is not None else None,
        tuple(doubts),
    )


def table_share(lines: Sequence[str]) -> float:
    """The share of the lines that have as many columns as most, by the best separator."""
    with_cells = [line for line in lines if not is_blank(line) and not _COMMENT.match(line)]
    with_cells = [line for line in with_cells if not line.startswith("-DOCSTART-")]
    if not with_cells:
        return 0.0
    _, split, n_columns = _best_split(with_cells, None)
    fits = sum(len(_cells(split, line)) == n_columns for line in with_cells)
    return fits / len(with_cells) if n_columns > 1 else 0.0


def _place(place: int | None, n_columns: int) -> int | None:
    return None if place is None else place % n_columns


def _cells(split: Split, line: str) -> list[str]:
    try:
        return split(line)
    except csv.Error:
        return []


def _best_split(lines: Sequence[str], given: str | None) -> tuple[str, Split, int]:
    """Name of the separator, how to split by it, and the number of columns of most lines."""
    if given is None and all(_LABEL_STUDIO.fullmatch(line) for line in lines):
        # Label Studio parts by spaces, and so do the names of its labels
        return "Label Studio's", lambda line: re.split(" -X- _ ", line, maxsplit=1), 2
    best: tuple[int, str, Split, int] = (0, given or " ", _splitter(given or " "), 0)
    for candidate in [given] if given else list(SEPARATORS):
        split = _splitter(candidate)
        n_cells, n_lines = Counter(len(_cells(split, line)) for line in lines).most_common(1)[0]
        if n_cells > 1 and n_lines > best[0]:
            best = (n_lines, candidate, split, n_cells)
    _, separator, split, n_columns = best
    return SEPARATORS.get(separator, repr(separator)), split, n_columns


def _splitter(separator: str) -> Split:
    if separator == " ":
        # not str.split(): a no-break space or U+2028 may be part of a word
        return lambda line: re.split("[ \t]+", line.strip(" \t"))
    if separator in ",;|":  # these may be words too, and are then quoted
        return lambda line: [
            cell.strip(" ") for cell in next(csv.reader([line], delimiter=separator), [])
        ]
    return lambda line: [cell.strip(" ") for cell in line.split(separator)]


def _header(cells: Sequence[str], n_columns: int) -> tuple[int, int] | None:
    """The places of word and tag that a first line names; None where it names none."""
    names = [cell.lower() for cell in cells]
    if len(names) != n_columns:
        return None
    word = next((i for i, name in enumerate(names) if name in WORD_NAMES), None)
    tag = next((i for i in reversed(range(n_columns)) if names[i] in TAG_NAMES), None)
    return None if word is None or tag is None else (word, tag)


def _neighbours(
    head: Sequence[Line], split: Split, n_columns: int
) -> list[tuple[list[str], list[str]]]:
    """Each two lines of a text that follow each other, as cells."""
    pairs = []
    before: list[str] | None = None
    for _, line in head:
        if isinstance(line, Problem) or is_blank(line):
            before = None
            continue
        cells = _cells(split, line)
        if len(cells) != n_columns:
            before = None
            continue
        if before is not None:
            pairs.append((before, cells))
        before = cells
    return pairs


class _Table:
    """The cells of the lines looked at, and what each column looks like."""

    def __init__(
        self, rows: Sequence[list[str]], pairs: Sequence[tuple[list[str], list[str]]]
    ) -> None:
        self.rows, self.n_columns = rows, len(rows[0])
        self.counts = [Counter(row[i] for row in rows) for i in range(self.n_columns)]
        self.pairs = pairs
        self.is_constant = [self._stays(i) for i in range(self.n_columns)]
        self.is_number = [
            sum(n for cell, n in counts.items() if _NUMBER.fullmatch(cell)) > 0.9 * len(rows)
            for counts in self.counts
        ]

    def _stays(self, i: int) -> bool:
        """Whether a column says the same of all words of a text."""
        return bool(self.pairs) and all(a[i] == b[i] for a, b in self.pairs)

    def labels(self, i: int) -> Counter[str]:
        """The labels of a column's tags, each as often as it stands; O is left out."""
        counts = Counter[str]()
        for tag, n in self.counts[i].items():
            parts = split_tag(tag)
            if tag != "O":
                counts[parts[1] if parts else tag] += n
        return counts

    def tag_share(self, i: int) -> float:
        """The share of a column's cells that look like tags."""
        counts = self.counts[i]
        if find_form(counts) is not None:
            return 1.0
        return sum(n for tag, n in counts.items() if split_tag(tag)) / len(self.rows)

    def find_tag(self, word: int | None, doubts: list[str]) -> int:
        """The column of tags: the last that looks like tags, else the last that tells words apart.

        Of tags inside tags, as GermEval has them, the outer ones.
        """
        others = [i for i in range(self.n_columns) if i != word]
        open_columns = [i for i in others if not self.is_number[i]] or others
        shares = {i: self.tag_share(i) for i in open_columns}
        best = max(shares.values(), default=0.0)
        if best < 0.5:
            varied = [i for i in open_columns if not self.is_constant[i]] or open_columns
            last = varied[-1]
            n_kinds = {i: len(self.counts[i]) for i in varied}
            if len(self.rows) >= MIN_WORDS and n_kinds[varied[0]] * 3 < n_kinds[last]:
                doubts.append(
                    f"no column holds tags such as B-x; column {varied[0]}, which repeats itself"
                    f" most, is taken for plain labels; tag_column={last} takes the last one"
                )
                return varied[0]
            return last
        tagged = [i for i, share in shares.items() if share >= 0.9 * best]
        labelled = [i for i in tagged if self.labels(i)] or tagged
        names = [i for i in labelled if not self._holds_phrases(i)] or labelled
        tag = names[-1]
        for other in names[:-1]:
            if self._is_inside(tag, other):
                tag = other
                break
        if others := [i for i in names if i != tag]:
            which = " and ".join(str(i) for i in sorted([tag, *others]))
            doubts.append(
                f"columns {which} (counted from 0) all hold tags; {tag} is taken;"
                f" tag_column={others[0]} takes the other"
            )
        return tag

    def _holds_phrases(self, i: int) -> bool:
        """Whether the labels of a column are those of phrases, or mostly none."""
        labels = self.labels(i)
        return set(labels) <= _PHRASES or labels[""] * 2 > labels.total()

    def _is_inside(self, inner: int, outer: int) -> bool:
        """Whether the tags of one column stand only where the other has tags too, and rarer."""
        places = [(row[inner] != "O", row[outer] != "O") for row in self.rows]
        n_inner = sum(is_inner for is_inner, _ in places)
        return all(is_outer for is_inner, is_outer in places if is_inner) and n_inner < sum(
            is_outer for _, is_outer in places
        )

    def find_word(self, tag: int) -> int:
        """The first column, or the last where the tags are first, that can hold words."""
        others = [i for i in range(self.n_columns) if i != tag]
        varied = [i for i in others if not self.is_constant[i]]
        for columns in (varied, others):
            if able := [i for i in columns if not self.is_number[i]]:
                return able[-1] if tag == 0 else able[0]
        return others[-1] if tag == 0 else others[0]


def _check_words(path: object, table: _Table, word: int) -> None:
    n_numbers = sum(n for cell, n in table.counts[word].items() if _NUMBER.fullmatch(cell))
    if len(table.rows) >= MIN_WORDS and n_numbers > _MAX_NUMBERS * len(table.rows):
        raise DataError(
            f"{path}: {100 * n_numbers / len(table.rows):.0f} % of the words in column {word}"
            " (counted from 0) are numbers.\n"
            f"  Set word_column=... to the column of words, or word_column={word} if they are."
        )


def _check_tags(path: object, table: _Table, tag: int) -> None:
    n_kinds = len(table.counts[tag])
    if (
        len(table.rows) >= MIN_WORDS
        and n_kinds > _MAX_KINDS * len(table.rows)
        and table.tag_share(tag) < _MAX_KINDS
    ):
        raise DataError(
            f"{path}: column {tag} (counted from 0) holds {n_kinds:,} different values in"
            f" {len(table.rows):,} lines, as no column of tags does.\n"
            f"  Set tag_column=... to the column of tags, or tag_column={tag} if it is that one."
        )
    (label, n), *_ = table.labels(tag).most_common(1) or [("", 0)]
    if len(table.rows) >= MIN_WORDS and n > _MAX_ONE_LABEL * len(table.rows):
        raise DataError(
            f"{path}: {100 * n / len(table.rows):.0f} % of the words have the label {label!r} in"
            f" column {tag} (counted from 0).\n"
            f"  Set tag_column=... to the column of tags, or tag_column={tag} if it is that one."
        )
