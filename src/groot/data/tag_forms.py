"""The ways in which people write tags, and the one that groot reads: a letter, a dash, the label.

The way is found out once for a file, from all its tags.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from groot.targets.schemes import split_tag

_LETTERS = "BIESLUM"
_SUFFIX = re.compile(rf"(.+)-([{_LETTERS}])", re.DOTALL)
_OTHER_MARK = re.compile(rf"([{_LETTERS}])[_:](.+)", re.DOTALL)
_SMALL = re.compile(rf"([{_LETTERS.lower()}])-(.+)", re.DOTALL)
# share of the tags, O aside, that another form has to explain before it is taken
_NEARLY_ALL = 0.9

Form = Callable[[str], str | None]


def _suffix(tag: str) -> str | None:
    match = _SUFFIX.fullmatch(tag)
    return f"{match[2]}-{match[1]}" if match else None


def _other_mark(tag: str) -> str | None:
    match = _OTHER_MARK.fullmatch(tag)
    return f"{match[1]}-{match[2]}" if match else None


def _small(tag: str) -> str | None:
    match = _SMALL.fullmatch(tag)
    return f"{match[1].upper()}-{match[2]}" if match else None


# name -> tag as it is read, None where it has not this form
FORMS: Mapping[str, Form] = {
    "the letter behind (PER-B)": _suffix,
    "another mark (B_PER, B:PER)": _other_mark,
    "a small letter (b-PER)": _small,
}
_OUTSIDE = ("_", "-", "", "o", "0", "OTHER", "Other", "NONE", "None")
_NO_TAG = ("o", "_", "-", "0", "")  # how O is written in files whose other tags have such a form


def find_form(counts: Counter[str]) -> str | None:
    """The name of the form that nearly all tags have; None where they are as groot reads them.

    >>> find_form(Counter(["PER-B", "PER-I", "O"]))
    'the letter behind (PER-B)'
    """
    lettered = Counter({tag: n for tag, n in counts.items() if tag != "O" and tag not in _NO_TAG})
    if (
        not lettered
        or sum(n for tag, n in lettered.items() if split_tag(tag)) * 2 > lettered.total()
    ):
        return None
    for name, form in FORMS.items():
        if sum(n for tag, n in lettered.items() if form(tag)) >= _NEARLY_ALL * lettered.total():
            return name
    return None


def find_outside(counts: Counter[str]) -> str | None:
    """How O is written in a file that has no O, and whose other tags all have a letter.

    >>> find_outside(Counter(["B-PER", "I-PER", "_"]))
    '_'
    """
    bare = [tag for tag in counts if split_tag(tag) is None]
    is_outside = len(bare) == 1 and bare[0] in _OUTSIDE and len(counts) > 1
    return bare[0] if is_outside and "O" not in counts else None


def tag_in_form(tag: str, name: str) -> str:
    """A tag as groot reads it; one that has not the form comes back as it is."""
    if tag in _NO_TAG:
        return "O"
    return FORMS[name](tag) or tag


def joined_runs(tags: Sequence[str]) -> tuple[str, ...]:
    """Plain labels as tags of IOB2: neighbours with one label are one span.

    >>> joined_runs(["person", "person", "O", "place"])
    ('B-person', 'I-person', 'O', 'B-place')
    """
    before = "O"
    joined = []
    for tag in tags:
        letter = "I" if tag == before else "B"
        joined.append("O" if tag == "O" else f"{letter}-{tag}")
        before = tag
    return tuple(joined)


def share_in_runs(sequences: Iterable[Sequence[str]]) -> float:
    """The share of the labelled words that stand beside a word with the same label."""
    n_words = n_beside = 0
    for tags in sequences:
        for i, tag in enumerate(tags):
            if tag == "O":
                continue
            n_words += 1
            n_beside += (i > 0 and tags[i - 1] == tag) or tags[i + 1 : i + 2] == (tag,)
    return n_beside / n_words if n_words else 0.0
