"""The reward of those who know what a mistake costs: minus the cost of a candidate's errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from groot.evaluation.errors import Match, closeness, match_spans
from groot.outputs.items import Item, items_of, label_of
from groot.registry import nearest
from groot.rewards.overlap import keys_of
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
        keys_of(example.gold)  # refuses free text
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
            return self._cost_of_missing(items_of(example.gold)) + self._dearest_spurious()
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

    def _cost_of_missing(self, gold: Iterable[Item]) -> float:
        return sum(self.cost(label_of(item), "missing") for item in gold)

    def _dearest_spurious(self) -> float:
        return max(self.cost(label, "spurious") for label in (*self.costs, DEFAULT))

    def _cost_of_classes(self, gold: Sequence[str], predicted: Sequence[str]) -> float:
        missing = [name for name in gold if name not in predicted]
        spurious = [name for name in dict.fromkeys(predicted) if name not in gold]
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
        if any(isinstance(candidate.output, str) for candidate in candidates):
            return None  # the reward itself says that it is not for free text
        is_classes = any(candidate.classes for candidate in candidates)
        costs = self._costs_of_classes(candidates) if is_classes else self._costs(candidates)
        if costs is None:
            return None
        all_missing = [self._cost_of_missing(items_of(gold.output)) for gold in candidates]
        is_malformed = [candidate.is_malformed for candidate in candidates]
        costs[:, is_malformed] = np.array(all_missing)[:, None] + self._dearest_spurious()
        return 0.0 - costs

    def _costs(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] costs of spans, by each distinct pair of spans that overlap.

        Which spans meet is settled pair by pair in the order of `match_spans`, at once for all the
        candidates that say the two. That order is one for all of them where spans are in order.
        """
        keys = [
            [(span.start, span.end, span.label) for span in candidate.spans]
            for candidate in candidates
        ]
        if any(left >= right for row in keys for left, right in pairwise(row)):
            return None
        distinct = sorted({key for row in keys for key in row})
        spans = [Span(*key) for key in distinct]
        row_of = {key: row for row, key in enumerate(distinct)}
        says = np.zeros((len(spans), len(candidates)), dtype=bool)
        for k, row in enumerate(keys):
            says[[row_of[key] for key in row], k] = True
        missing = np.array([self.cost(span.label, "missing") for span in spans])
        spurious = np.array([self.cost(span.label, "spurious") for span in spans])
        # Equal spans meet first. Of the rest, [S, gold, predicted], none has met anything yet.
        is_gold_free = says[:, :, None] & ~says[:, None, :]
        is_predicted_free = says[:, None, :] & ~says[:, :, None]
        costs: NDArray[np.float64] = np.tensordot(missing, is_gold_free, 1)
        costs += np.tensordot(spurious, is_predicted_free, 1)
        who = [np.flatnonzero(row) for row in says]
        for i, j in _overlapping(spans):
            block = who[i][:, None], who[j]
            meets = is_gold_free[i][block] & is_predicted_free[j][block]
            if meets.any():
                is_gold_free[i][block] ^= meets
                is_predicted_free[j][block] ^= meets
                together = self._cost_of_match(Match(spans[i], spans[j]))
                costs[block] += meets * (together - missing[i] - spurious[j])
        return costs

    def _costs_of_classes(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] costs of classes; None where the candidates say them in different orders."""
        order = common_order([candidate.classes for candidate in candidates])
        if order is None:
            return None
        says = np.array(
            [[name in candidate.classes for name in order] for candidate in candidates], dtype=bool
        )
        gold, predicted = says[:, None, :], says[None, :, :]
        is_missing, is_spurious = gold & ~predicted, predicted & ~gold  # [K, K, classes]
        swapped = np.minimum(is_missing.sum(-1), is_spurious.sum(-1))[..., None]
        is_first = is_missing & (is_missing.cumsum(-1) <= swapped)
        is_over = is_spurious & (is_spurious.cumsum(-1) > swapped)
        price = {kind: np.array([self.cost(name, kind) for name in order]) for kind in ERROR_KINDS}
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
    """All distinct names, in an order that every list keeps; None where there is none.

    >>> common_order([("a", "c"), ("a", "b", "c")]), common_order([("a", "b"), ("b", "a")])
    (['a', 'b', 'c'], None)
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for names in lists:
        for place, name in enumerate(names):
            sorter.add(name, *names[max(place - 1, 0) : place])
    try:
        return list(sorter.static_order())
    except CycleError:
        return None
