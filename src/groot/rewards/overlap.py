"""Rewards that count what gold and candidate share: F-beta, precision, recall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groot.errors import RewardError
from groot.evaluation.corpus_metrics import MICRO_PRECISION, MICRO_RECALL, CorpusMetric, MicroF
from groot.outputs.items import ItemKey, key_of
from groot.types import Candidate, Example, Gold


@dataclass(frozen=True)
class FBeta:
    """F-beta of the spans, or the classes, of each candidate against the gold.

        (1 + beta²) shared / (beta² gold + predicted)

    beta below 1 favours precision, above 1 recall; 0 is precision and infinity recall.
    Gold and prediction both empty: 1.0. Just one of them empty: 0.0. Malformed: 0.0, also where
    nothing is gold, so that unreadable text is never worth more than a readable error.
    A repeated span or class is right once and wrong from then on. Where the example has no gold
    the reward is missing.

    Args:
        beta: how many times recall weighs as much as precision, >= 0.
        of: "gold" compares whichever gold the example has, spans first; "classes" compares
            classes even where the example has spans too.

    >>> from groot.types import Span
    >>> example = Example("play nina", spans=(Span(5, 9, "artist"),))
    >>> two = (Span(0, 4, "song"), Span(5, 9, "artist"))
    >>> FBeta(0.5)(example, [Candidate("", two), Candidate("", None)])
    [0.5555555555555556, 0.0]
    """

    beta: float = 1.0
    of: Literal["gold", "classes"] = "gold"

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        gold = example.classes if self.of == "classes" else example.gold
        if gold is None:
            return [None] * len(candidates)
        wanted = frozenset(keys_of(gold))
        return [self._value(wanted, candidate, example) for candidate in candidates]

    @property
    def name(self) -> str:
        plain = {0.0: "precision", math.inf: "recall"}.get(self.beta, f"f{self.beta:g}")
        return f"class_{plain}" if self.of == "classes" else plain

    @property
    def metric(self) -> CorpusMetric:
        """The form over a whole set: computed from counts summed over its examples."""
        if self.beta == 0:
            return MICRO_PRECISION
        return MICRO_RECALL if math.isinf(self.beta) else MicroF(self.beta)

    def pairwise(self, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """[K, K] reward of the candidate of each column if the one of the row were gold.

        nan, missing, where classes are wanted and the candidates say spans.
        """
        if self.of == "classes" and any(candidate.spans for candidate in candidates):
            return np.full((len(candidates), len(candidates)), np.nan)
        shared, predicted, distinct, is_legal = count_shared(candidates)
        gold = distinct[:, None]  # [K, 1]: as a gold, a repeated item counts once
        given = predicted[None, :]  # [1, K]
        weight = 0.0 if math.isinf(self.beta) else self.beta**2
        top = shared if math.isinf(self.beta) else (1 + weight) * shared
        bottom = gold + 0 * given if math.isinf(self.beta) else weight * gold + given
        values = np.divide(top, bottom, out=np.zeros_like(shared), where=bottom > 0)
        values[(gold + given) == 0] = 1.0
        return np.where(is_legal[None, :], values, 0.0)

    def _value(self, wanted: frozenset[ItemKey], candidate: Candidate, example: Example) -> float:
        if candidate.output is None:
            return 0.0
        given = keys_of(candidate.output)
        if given and wanted and isinstance(given[0], str) != isinstance(next(iter(wanted)), str):
            raise RewardError(
                f"{example.source or example.id}: reward {self.name!r} was given spans on one side "
                "and classes on the other. Where an example has both, use 'class_f1' for classes."
            )
        if not wanted or not given:
            return float(len(wanted) == len(given))
        shared = len(wanted.intersection(given))
        if math.isinf(self.beta):
            return shared / len(wanted)
        weight = self.beta**2
        return (1 + weight) * shared / (weight * len(wanted) + len(given))


def keys_of(output: Gold) -> list[ItemKey]:
    """What an output says, as plain values that compare fast; spans by place and label.

    >>> keys_of(("weather", "music"))
    ['weather', 'music']

    Raises:
        RewardError: for free text.
    """
    if isinstance(output, str):
        raise RewardError(
            "F-beta, precision, recall and cost tables compare spans or classes, not free text. "
            "For text use 'exact', 'token_accuracy' or a function of your own."
        )
    return [key_of(item) for item in output]


def count_shared(
    candidates: Sequence[Candidate],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """How many items each pair of K candidates shares.

    Returns:
        shared [K, K] distinct items of both; how many items each says [K]; how many distinct
        ones [K]; and is_legal [K] bool. A malformed candidate shares and says nothing.
    """
    column: dict[ItemKey, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    predicted = np.zeros(len(candidates))
    distinct = np.zeros(len(candidates))
    for row, candidate in enumerate(candidates):
        given = () if candidate.output is None else keys_of(candidate.output)
        different = set(given)
        predicted[row] = len(given)
        distinct[row] = len(different)
        rows.extend([row] * len(different))
        columns.extend(column.setdefault(item, len(column)) for item in different)
    says = np.zeros((len(candidates), len(column)))
    says[rows, columns] = 1.0
    is_legal = np.array([candidate.output is not None for candidate in candidates], dtype=bool)
    return says @ says.T, predicted, distinct, is_legal
