"""Whether a probability means what it says: reliability curves and the calibration error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from groot.evaluation.corpus_metrics import ratios
from groot.evaluation.significance import SumStatistic

N_BINS = 10


class ReliabilityCurve(NamedTuple):
    """Mean probability and share right of each bin of probabilities that is not empty."""

    probability: list[float]
    share_right: list[float]
    n_in_bin: list[int]


def reliability_curve(
    probabilities: ArrayLike, is_right: ArrayLike, *, n_bins: int = N_BINS
) -> ReliabilityCurve:
    """The reliability curve over equal-width bins of [0, 1]; empty where nothing is given.

    >>> reliability_curve([0.81, 0.83, 0.12], [True, False, False]).share_right
    [0.0, 0.5]
    """
    p = np.asarray(probabilities, dtype=float)
    if p.size == 0:
        return ReliabilityCurve([], [], [])
    right, mean = calibration_curve(np.asarray(is_right, dtype=bool), p, n_bins=n_bins)
    sizes = np.bincount(_bins(p, n_bins), minlength=n_bins)
    return ReliabilityCurve(mean.tolist(), right.tolist(), sizes[sizes > 0].tolist())


def calibration_error(
    probabilities: ArrayLike, is_right: ArrayLike, *, n_bins: int = N_BINS
) -> float | None:
    """Expected calibration error: mean over examples of the gap between probability and truth.

        sum over bins of (count / N) * |share right - mean probability|

    None where nothing is given.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian
    Binning, 2015; bins of equal width.

    >>> calibration_error([0.75, 0.75, 0.75, 0.75], [True, True, True, False])
    0.0
    """
    value = calibration_error_of(
        np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=float), n_bins=n_bins
    ).estimate()
    return None if math.isnan(value) else value


def calibration_error_of(
    probabilities: NDArray[np.float64], is_right: NDArray[np.float64], *, n_bins: int = N_BINS
) -> SumStatistic:
    """The calibration error as a function of sums, for the bootstrap; nan in either is left out.

    Columns: for each bin the gap (right - probability) of the examples in it, then presence.
    """
    is_there = ~np.isnan(probabilities) & ~np.isnan(is_right)
    rows = np.flatnonzero(is_there)
    columns = np.zeros((len(probabilities), n_bins + 1))
    columns[rows, _bins(probabilities[rows], n_bins)] = is_right[rows] - probabilities[rows]
    columns[rows, n_bins] = 1.0
    return SumStatistic(
        columns, lambda sums: ratios(np.abs(sums[..., :n_bins]).sum(axis=-1), sums[..., n_bins])
    )


def _bins(probabilities: NDArray[np.float64], n_bins: int) -> NDArray[np.intp]:
    """The bin of each probability, by the same edges as sklearn.calibration.calibration_curve."""
    inner_edges = np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    return np.searchsorted(inner_edges, probabilities)


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall of keeping the spans whose probability is at least each threshold."""

    precision: list[float]
    recall: list[float]
    threshold: list[float]


def precision_recall(
    probabilities: ArrayLike, is_right: ArrayLike, *, n_gold: int
) -> PrecisionRecallCurve:
    """The curve over thresholds; recall counts all gold, also what no candidate says.

    >>> precision_recall([0.9, 0.4], [True, True], n_gold=4).recall
    [0.5, 0.25]
    """
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=bool)
    if not right.any() or n_gold == 0:
        return PrecisionRecallCurve([], [], [])
    precision, recall, threshold = precision_recall_curve(right, p)
    share_reached = right.sum() / n_gold
    return PrecisionRecallCurve(
        precision[:-1].tolist(), (recall[:-1] * share_reached).tolist(), threshold.tolist()
    )
