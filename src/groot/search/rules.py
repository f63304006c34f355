"""Rules on the spans of a text, each an automaton that reads its IOB2 tags as letter and label.

`labels` are those that a rule speaks of, `start` is the state before the first word, `step` gives
the state behind a tag or None where the rule is broken, and `is_kept` says whether a text may end
in a state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class _OneLabel:
    """What rules on the spans of one label share: they count from 0 on."""

    start: ClassVar[int] = 0

    label: str

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.label,)


@dataclass(frozen=True, slots=True)
class _TwoLabels:
    """What rules on the spans of two labels share."""

    label: str
    other: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.label, self.other


@dataclass(frozen=True, slots=True)
class Count(_OneLabel):
    """A text has at least `least` and at most `most` spans of a label; None is no bound.

    >>> Count("city", most=1).step(1, "B", "city") is None
    True
    """

    least: int = 0
    most: int | None = None

    def step(self, state: int, letter: str, label: str) -> int | None:
        if letter != "B" or label != self.label:
            return state
        if self.most is None:
            return min(state + 1, self.least)  # further ones make no difference
        return state + 1 if state < self.most else None

    def is_kept(self, state: int) -> bool:
        return state >= self.least


@dataclass(frozen=True, slots=True)
class Implies(_TwoLabels):
    """A text with a span of one label has one of the other too."""

    start: ClassVar[tuple[bool, bool]] = (False, False)

    def step(self, state: tuple[bool, bool], letter: str, label: str) -> tuple[bool, bool] | None:
        return state[0] or label == self.label, state[1] or label == self.other

    def is_kept(self, state: tuple[bool, bool]) -> bool:
        return state[1] or not state[0]


@dataclass(frozen=True, slots=True)
class Excludes(_TwoLabels):
    """No text has spans of both labels."""

    start: ClassVar[str] = ""

    def step(self, state: str, letter: str, label: str) -> str | None:
        if label not in self.labels:
            return state
        return label if state in ("", label) else None

    def is_kept(self, state: str) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Before(_TwoLabels):
    """All spans of one label stand before all spans of the other."""

    start: ClassVar[bool] = False

    def step(self, state: bool, letter: str, label: str) -> bool | None:
        if state and label == self.label:
            return None
        return state or label == self.other

    def is_kept(self, state: bool) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Longest(_OneLabel):
    """No span of a label is longer than so many words."""

    words: int

    def step(self, state: int, letter: str, label: str) -> int | None:
        if label != self.label:
            return 0
        length = 1 if letter == "B" else state + 1
        return length if length <= self.words else None

    def is_kept(self, state: int) -> bool:
        return True


Rule = Count | Implies | Excludes | Before | Longest
