"""Whether a probability means what it says: reliability curves and the calibration error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_BINS = 10
DRAWS = 199  # of outcomes, for the calibration error of chance


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
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=float)
    bins = _bins(p, n_bins)
    sizes = np.bincount(bins, minlength=n_bins)
    is_filled = sizes > 0
    mean, share = (
        (np.bincount(bins, weights=values, minlength=n_bins)[is_filled] / sizes[is_filled]).tolist()
        for values in (p, right)
    )
    return ReliabilityCurve(mean, share, sizes[is_filled].tolist())


def calibration_error(
    probabilities: ArrayLike, is_right: ArrayLike, *, n_bins: int = N_BINS
) -> float | None:
    """Expected calibration error: mean over examples of the gap between probability and truth.

        sum over bins of (count / N) * |share right - mean probability|

    It is above 0 for true probabilities too, by the accident of few examples, and a bootstrap moves
    it further up; so it has no interval. `calibration_error_of_chance` says what accident gives.
    None where nothing is given.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian
    Binning, 2015; bins of equal width.

    >>> calibration_error([0.75, 0.75, 0.75, 0.75], [True, True, True, False])
    0.0
    """
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=float)
    return _mean_gap(_bins(p, n_bins), right - p) if p.size else None


class ErrorOfChance(NamedTuple):
    """The calibration error that true probabilities have by the accident of few examples.

    Args:
        mean: over drawn outcomes.
        high: true probabilities have a higher calibration error in 5 of 100 data sets.
    """

    mean: float
    high: float


def calibration_error_of_chance(
    probabilities: ArrayLike, *, n_bins: int = N_BINS, seed: int = 0
) -> ErrorOfChance | None:
    """The calibration error that these probabilities would have if every one of them were true.

    Outcomes are drawn by the very probabilities, independently of each other, `DRAWS` times. None
    where nothing is given.

    Source: Bröcker and Smith, Increasing the Reliability of Reliability Diagrams, 2007:
    consistency resampling. With 199 draws the 190th is a bound of level 5 %, exactly.

    >>> calibration_error_of_chance([1.0, 0.0])
    ErrorOfChance(mean=0.0, high=0.0)
    """
    p = np.asarray(probabilities, dtype=float)
    if not p.size:
        return None
    rng, bins = np.random.default_rng(seed), _bins(p, n_bins)
    errors = sorted(_mean_gap(bins, (rng.random(len(p)) < p) - p) for _ in range(DRAWS))
    return ErrorOfChance(sum(errors) / DRAWS, errors[round(0.95 * (DRAWS + 1)) - 1])


def _mean_gap(bins: NDArray[np.intp], gaps: NDArray[np.float64]) -> float:
    """Mean over N gaps, right - probability, of the size of the mean gap of their bins."""
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(gaps))


def _bins(probabilities: NDArray[np.float64], n_bins: int) -> NDArray[np.intp]:
    """The bin of each probability: (0, 0.1] and so on, 0 in the first."""
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
    from sklearn.metrics import precision_recall_curve  # slow to import, and few need it

    if not right.any() or n_gold == 0:
        return PrecisionRecallCurve([], [], [])
    precision, recall, threshold = precision_recall_curve(right, p)
    share_reached = right.sum() / n_gold
    return PrecisionRecallCurve(
        precision[:-1].tolist(), (recall[:-1] * share_reached).tolist(), threshold.tolist()
    )
