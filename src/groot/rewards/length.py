"""The reward of texts of a wanted length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from groot.rewards.free_text import each, wrong_argument
from groot.types import Candidate, Example

WINDOW = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Length:
    """1.0 for a text of least to most words, else 1 / (1 + words too few or too many).

    Words are what white space separates. Malformed is 0.0.

    Args:
        least: words at least, >= 0.
        most: words at most, >= least.

    >>> Length(2, 3)(Example(""), [Candidate("", "play it"), Candidate("", "a b c d")])
    [1.0, 0.5]
    """

    least: int
    most: int

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        return each("length", example, candidates, self._value)

    def _value(self, text: str) -> float:
        words = len(text.split())
        return 1.0 / (1 + max(0, self.least - words) + max(0, words - self.most))


def make_length(argument: str) -> Length:
    """The reward that "length:ARGUMENT" names.

    >>> make_length("4-12")
    Length(least=4, most=12)

    Raises:
        ConfigError: if it is no window.
    """
    match = WINDOW.fullmatch(argument)
    if match is None or int(match[1]) > int(match[2]):
        raise wrong_argument("length", argument, "want words at least and at most, length:4-12.")
    return Length(int(match[1]), int(match[2]))
