"""The paired comparison of two sets of predictions for the same examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from groot.errors import DataError
from groot.evaluation import ranking
from groot.evaluation.corpus_metrics import CorpusMetric
from groot.evaluation.measurement import MICRO, Measurement, of_each
from groot.evaluation.significance import (
    UNDEFINED,
    PairedDifference,
    SumStatistic,
    mean_of,
    metric_of,
    paired_difference,
)

# What a run calls the set that its final numbers come from, and what is to be said of it.
CHOOSING_SPLIT = "dev"


def measured_on(split: str | None) -> str:
    """The set that the final numbers of a run come from, in words.

    >>> measured_on("test"), measured_on("dev"), measured_on(None)
    ('test', 'dev, which chose the weights', 'evaluation')
    """
    if split == CHOOSING_SPLIT:
        return f"{split}, which chose the weights"
    return split or "evaluation"


def compare(
    before: Measurement,
    after: Measurement,
    *,
    is_tested: bool = True,
    seed: int = 0,
    n_resamples: int = 2000,
    n_permutations: int = 9999,
) -> dict[str, dict[str, float | None]]:
    """after - before on the same examples, with 95 % intervals and two-sided p-values.

    The rewards compare the examples for which both sides have one. Micro metrics are computed
    anew from the summed counts of every resample.

    Args:
        is_tested: False where the examples chose one of the two, as a dev set chooses weights: a
            test on what chose finds a difference where there is none. Intervals and p-values are
            None then.

    Raises:
        DataError: if the two do not hold the same examples, or were measured with different
            rewards.
    """
    if before.reward and after.reward and before.reward != after.reward:
        raise DataError(
            f"the first was measured with reward {before.reward}, the second with {after.reward}:"
            " numbers of different rewards cannot be compared. Measure both with one reward."
        )
    order = _same_order(before.ids, after.ids)
    k = min(before.k, after.k)

    def difference_of(old: SumStatistic, new: SumStatistic) -> PairedDifference:
        if not is_tested:
            difference = new.estimate() - old.estimate()
            return PairedDifference(None if np.isnan(difference) else difference, None, None, None)
        return paired_difference(
            old, new, seed=seed, n_resamples=n_resamples, n_permutations=n_permutations
        )

    def reward(value: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> PairedDifference:
        old, new = value(before.rewards[:, :k]), value(after.rewards[order][:, :k])
        is_missing = np.isnan(old) | np.isnan(new)
        sides = [mean_of(np.where(is_missing, np.nan, side)) for side in (old, new)]
        return difference_of(*sides)

    def micro(metric: CorpusMetric | None) -> PairedDifference:
        if metric is None:
            return UNDEFINED
        return difference_of(
            metric_of(before.total_counts, metric), metric_of(after.total_counts[order], metric)
        )

    return {
        "reward_rank_1": reward(lambda rewards: rewards[:, 0])._asdict(),
        "reward_top_k_mean": reward(
            lambda rewards: of_each(rewards, ranking.mean_of_top)
        )._asdict(),
        "metric": micro(after.metric)._asdict(),
        "f1": micro(MICRO["f1"])._asdict(),
    }


def _same_order(before: Sequence[str], after: Sequence[str]) -> list[int]:
    """Where each id of before stands in after."""
    if tuple(before) == tuple(after):
        return list(range(len(before)))
    lacking = sorted(set(before) ^ set(after))
    if lacking:
        raise DataError(
            f"the two sets of predictions hold different examples: {len(before)} and {len(after)}; "
            f"{lacking[0]!r} is in one of them only. Predict the same data with both."
        )
    if len(set(before)) < len(before) or len(set(after)) < len(after):
        raise DataError(
            "the two sets of predictions are in different orders, and ids repeat within them, so "
            "examples cannot be paired. Give each example its own id."
        )
    place_of = {each: place for place, each in enumerate(after)}
    return [place_of[each] for each in before]
