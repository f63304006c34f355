"""Rules that every output must keep, as one automaton that reads the labels of a text.

Each rule is a small automaton of its own; `compile_rules` runs them side by side and numbers the
combinations of their states that can be reached. `best_paths` goes through an automaton together
with the labels, so what it finds is the best of all outputs that keep the rules.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from groot.errors import ConfigError, nearest
from groot.search.automaton import BROKEN, Automaton
from groot.targets.schemes import split_tag

MAX_STATES = 4096


class Rule(Protocol):
    """A condition on the spans of a text, as an automaton over its IOB2 tags."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it speaks of."""

    @property
    def start(self) -> Hashable:
        """The state before the first word."""

    def step(self, state: Hashable, letter: str, label: str) -> Hashable | None:
        """The state behind a tag, given as letter and label; None where the rule is broken."""

    def is_kept(self, state: Hashable) -> bool:
        """Whether a text may end in a state."""


@dataclass(frozen=True, slots=True)
class Count:
    """A text has at least `least` and at most `most` spans of a label; None is no bound.

    >>> Count("city", most=1).step(1, "B", "city") is None
    True
    """

    label: str
    least: int = 0
    most: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.label,)

    @property
    def start(self) -> int:
        return 0

    def step(self, state: int, letter: str, label: str) -> int | None:
        if letter != "B" or label != self.label:
            return state
        if self.most is None:
            return min(state + 1, self.least)  # further ones make no difference
        return state + 1 if state < self.most else None

    def is_kept(self, state: int) -> bool:
        return state >= self.least


@dataclass(frozen=True, slots=True)
class Implies:
    """A text with a span of one label has one of the other too."""

    label: str
    other: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.label, self.other

    @property
    def start(self) -> tuple[bool, bool]:
        return False, False

    def step(self, state: tuple[bool, bool], letter: str, label: str) -> tuple[bool, bool] | None:
        return state[0] or label == self.label, state[1] or label == self.other

    def is_kept(self, state: tuple[bool, bool]) -> bool:
        return state[1] or not state[0]


@dataclass(frozen=True, slots=True)
class Excludes:
    """No text has spans of both labels."""

    label: str
    other: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.label, self.other

    @property
    def start(self) -> str:
        return ""

    def step(self, state: str, letter: str, label: str) -> str | None:
        if label not in self.labels:
            return state
        return label if state in ("", label) else None

    def is_kept(self, state: str) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Before:
    """All spans of one label stand before all spans of the other."""

    label: str
    other: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.label, self.other

    @property
    def start(self) -> bool:
        return False

    def step(self, state: bool, letter: str, label: str) -> bool | None:
        if state and label == self.label:
            return None
        return state or label == self.other

    def is_kept(self, state: bool) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Longest:
    """No span of a label is longer than so many words."""

    label: str
    words: int

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.label,)

    @property
    def start(self) -> int:
        return 0

    def step(self, state: int, letter: str, label: str) -> int | None:
        if label != self.label:
            return 0
        length = 1 if letter == "B" else state + 1
        return length if length <= self.words else None

    def is_kept(self, state: int) -> bool:
        return True


def compile_rules(
    rules: Sequence[Rule], tags: Sequence[str], *, max_states: int = MAX_STATES
) -> Automaton:
    """The automaton of the outputs that keep all rules.

    Args:
        rules: what has to hold of each text.
        tags: the L labels as IOB2 tags.
        max_states: reachable combinations of the rules' states.

    Raises:
        ConfigError: a rule speaks of a label that no tag has, or there are too many states.

    >>> compile_rules([Count("city", most=1)], ["O", "B-city", "I-city"]).following.tolist()
    [[0, 1, 0], [1, -1, 1]]
    """
    parts = [split_tag(tag) or ("O", "") for tag in tags]
    known = {label for _, label in parts if label}
    for rule in rules:
        for label in rule.labels:
            if label not in known:
                raise ConfigError(f"{rule}: no label {label!r}.{nearest(label, known)}")
    first = tuple(rule.start for rule in rules)
    numbers, states, following = {first: 0}, [first], list[list[int]]()
    for state in states:  # grows while it is read
        row = []
        for letter, label in parts:
            pairs = zip(rules, state, strict=True)
            behind = tuple(rule.step(of_rule, letter, label) for rule, of_rule in pairs)
            if None in behind:
                row.append(BROKEN)
                continue
            if behind not in numbers:
                numbers[behind] = len(states)
                states.append(behind)
            row.append(numbers[behind])
        following.append(row)
        if len(states) > max_states:
            raise ConfigError(
                f"{len(rules)} rules need more than {max_states} states together. The fewer counts"
                " they hold, and the smaller these are, the fewer states there are."
            )
    is_final = [
        all(rule.is_kept(of_rule) for rule, of_rule in zip(rules, state, strict=True))
        for state in states
    ]
    return Automaton(np.array(following), np.array(is_final))
