"""Texts that stand among the training texts as well: what is measured on them is memory."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def text_key(text: str) -> str:
    """What two texts are the same by: case, white space and Unicode forms aside.

    >>> text_key("Play  Nina\\n") == text_key("play nina")
    True
    """
    return unicodedata.normalize("NFKC", " ".join(text.split())).casefold()


def are_duplicates(texts: Iterable[str], training_texts: Iterable[str]) -> NDArray[np.bool_]:
    """[N] whether each text stands among the training texts, by `text_key`.

    >>> are_duplicates(["Play it", "stop"], ["play it"]).tolist()
    [True, False]
    """
    known = set(map(text_key, training_texts))
    return np.array([text_key(text) in known for text in texts], dtype=bool)
