"""The reward of those who know what a mistake costs: minus the cost of a candidate's errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from groot.errors import ConfigError
from groot.evaluation.errors import match_spans
from groot.registry import nearest
from groot.rewards.overlap import items
from groot.types import Candidate, Example

ERROR_KINDS = ("missing", "spurious", "wrong_label", "wrong_boundary")
DEFAULT = "default"


@dataclass(frozen=True)
class CostTable:
    """Minus the summed cost of a candidate's errors; 0.0 where there are none.

    Predicted spans meet gold spans as in the report's table of errors. A span of the right place
    pays `wrong_label`, one of the right label that overlaps pays `wrong_boundary`, one that
    overlaps with another label pays both: each at the price of the gold's label. What meets
    nothing pays `missing` at the gold's label or `spurious` at its own. Of classes, a spurious and
    a missing one together pay `wrong_label`.
    Malformed pays for all the gold as missing, and for the dearest spurious label of the table
    once more, so that it is never worth more than saying nothing.

    Args:
        costs: label -> kind of error -> cost, >= 0. The label `default` prices what is not named.
        name: what logs call it.

    >>> from groot.types import Span
    >>> costs = CostTable({"artist": {"missing": 5.0}, "default": {"spurious": 2.0}})
    >>> example = Example("play nina", spans=(Span(5, 9, "artist"),))
    >>> costs(example, [Candidate("", ()), Candidate("", (Span(5, 9, "song"),))])
    [-5.0, -1.0]
    """

    costs: Mapping[str, Mapping[str, float]]
    name: str = "cost"
    metric: None = field(default=None, init=False)

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        if example.gold is None:
            return [None] * len(candidates)
        return [-self._cost_of(example, candidate) + 0.0 for candidate in candidates]

    def cost(self, label: str, kind: str) -> float:
        """What one error costs: the label's own price, else the default's, else 1."""
        for row in (self.costs.get(label, {}), self.costs.get(DEFAULT, {})):
            if kind in row:
                return row[kind]
        return 1.0

    def unknown_labels(self, labels: Iterable[str]) -> list[str]:
        """A line for each label of the table that the data does not have.

        >>> CostTable({"atrist": {"missing": 5.0}}).unknown_labels(["artist"])
        ["cost: label 'atrist' is not in the data. Did you mean 'artist'?"]
        """
        known = sorted(labels)
        return [
            f"{self.name}: label {label!r} is not in the data.{nearest(label, known)}"
            for label in self.costs
            if label != DEFAULT and label not in known
        ]

    def _cost_of(self, example: Example, candidate: Candidate) -> float:
        if candidate.output is None:
            labels = [
                item if isinstance(item, str) else item[2] for item in items(example.gold or ())
            ]
            dearest = max(self.cost(label, "spurious") for label in (*self.costs, DEFAULT))
            return sum(self.cost(label, "missing") for label in labels) + dearest
        if example.spans is None:
            return self._cost_of_classes(example.classes or (), candidate.classes)
        total = 0.0
        for match in match_spans(example.spans, candidate.spans):
            kind = match.kind
            if match.gold is None:
                total += self.cost(match.predicted.label, "spurious")  # type: ignore[union-attr]
            elif match.predicted is None:
                total += self.cost(match.gold.label, "missing")
            else:
                if kind in ("label", "both"):
                    total += self.cost(match.gold.label, "wrong_label")
                if kind in ("boundary", "both"):
                    total += self.cost(match.gold.label, "wrong_boundary")
        return total

    def _cost_of_classes(self, gold: Sequence[str], said: Sequence[str]) -> float:
        missing = [one for one in gold if one not in said]
        spurious = [one for one in dict.fromkeys(said) if one not in gold]
        swapped = min(len(missing), len(spurious))
        return (
            sum(self.cost(label, "wrong_label") for label in missing[:swapped])
            + sum(self.cost(label, "missing") for label in missing[swapped:])
            + sum(self.cost(label, "spurious") for label in spurious[swapped:])
        )


def read_cost_table(path: Path) -> CostTable:
    """Read a cost table from YAML: a cost for each kind of error, or one for all, by label.

        default: {missing: 1, spurious: 1, wrong_label: 1, wrong_boundary: 0.5}
        artist: {missing: 5}
        song: 2

    Raises:
        ConfigError: with every mistake of the file, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this cost table cannot be read: {error}.") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        yaml.safe_load(text)  # refuses tags that name Python objects
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{line}: not YAML: {problem}.") from error
    if not isinstance(root, yaml.MappingNode) or not root.value:
        raise ConfigError(
            f"{path}:1: a cost table maps labels to costs, for example\n"
            "  default: {missing: 1, spurious: 1, wrong_label: 1, wrong_boundary: 0.5}\n"
            "  artist: {missing: 5}"
        )
    mistakes: list[str] = []
    costs: dict[str, dict[str, float]] = {}
    for key, node in root.value:
        where = f"{path}:{key.start_mark.line + 1}"
        label = str(key.value)  # as written: a label `no` is not False
        if not isinstance(key, yaml.ScalarNode):
            mistakes.append(f"{where}: a label is a plain word, not a list or a table.")
        elif label in costs:
            mistakes.append(f"{where}: label {label!r} has costs twice.")
        else:
            costs[label] = _read_row(path, label, node, mistakes)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return CostTable(costs, name=path.stem)


def _read_row(path: Path, label: str, node: Any, mistakes: list[str]) -> dict[str, float]:
    """Costs of one label; what is wrong with them is added to mistakes."""
    if isinstance(node, yaml.ScalarNode):
        value = _read_cost(path, f"the cost of {label!r}", node, mistakes)
        return dict.fromkeys(ERROR_KINDS, value)
    if not isinstance(node, yaml.MappingNode):
        mistakes.append(
            f"{path}:{node.start_mark.line + 1}: label {label!r} wants one cost, or a cost for "
            f"each of {', '.join(ERROR_KINDS)}."
        )
        return {}
    row: dict[str, float] = {}
    for key, value in node.value:
        kind = str(key.value)
        where = f"{path}:{key.start_mark.line + 1}"
        if kind not in ERROR_KINDS:
            mistakes.append(
                f"{where}: {kind!r} of {label!r} is no kind of error."
                f"{nearest(kind, [*ERROR_KINDS])} Known: {', '.join(ERROR_KINDS)}."
            )
        elif kind in row:
            mistakes.append(f"{where}: {kind!r} of {label!r} is given twice.")
        else:
            row[kind] = _read_cost(path, f"{kind!r} of {label!r}", value, mistakes)
    return row


def _read_cost(path: Path, what: str, node: Any, mistakes: list[str]) -> float:
    try:
        value = float(node.value) if isinstance(node, yaml.ScalarNode) else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        seen = node.value if isinstance(node, yaml.ScalarNode) else "a list or a table"
        mistakes.append(
            f"{path}:{node.start_mark.line + 1}: {what} is {seen!r}; a cost is a number >= 0."
        )
        return 0.0
    return value
