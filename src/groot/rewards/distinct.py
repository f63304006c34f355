"""The reward of texts that do not repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groot.rewards.free_text import each, wrong_argument
from groot.types import Candidate, Example


@dataclass(frozen=True)
class Distinct:
    """Share of a text's word n-grams that are different ones; 1.0 where it is too short for any.

    Words are what white space separates. Malformed is 0.0.

    Source: the distinct-n of Li et al., A Diversity-Promoting Objective Function for Neural
    Conversation Models (2016), of one text instead of a set.

    >>> Distinct(1)(Example(""), [Candidate("", "play play play jazz")])
    [0.5]
    """

    n: int

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        return each("distinct", example, candidates, self._value)

    def _value(self, text: str) -> float:
        words = text.split()
        grams = [tuple(words[at : at + self.n]) for at in range(len(words) - self.n + 1)]
        return len(set(grams)) / len(grams) if grams else 1.0


def make_distinct(argument: str) -> Distinct:
    """The reward that "distinct:ARGUMENT" names; "distinct" alone counts pairs of words.

    >>> make_distinct("")
    Distinct(n=2)

    Raises:
        ConfigError: if the argument is no number above 0.
    """
    if not argument:
        return Distinct(2)
    if not (argument.isdecimal() and int(argument) > 0):
        raise wrong_argument("distinct", argument, "want words per n-gram, distinct:2.")
    return Distinct(int(argument))
