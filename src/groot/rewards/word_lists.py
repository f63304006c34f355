"""Rewards of wanted and of forbidden words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groot.rewards.free_text import each, plain_words, wrong_argument
from groot.types import Candidate, Example


@dataclass(frozen=True)
class WantedWords:
    """Share of the wanted words that a text says; how often does not matter.

    Words are compared in lower case, without punctuation at their ends. Malformed is 0.0.

    >>> WantedWords(("book", "please"))(Example(""), [Candidate("", "Book it, please")])
    [1.0]
    """

    words: tuple[str, ...]

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        return each("wanted_words", example, candidates, self._value)

    def _value(self, text: str) -> float:
        return len(set(self.words).intersection(plain_words(text))) / len(self.words)


@dataclass(frozen=True)
class ForbiddenWords:
    """1 / (1 + times that a text says a forbidden word): 1.0 where it says none.

    Words are compared in lower case, without punctuation at their ends. Malformed is 0.0.

    >>> ForbiddenWords(("the",))(Example(""), [Candidate("", "play it"), Candidate("", "the the")])
    [1.0, 0.3333333333333333]
    """

    words: tuple[str, ...]

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        return each("forbidden_words", example, candidates, self._value)

    def _value(self, text: str) -> float:
        return 1.0 / (1 + sum(word in self.words for word in plain_words(text)))


def make_wanted_words(argument: str) -> WantedWords:
    """The reward that "wanted_words:ARGUMENT" names.

    >>> make_wanted_words("book,please")
    WantedWords(words=('book', 'please'))
    """
    return WantedWords(_read("wanted_words", argument))


def make_forbidden_words(argument: str) -> ForbiddenWords:
    """The reward that "forbidden_words:ARGUMENT" names.

    >>> make_forbidden_words("damn")
    ForbiddenWords(words=('damn',))
    """
    return ForbiddenWords(_read("forbidden_words", argument))


def _read(name: str, argument: str) -> tuple[str, ...]:
    lists = [plain_words(word) for word in argument.split(",")]
    if not all(len(words) == 1 for words in lists):
        raise wrong_argument(name, argument, f"want single words between commas, {name}:book,now.")
    return tuple(dict.fromkeys(words[0] for words in lists))
