"""How sure a number is: bootstrap intervals and paired tests, with examples as the units.

Every number here follows from sums over examples (a mean is two sums, a micro F three), so a
resample needs no second look at the predictions: it is a row of weights times a table of columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from groot.errors import ShapeError
from groot.evaluation.corpus_metrics import CorpusMetric, ratios
from groot.evaluation.intervals import Interval

Sums = NDArray[Any]

# Resamples worked on at once: bounds memory at about BATCH * examples * 24 bytes.
BATCH = 500


class PairedDifference(NamedTuple):
    """after - before on the same examples; None wherever it is undefined.

    `low` and `high` come from the paired bootstrap, `p_value` (two-sided) from the permutation
    test that swaps before and after of random examples.
    """

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


UNDEFINED = PairedDifference(None, None, None, None)


@dataclass(frozen=True)
class SumStatistic:
    """A number that depends on the examples only through sums of columns over them.

    Args:
        columns: [N, C] what each example adds.
        value: from sums [..., C] to the number [...]; nan where it is undefined.

    >>> float(mean_of(np.array([1.0, 0.0, np.nan])).estimate())
    0.5
    """

    columns: NDArray[np.float64]
    value: Callable[[Sums], NDArray[np.float64]]

    def of(self, is_in: NDArray[np.bool_]) -> SumStatistic:
        """The same number of some of the examples; is_in: [N]."""
        return SumStatistic(self.columns[is_in], self.value)

    def estimate(self) -> float:
        """The number itself; nan where it is undefined."""
        return float(self.value(self.columns.sum(axis=0)))


def mean_of(values: NDArray[Any]) -> SumStatistic:
    """The mean of one value an example; nan is missing and left out, never counted as 0."""
    is_there = ~np.isnan(values)
    columns = np.stack([np.where(is_there, values, 0.0), is_there.astype(float)], axis=1)
    return SumStatistic(columns, lambda sums: ratios(sums[..., 0], sums[..., 1]))


def metric_of(counts: NDArray[Any], metric: CorpusMetric) -> SumStatistic:
    """A micro metric of the counts [N, 3] of the examples."""
    return SumStatistic(counts.astype(float), metric.over)


def bootstrap_intervals(
    statistics: Mapping[str, SumStatistic],
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> dict[str, Interval | None]:
    """Percentile bootstrap intervals of many numbers from the same resamples of the examples.

    Resamples in which a number is undefined (a rare label that was not drawn) are left out of its
    interval. None with fewer than 2 examples, where the number itself is undefined, or where it is
    undefined in more than half of the resamples.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; the
    resampling is scipy.stats.bootstrap.

    >>> bootstrap_intervals({"a": mean_of(np.array([0.0, 1.0, 0.0, 1.0]))}, seed=1)["a"].high
    1.0
    """
    if not statistics:
        return {}
    n_examples = _n_examples(statistics.values())
    if n_examples < 2:
        return dict.fromkeys(statistics)
    table = np.concatenate([statistic.columns for statistic in statistics.values()], axis=1)
    ends = np.cumsum([statistic.columns.shape[1] for statistic in statistics.values()])[:-1]

    def values(drawn: NDArray[Any], axis: int = -1) -> NDArray[np.float64]:
        sums = np.split(_weights(drawn, n_examples) @ table, ends, axis=-1)
        pairs = zip(statistics.values(), sums, strict=True)
        return np.stack([statistic.value(its_sums) for statistic, its_sums in pairs])

    with warnings.catch_warnings():
        # scipy warns of resamples in which a number is undefined; _percentiles deals with them.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        resampled = stats.bootstrap(
            (np.arange(n_examples),),
            values,
            vectorized=True,
            method="percentile",
            n_resamples=n_resamples,
            batch=BATCH,
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution  # [statistics, n_resamples]
    return {
        name: None if np.isnan(statistic.estimate()) else _percentiles(drawn, confidence)
        for (name, statistic), drawn in zip(statistics.items(), resampled, strict=True)
    }


def paired_difference(
    before: SumStatistic,
    after: SumStatistic,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    n_permutations: int = 9999,
    confidence: float = 0.95,
) -> PairedDifference:
    """after - before, its bootstrap interval and the p-value of a paired permutation test.

    Both hold the same examples in the same order. The test asks how often swapping before and
    after in random examples moves the difference as far from 0 as it is; with few examples scipy
    goes through all swaps and the p-value is exact. It is two-sided: twice the smaller tail.

    Raises:
        ShapeError: if the two have different numbers of examples or columns.

    Source: Fisher, The Design of Experiments, 1935, section 21, for the test;
    scipy.stats.permutation_test does it.
    """
    if before.columns.shape != after.columns.shape:
        raise ShapeError(
            f"before has columns {before.columns.shape}, after has {after.columns.shape}. "
            "A paired test needs the same examples on both sides."
        )
    n_columns = before.columns.shape[1]
    both = SumStatistic(
        np.concatenate([before.columns, after.columns], axis=1),
        lambda sums: after.value(sums[..., n_columns:]) - before.value(sums[..., :n_columns]),
    )
    difference = both.estimate()
    if np.isnan(difference):
        return UNDEFINED
    ends = bootstrap_intervals(
        {"difference": both}, seed=seed, n_resamples=n_resamples, confidence=confidence
    )["difference"]
    p_value = _swap_test(before, after, seed=seed, n_permutations=n_permutations)
    low, high = ends or (None, None)
    return PairedDifference(difference, low, high, p_value)


def _swap_test(
    before: SumStatistic, after: SumStatistic, *, seed: int, n_permutations: int
) -> float | None:
    n_examples = len(before.columns)
    if n_examples < 2:
        return None
    moved = after.columns - before.columns  # [N, C]
    sums_before, sums_after = before.columns.sum(axis=0), after.columns.sum(axis=0)
    if not moved.any():  # the two sides are equal: no swap changes anything
        return 1.0

    def swapped_difference(signs: NDArray[Any], axis: int = -1) -> NDArray[np.float64]:
        swap = (signs < 0).astype(float) @ moved  # [..., C] what moves from after to before
        return after.value(sums_after - swap) - before.value(sums_before + swap)

    result = stats.permutation_test(
        (np.ones(n_examples),),  # of a single sample, scipy flips the signs
        swapped_difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_permutations,
        batch=BATCH,
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    if np.isnan(result.null_distribution).any():
        return None
    return float(result.pvalue)


def _weights(drawn: NDArray[Any], n_examples: int) -> NDArray[np.float64]:
    """How often each example was drawn: from indices [..., N] to [..., n_examples]."""
    rows = np.asarray(drawn, dtype=np.intp).reshape(-1, drawn.shape[-1])
    cells = rows + np.arange(len(rows))[:, None] * n_examples
    weights = np.bincount(cells.ravel(), minlength=len(rows) * n_examples)
    return weights.reshape(*drawn.shape[:-1], n_examples).astype(float)


def _percentiles(drawn: NDArray[np.float64], confidence: float) -> Interval | None:
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < len(drawn) / 2:
        return None
    tail = 50 * (1 - confidence)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _n_examples(statistics: Iterable[SumStatistic]) -> int:
    sizes = {len(statistic.columns) for statistic in statistics}
    if len(sizes) > 1:
        raise ShapeError(f"statistics over different numbers of examples: {sorted(sizes)}.")
    return int(sizes.pop())
