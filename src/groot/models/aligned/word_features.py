"""What a word looks like, as names and then as rows of a table that only training words fill.

A word is described by itself, its shape, its beginnings, its endings and its letter triples. Only
features that at least two different training words share have a row, so that none learns one word
by heart and a word that was never seen is made of parts that were. Any script will do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

MAX_FEATURES = 24  # of one word; further letter triples are left out
MAX_FORMS = 200_000  # that a table remembers before it begins anew
AFFIX_LETTERS = (1, 2, 3, 4)
ABSENT = 0  # the row of what has none


def shape_of(word: str) -> str:
    """A for capitals, a for small letters, x for letters without case, 0 for digits, no repeats.

    >>> shape_of("McDonald's"), shape_of("B-747"), shape_of("東京タワー")
    ("AaAa'a", 'A-0', 'x')
    """
    letters = (
        "A"
        if c.isupper()
        else "a"
        if c.islower()
        else "x"
        if c.isalpha()
        else "0"
        if c.isdigit()
        else c
        for c in word
    )
    return re.sub(r"(.)\1+", r"\1", "".join(letters), flags=re.DOTALL)


def feature_names(word: str) -> list[str]:
    """The features of a word's form, the word itself not among them, each once.

    >>> feature_names("Oz")
    ['s=Aa', 'p1=o', 'p2=oz', 'x1=z', 'x2=oz', 'n=<oz', 'n=oz>']
    """
    lower = word.lower()
    framed = f"<{lower}>"
    names = [f"s={shape_of(word)}"]
    sizes = [n for n in AFFIX_LETTERS if n <= len(lower)]
    names += [f"p{n}={lower[:n]}" for n in sizes]
    names += [f"x{n}={lower[-n:]}" for n in sizes]
    names += [f"n={framed[at : at + 3]}" for at in range(len(framed) - 2)]
    return list(dict.fromkeys(names))[:MAX_FEATURES]


class WordTable:
    """Rows of words and of their features, found once for each form of a word.

    Args:
        counts: how often each lower-case word stands in the training texts; word i has row i + 1.
        features: those that have a row; feature i has row i + 1.
    """

    def __init__(self, counts: Mapping[str, int], features: Sequence[str]) -> None:
        self.counts = dict(counts)
        self.features = tuple(features)
        self._word_rows = {word: row for row, word in enumerate(self.counts, start=1)}
        self._feature_rows = {name: row for row, name in enumerate(self.features, start=1)}
        self._forget()

    def _forget(self) -> None:
        self._forms: dict[str, int] = {}
        self._rows = np.zeros((1024, MAX_FEATURES), dtype=np.int64)
        self._words = np.zeros((1024, 2), dtype=np.int64)  # row of the word, its count

    @classmethod
    def of_texts(cls, texts: Iterable[Sequence[str]], *, min_words: int = 2) -> WordTable:
        """The table of training texts.

        Args:
            min_words: different words that a feature must be shared by, to have a row.
        """
        forms = Counter(word for words in texts for word in words)
        counts: Counter[str] = Counter()
        for form, count in forms.items():
            counts[form.lower()] += count
        sharing = Counter(name for form in forms for name in feature_names(form))
        return cls(counts, [name for name, n_words in sharing.items() if n_words >= min_words])

    def form_ids(self, words: Iterable[str]) -> np.ndarray:
        """[N] an id for each word's form, the same for the same form; looked at once only.

        Ids hold until the next call, which may begin anew.
        """
        if len(self._forms) > MAX_FORMS:
            self._forget()
        known = self._forms
        ids = [known[word] if word in known else self._add(word) for word in words]
        return np.array(ids, dtype=np.int64)

    def _add(self, word: str) -> int:
        form = self._forms[word] = len(self._forms)
        if form == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._words = np.concatenate([self._words, np.zeros_like(self._words)])
        rows = [self._feature_rows.get(name, ABSENT) for name in feature_names(word)]
        rows = [row for row in rows if row != ABSENT]
        lower = word.lower()
        self._rows[form, : len(rows)] = rows
        self._words[form] = self._word_rows.get(lower, ABSENT), self.counts.get(lower, 0)
        return form

    def feature_rows(self, forms: np.ndarray) -> np.ndarray:
        """[N, MAX_FEATURES] rows of the features of forms [N], then ABSENT."""
        rows: np.ndarray = self._rows[forms]
        return rows

    def word_rows(self, forms: np.ndarray) -> np.ndarray:
        """[N] row of the word itself, ABSENT for one that was not in the training texts."""
        rows: np.ndarray = self._words[forms, 0]
        return rows

    def word_counts(self, forms: np.ndarray) -> np.ndarray:
        """[N] how often the word stands in the training texts."""
        counts: np.ndarray = self._words[forms, 1]
        return counts

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {"counts": self.counts, "features": list(self.features)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> WordTable:
        """The table that `to_json` wrote."""
        return cls(saved["counts"], saved["features"])
