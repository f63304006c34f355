"""Rules that every output must keep, as one automaton that reads the labels of a text.

Each rule is a small automaton of its own; `compile_rules` runs them side by side and numbers the
combinations of their states that can be reached. `best_paths` goes through an automaton together
with the labels, so what it finds is the best of all outputs that keep the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from groot.errors import ConfigError, nearest
from groot.search.automaton import BROKEN, Automaton
from groot.search.rules import Before, Count, Excludes, Implies, Longest, Rule
from groot.targets.schemes import split_tag

MAX_STATES = 4096
PAIR_RULES: dict[str, Callable[[str, str], Rule]] = {
    "implies": Implies,
    "excludes": Excludes,
    "before": Before,
}


def read_rules(rows: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """Rules as a YAML file lists them.

        - {count: city, least: 1, most: 2}
        - {longest: city, words: 3}
        - {implies: [artist, album]}
        - {excludes: [artist, city]}
        - {before: [artist, city]}

    Raises:
        ConfigError: all rows that are no rule, by their number.

    >>> read_rules([{"implies": ["artist", "album"]}])
    [Implies(label='artist', other='album')]
    """
    rules, mistakes = list[Rule](), list[str]()
    for number, row in enumerate(rows, start=1):
        try:
            rules.append(_read_rule(row))
        except (TypeError, ValueError) as error:
            mistakes.append(f"rule {number}, {row!r}: {error}")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return rules


def _read_rule(row: Mapping[str, Any]) -> Rule:
    kinds = [kind for kind in row if kind in ("count", "longest", *PAIR_RULES)]
    if len(kinds) != 1:
        known = ", ".join(("count", "longest", *PAIR_RULES))
        raise ValueError(f"it must name one of {known}")
    kind = kinds[0]
    value, numbers = row[kind], {name: number for name, number in row.items() if name != kind}
    if kind in PAIR_RULES:
        if numbers or not isinstance(value, list) or [type(part) for part in value] != [str, str]:
            raise ValueError(f"{kind} takes a list of two labels, and nothing beside it")
        return PAIR_RULES[kind](*value)
    wanted = {"words"} if kind == "longest" else {"least", "most"}
    is_count = all(type(number) is int and number >= 0 for number in numbers.values())
    if not isinstance(value, str) or not numbers or not is_count or not set(numbers) <= wanted:
        raise ValueError(
            f"{kind} takes a label, and whole numbers for {' or '.join(sorted(wanted))}"
        )
    return Longest(value, **numbers) if kind == "longest" else Count(value, **numbers)


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
    first: tuple[Any, ...] = tuple(rule.start for rule in rules)
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
