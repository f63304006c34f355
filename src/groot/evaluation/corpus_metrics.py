"""Metrics of a whole set, from counts that were summed over its examples first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from groot.outputs.items import Counts

# Where the three counts sit on the last axis of an array of counts.
TRUE_POSITIVES, FALSE_POSITIVES, FALSE_NEGATIVES = range(3)


def precision(counts: Counts) -> float | None:
    """Share of the predicted that is right; None (undefined) where nothing is predicted.

    >>> precision(Counts(3, 1, 0)), precision(Counts(0, 0, 2))
    (0.75, None)
    """
    return _ratio(counts.true_positives, counts.true_positives + counts.false_positives)


def recall(counts: Counts) -> float | None:
    """Share of the gold that is found; None (undefined) where there is no gold.

    >>> recall(Counts(3, 0, 1)), recall(Counts(0, 2, 0))
    (0.75, None)
    """
    return _ratio(counts.true_positives, counts.true_positives + counts.false_negatives)


def f_beta(counts: Counts, beta: float = 1.0) -> float | None:
    """Weighted harmonic mean of precision and recall; recall weighs beta times as much.

        (1 + beta²) tp / ((1 + beta²) tp + fp + beta² fn)

    None (undefined) only where nothing is gold and nothing predicted. Where just one of the two
    is empty it is 0, although precision or recall alone is undefined there.

    >>> f_beta(Counts(2, 0, 2), beta=1.0)
    0.6666666666666666
    >>> f_beta(Counts(0, 0, 3)), f_beta(Counts(0, 0, 0))
    (0.0, None)

    Source: van Rijsbergen, Information Retrieval, 1979, chapter 7, in its form over counts.
    """
    weight = beta * beta
    right = (1 + weight) * counts.true_positives
    return _ratio(right, right + counts.false_positives + weight * counts.false_negatives)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


class CorpusMetric(Protocol):
    """A metric of a whole set, computed from counts that were summed over its examples first."""

    @property
    def name(self) -> str:
        """How a table prints it."""

    def __call__(self, counts: Counts) -> float | None:
        """The metric; None where it is undefined."""

    def over(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """The metric [...] of many summed counts [..., 3]; nan where it is undefined."""


@dataclass(frozen=True)
class MicroF:
    """F-beta over summed counts: what a paper calls micro-averaged F.

    >>> MicroF(0.5)(Counts(3, 1, 3)), MicroF(0.5).name
    (0.6818181818181818, 'micro F0.5')
    """

    beta: float = 1.0

    @property
    def name(self) -> str:
        return f"micro F{self.beta:g}"

    def __call__(self, counts: Counts) -> float | None:
        return f_beta(counts, self.beta)

    def over(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        weight = self.beta * self.beta
        right = (1 + weight) * counts[..., TRUE_POSITIVES]
        wrong = counts[..., FALSE_POSITIVES] + weight * counts[..., FALSE_NEGATIVES]
        return ratios(right, right + wrong)


@dataclass(frozen=True)
class MicroRatio:
    """Precision or recall over summed counts.

    >>> MICRO_PRECISION(Counts(3, 1, 3)), MICRO_RECALL(Counts(3, 1, 3))
    (0.75, 0.5)

    Args:
        name: how a table prints it.
        ratio: the metric of one triple of counts.
        wrong: index of the counts that lower it, on the last axis of an array of counts.
    """

    name: str
    ratio: Callable[[Counts], float | None]
    wrong: int

    def __call__(self, counts: Counts) -> float | None:
        return self.ratio(counts)

    def over(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        right = counts[..., TRUE_POSITIVES]
        return ratios(right, right + counts[..., self.wrong])


MICRO_PRECISION = MicroRatio("micro precision", precision, FALSE_POSITIVES)
MICRO_RECALL = MicroRatio("micro recall", recall, FALSE_NEGATIVES)


def ratios(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    """parts / wholes, element by element; nan where a whole is 0: undefined, not 0.

    >>> ratios(np.array([1, 0]), np.array([4, 0])).tolist()
    [0.25, nan]
    """
    shape = np.broadcast_shapes(np.shape(parts), np.shape(wholes))
    return np.divide(parts, wholes, out=np.full(shape, np.nan), where=np.asarray(wholes) > 0)
