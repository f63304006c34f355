"""Confidence intervals, and the exact ones of a share by the binomial distribution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from groot.errors import ConfigError


class Interval(NamedTuple):
    """The two ends of a confidence interval, 95 % unless something else is said."""

    low: float
    high: float


def binomial_interval(right: int, n: int, *, confidence: float = 0.95) -> Interval | None:
    """The exact two-sided interval of a share (Clopper and Pearson, 1934); None where n is 0.

    >>> [round(end, 3) for end in binomial_interval(9, 10)]
    [0.555, 0.997]
    """
    if n == 0:
        return None
    rest = (1 - confidence) / 2
    return Interval(float(lower_bound(right, n, rest)), 1 - float(lower_bound(n - right, n, rest)))


def lower_bound(right: ArrayLike, n: ArrayLike, error: float) -> NDArray[np.float64]:
    """What a share is at least, but for a chance of `error`: Clopper and Pearson's, one-sided.

    >>> float(lower_bound(59, 59, 0.05).round(3))
    0.95
    """
    r, of = np.asarray(right, dtype=float), np.asarray(n, dtype=float)
    bounds = beta.ppf(error, np.maximum(r, 1e-300), of - r + 1)
    shown: NDArray[np.float64] = np.where(r > 0, bounds, 0.0)
    return shown


def check_confidence(confidence: float) -> None:
    """Raise ConfigError where it is no share between 0 and 1.

    >>> check_confidence(0.95)
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}; it must lie between 0 and 1.")
