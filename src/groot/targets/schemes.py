"""Tag schemes: one tag per word <-> labelled stretches of words.

A scheme is a table of letters. Two neighbouring tagged words belong to one span when their labels
are equal, the left letter does not end a span and the right letter does not begin one. Everything
else follows: reading never fails on illegal tags (an `I-` after `O` begins a span, as conlleval
reads it), and a tag is illegal when writing the spans that were read gives another tag.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from groot.errors import DataError
from groot.registry import Registry

# (first word, one behind the last word, label)
WordSpan = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Scheme:
    """The letters of a scheme, by a word's place in its span.

    Args:
        only: the single word of a span.
        first: the first word of several.
        inside: a word between the first and the last.
        last: the last word of several.
        begins: letters that begin a span whatever stands before.
        ends: letters that end a span whatever follows.
        is_marked: "always" writes first, last and only everywhere; "between" writes them only
            where the neighbouring span has the same label and touches, else the inside letter.
    """

    only: str
    first: str
    inside: str
    last: str
    begins: str
    ends: str
    is_marked: Literal["always", "between"] = "always"

    @property
    def letters(self) -> frozenset[str]:
        return frozenset(self.only + self.first + self.inside + self.last)


SCHEMES: Registry[Scheme] = Registry(
    "tag scheme",
    {
        "IOB2": Scheme(only="B", first="B", inside="I", last="I", begins="B", ends=""),
        "IOB1": Scheme("B", "B", "I", "I", begins="B", ends="", is_marked="between"),
        "IOBES": Scheme(only="S", first="B", inside="I", last="E", begins="BS", ends="ES"),
        "BILOU": Scheme(only="U", first="B", inside="I", last="L", begins="BU", ends="LU"),
        "BMES": Scheme(only="S", first="B", inside="M", last="E", begins="BS", ends="ES"),
        "IOE2": Scheme(only="E", first="I", inside="I", last="E", begins="", ends="E"),
        "IOE1": Scheme("E", "I", "I", "E", begins="", ends="E", is_marked="between"),
        # no letters: the whole tag is the label of its one word, as in parts of speech
        "WORD": Scheme(only="", first="", inside="", last="", begins="", ends=""),
    },
)

_TAG = re.compile(r"([BIESLUM])(?:-(.+))?", re.DOTALL)
_ALMOST_TAG = re.compile(r"[A-Za-z][-_:/]|$")


@lru_cache(maxsize=65536)
def split_tag(tag: str) -> tuple[str, str] | None:
    """The letter and the label of a tag; ("O", "") for O; None where it has no such form.

    >>> split_tag("B-artist"), split_tag("I"), split_tag("O"), split_tag("NOUN")
    (('B', 'artist'), ('I', ''), ('O', ''), None)
    """
    if tag == "O":
        return "O", ""
    match = _TAG.fullmatch(tag)
    return (match[1], match[2] or "") if match else None


def spans_of_tags(tags: Sequence[str], scheme: str) -> list[WordSpan]:
    """The spans that the tags of one text say, left to right; the label of bare tags is "".

    Raises:
        DataError: for a tag that is neither O nor a letter with a label.

    >>> spans_of_tags(["O", "B-artist", "I-artist", "B-artist"], "IOB2")
    [(1, 3, 'artist'), (3, 4, 'artist')]
    """
    if scheme == "WORD":
        return [(i, i + 1, tag) for i, tag in enumerate(tags) if tag != "O"]
    begins, ends = SCHEMES[scheme].begins, SCHEMES[scheme].ends
    spans: list[WordSpan] = []
    start, label, is_open = 0, "", False
    for i, tag in enumerate(tags):
        parts = split_tag(tag)
        if parts is None:
            raise DataError(f"tag {tag!r} of word {i + 1} is not a tag of scheme {scheme}")
        letter, tag_label = parts
        if is_open and (letter == "O" or tag_label != label or letter in begins):
            spans.append((start, i, label))
            is_open = False
        if letter != "O":
            if not is_open:
                start, label, is_open = i, tag_label, True
            if letter in ends:
                spans.append((start, i + 1, label))
                is_open = False
    if is_open:
        spans.append((start, len(tags), label))
    return spans


def tags_of_spans(spans: Iterable[WordSpan], n_words: int, scheme: str) -> list[str]:
    """One tag per word; spans may come in any order.

    Raises:
        DataError: for spans that overlap, are empty, or lie outside the words.

    >>> tags_of_spans([(1, 3, "artist"), (3, 4, "artist")], 5, "IOBES")
    ['O', 'B-artist', 'E-artist', 'S-artist', 'O']
    """
    table = SCHEMES[scheme]
    ordered = sorted(spans)
    tags = ["O"] * n_words
    for number, (start, end, label) in enumerate(ordered):
        if not 0 <= start < end <= n_words:
            raise DataError(f"span {start}-{end} ({label}) does not fit {n_words} words")
        before = ordered[number - 1] if number else None
        after = ordered[number + 1] if number + 1 < len(ordered) else None
        if before and before[1] > start:
            raise DataError(
                f"spans {before[0]}-{before[1]} ({before[2]}) and {start}-{end} ({label}) overlap"
            )
        letters = [table.inside] * (end - start)
        if table.is_marked == "always":
            letters[0], letters[-1] = table.first, table.last
            if len(letters) == 1:
                letters[0] = table.only
        elif before and table.begins and before[1:] == (start, label):
            letters[0] = table.first
        elif after and table.ends and (after[0], after[2]) == (end, label):
            letters[-1] = table.last
        for i, letter in enumerate(letters, start=start):
            tags[i] = f"{letter}-{label}" if letter and label else letter or label
    return tags


def illegal_tags(tags: Sequence[str], scheme: str) -> list[int]:
    """Places of the tags that the scheme does not allow there.

    >>> illegal_tags(["O", "I-artist", "B-city", "I-artist"], "IOB2")
    [1, 3]
    """
    if scheme == "WORD":
        return [i for i, tag in enumerate(tags) if not tag]
    letters = SCHEMES[scheme].letters
    known = [tag if split_tag(tag) else "O" for tag in tags]
    legal = tags_of_spans(spans_of_tags(known, scheme), len(tags), scheme)
    return [
        i
        for i, (tag, should) in enumerate(zip(tags, legal, strict=True))
        if tag != should or (tag != "O" and tag[0] not in letters)
    ]


def may_follow(tags: Sequence[str], scheme: str = "IOB2") -> list[list[bool]]:
    """[L + 1, L] bool: whether tag b may come behind tag a; row L is the start of a text.

    Args:
        tags: the L tags.
        scheme: in which each pair of neighbours tells whether the second is legal (IOB2, WORD).

    >>> may_follow(["O", "I-city"])
    [[True, False], [True, True], [True, False]]
    """
    behind = [[1 not in illegal_tags([before, tag], scheme) for tag in tags] for before in tags]
    return [*behind, [not illegal_tags([tag], scheme) for tag in tags]]


def detect_scheme(tag_sequences: Iterable[Sequence[str]], *, prefer: str = "IOB2") -> str:
    """The scheme under which the fewest tags are illegal; each tag counts as often as it stands.

    Args:
        tag_sequences: the tags of each text.
        prefer: the scheme to name where several fit equally well.

    >>> detect_scheme([["I-city", "I-city", "B-city"], ["O", "I-city"]])
    'IOB1'
    >>> detect_scheme([["DET", "NOUN", "VERB"]])
    'WORD'
    """
    sequences = Counter(tuple(tags) for tags in tag_sequences)
    tags: Counter[str] = Counter()
    for sequence, n_texts in sequences.items():
        for tag in sequence:
            tags[tag] += n_texts
    del tags["O"]
    # a foreign letter with a label ("X-city", "B_city") is a mistake, not a part of speech
    n_bare = sum(
        n for tag, n in tags.items() if split_tag(tag) is None and not _ALMOST_TAG.match(tag)
    )
    if n_bare * 2 > tags.total():
        return "WORD"
    names = [name for name in SCHEMES if name != "WORD"]
    if prefer in names:
        names = [prefer, *(name for name in names if name != prefer)]

    def n_illegal(name: str) -> int:
        return sum(n * len(illegal_tags(sequence, name)) for sequence, n in sequences.items())

    counts: dict[str, int] = {}
    for name in names:
        counts[name] = n_illegal(name)
        if not counts[name]:
            break
    return min(counts, key=counts.__getitem__)  # min keeps the first of equals
