"""What rewards of free text have in common: texts of candidates, settings behind the name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from groot.errors import ConfigError, RewardError
from groot.rewards.compose import OwnPart, Rewards
from groot.types import Candidate, Example


class TextReward(Protocol):
    """A reward of free text with the settings that were typed behind its name, "length:4-12".

    Its values lie in [0, 1]; a malformed candidate, such as a text without an end, gets 0.

    A reward may also have `open(open_labeler)`, which is called once before the first text;
    `score_all(examples, candidates)`, which is called instead for many examples at once; and a
    `mark` of the contents that it reads, where its name and settings do not say all.
    """

    def __call__(self, example: Example, candidates: Sequence[Candidate], /) -> list[float | None]:
        """The rewards of the candidates of one example."""


def texts_of(name: str, example: Example, candidates: Sequence[Candidate]) -> list[str | None]:
    """The texts that candidates say; None for a malformed one.

    Raises:
        RewardError: for spans or classes.
    """
    texts: list[str | None] = []
    for candidate in candidates:
        if candidate.output is not None and not isinstance(candidate.output, str):
            raise RewardError(
                f"{example.source or example.id}: reward {name!r} is for free text, and was given"
                " spans or classes. Use 'f1', 'exact' or a cost table."
            )
        texts.append(candidate.output)
    return texts


def each(
    name: str,
    example: Example,
    candidates: Sequence[Candidate],
    value: Callable[[str], float],
) -> list[float | None]:
    """value(text) of each candidate; 0.0 for a malformed one."""
    texts = texts_of(name, example, candidates)
    return [0.0 if text is None else value(text) for text in texts]


def wrong_argument(name: str, argument: str, wanted: str) -> ConfigError:
    """The error for settings that cannot be read."""
    return ConfigError(f"reward '{name}:{argument}': {wanted}")


def plain_words(text: str) -> list[str]:
    """Words of a text for counting: lower case, without punctuation at their ends.

    >>> plain_words("Book it, please!")
    ['book', 'it', 'please']
    """
    stripped = (word.strip(".,;:!?\"'()[]") for word in text.lower().split())
    return [word for word in stripped if word]


class BatchPart(OwnPart):
    """A reward of ours that scores many examples in one call, such as one with a model in it.

    Its native has `score_all(examples, candidates)`, which gives one list for each example.
    """

    native: Any

    def _rewards(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        rewards: Rewards = self.native.score_all(examples, candidates)
        return rewards
