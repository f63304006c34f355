"""The reward of those who know what a mistake costs: minus the cost of a candidate's errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from groot.errors import ConfigError
from groot.evaluation.errors import Match, closeness, match_spans
from groot.registry import nearest
from groot.rewards.overlap import items
from groot.types import Candidate, Example, Span

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
        return sum(map(self._cost_of_match, match_spans(example.spans, candidate.spans)))

    def _cost_of_match(self, match: Match) -> float:
        if match.gold is None:
            return self.cost(match.predicted.label, "spurious")  # type: ignore[union-attr]
        label, kind = match.gold.label, match.kind
        if match.predicted is None:
            return self.cost(label, "missing")
        wrong_label = self.cost(label, "wrong_label") if kind in ("label", "both") else 0.0
        wrong_boundary = self.cost(label, "wrong_boundary") if kind in ("boundary", "both") else 0.0
        return wrong_label + wrong_boundary

    def _cost_of_classes(self, gold: Sequence[str], said: Sequence[str]) -> float:
        missing = [one for one in gold if one not in said]
        spurious = [one for one in dict.fromkeys(said) if one not in gold]
        swapped = min(len(missing), len(spurious))
        return (
            sum(self.cost(label, "wrong_label") for label in missing[:swapped])
            + sum(self.cost(label, "missing") for label in missing[swapped:])
            + sum(self.cost(label, "spurious") for label in spurious[swapped:])
        )

    def pairwise(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] reward of the candidate of each column if the one of the row were gold.

        None where a candidate's spans are not in order of place, or say one twice: which span
        meets which then depends on the pair, and no order serves all of them.
        """
        is_classes = any(candidate.classes for candidate in candidates)
        costs = self._costs_of_classes(candidates) if is_classes else self._costs(candidates)
        if costs is None:
            return None
        said = [one.classes if is_classes else one.spans for one in candidates]
        labels = [[item if isinstance(item, str) else item.label for item in one] for one in said]
        dearest = max(self.cost(label, "spurious") for label in (*self.costs, DEFAULT))
        all_missing = [sum(self.cost(label, "missing") for label in one) for one in labels]
        is_malformed = [candidate.is_malformed for candidate in candidates]
        costs[:, is_malformed] = np.array(all_missing)[:, None] + dearest
        return 0.0 - costs

    def _costs(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] costs of spans, by each distinct pair of spans that overlap.

        Which spans meet is settled pair by pair in the order of `match_spans`, at once for all the
        candidates that say the two. That order is one for all of them where spans are in order.
        """
        places = [[(span.start, span.end, span.label) for span in one.spans] for one in candidates]
        if any(a >= b for one in places for a, b in pairwise(one)):
            return None
        spans = [Span(*place) for place in sorted({place for one in places for place in one})]
        row_of = {(span.start, span.end, span.label): row for row, span in enumerate(spans)}
        says = np.zeros((len(spans), len(candidates)), dtype=bool)
        for k, one in enumerate(places):
            says[[row_of[place] for place in one], k] = True
        missing = np.array([self.cost(span.label, "missing") for span in spans])
        spurious = np.array([self.cost(span.label, "spurious") for span in spans])
        # Equal spans meet first. Of the rest, [S, gold, said], none has met anything yet.
        is_gold_free = says[:, :, None] & ~says[:, None, :]
        is_said_free = says[:, None, :] & ~says[:, :, None]
        costs: NDArray[np.float64] = np.tensordot(missing, is_gold_free, 1)
        costs += np.tensordot(spurious, is_said_free, 1)
        who = [np.flatnonzero(row) for row in says]
        for i, j in _overlapping(spans):
            block = who[i][:, None], who[j]
            meets = is_gold_free[i][block] & is_said_free[j][block]
            if meets.any():
                is_gold_free[i][block] ^= meets
                is_said_free[j][block] ^= meets
                together = self._cost_of_match(Match(spans[i], spans[j]))
                costs[block] += meets * (together - missing[i] - spurious[j])
        return costs

    def _costs_of_classes(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] costs of classes; None where the candidates say them in different orders."""
        order = common_order([candidate.classes for candidate in candidates])
        if order is None:
            return None
        says = np.array([[c in one.classes for c in order] for one in candidates], dtype=bool)
        gold, said = says[:, None, :], says[None, :, :]
        is_missing, is_spurious = gold & ~said, said & ~gold  # [K, K, classes]
        swapped = np.minimum(is_missing.sum(-1), is_spurious.sum(-1))[..., None]
        is_first = is_missing & (is_missing.cumsum(-1) <= swapped)
        is_over = is_spurious & (is_spurious.cumsum(-1) > swapped)
        price = {kind: np.array([self.cost(c, kind) for c in order]) for kind in ERROR_KINDS}
        costs: NDArray[np.float64] = (
            is_first @ price["wrong_label"]
            + (is_missing & ~is_first) @ price["missing"]
            + is_over @ price["spurious"]
        )
        return costs


def _overlapping(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """The ordered pairs of different spans that overlap, in the order that `match_spans` takes.

    Args:
        spans: in order of place.
    """
    starts, ends = np.array([[span.start, span.end] for span in spans], dtype=int).reshape(-1, 2).T
    shared = np.minimum.outer(ends, ends) - np.maximum.outer(starts, starts)
    np.fill_diagonal(shared, 0)
    pairs = np.argwhere(shared > 0).tolist()
    return [(i, j) for _, i, j in sorted((closeness(spans[i], spans[j]), i, j) for i, j in pairs)]


def common_order(lists: Iterable[Sequence[str]]) -> list[str] | None:
    """All distinct items, in an order that every list keeps; None where there is none.

    >>> common_order([("a", "c"), ("a", "b", "c")]), common_order([("a", "b"), ("b", "a")])
    (['a', 'b', 'c'], None)
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for one in lists:
        for place, item in enumerate(one):
            sorter.add(item, *one[max(place - 1, 0) : place])
    try:
        return list(sorter.static_order())
    except CycleError:
        return None


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
