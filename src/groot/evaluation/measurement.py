"""Every number of one set of predictions.

docs/numbers.md lists the numbers with their formulas and says when each is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.evaluation import calibration, ranking
from groot.evaluation.corpus_metrics import (
    MICRO_PRECISION,
    MICRO_RECALL,
    CorpusMetric,
    MicroF,
    ratios,
)
from groot.evaluation.intervals import Interval
from groot.evaluation.significance import (
    SumStatistic,
    bootstrap_intervals,
    mean_of,
    metric_of,
)
from groot.types import Task

MODES = {
    "spans": "exact spans: start, end and label equal; malformed output predicts nothing",
    "classes": "sets of classes; malformed output predicts nothing",
    "text": "exact match of the whole text",
}
MICRO: dict[str, CorpusMetric] = {
    "precision": MICRO_PRECISION,
    "recall": MICRO_RECALL,
    "f1": MicroF(1.0),
}


@dataclass(frozen=True)
class Measurement:
    """What was seen example by example; `summary()` makes the numbers of it.

    Args:
        ids: of the N examples.
        task: spans, classes or text.
        k: how many ranks are looked at.
        metric: the reward's form over the whole set, or None where it has none.
        scheme: tag scheme of the data, printed beside the scores; None where there is none.
        reward: name of the reward that the candidates were given; "" where it is not known.
        labels: every label of the gold or of a rank 1 prediction, sorted.
        counts: [N, labels, 3] of the rank 1 candidate; 0 where an example has no gold.
        exact: [N] 1.0 or 0.0; nan where an example has no gold.
        rewards: [N, k] by rank; nan where missing.
        orders: [N, 2] reciprocal rank of the best, Kendall's tau; nan where undefined.
        probability: [N] the model's own of the rank 1 candidate; nan where not scored.
        tallies: plain numbers of examples and candidates: how many are malformed, and so on.
        items: [M, 2] marginal probability of each span (or class) that a candidate says,
            and 1.0 where it is gold.
        seed: of the resampling.
        is_duplicate: [N] whether the text of an example stands among the training texts as well;
            None where nobody looked.
    """

    ids: tuple[str, ...]
    task: Task
    k: int
    metric: CorpusMetric | None
    scheme: str | None
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    exact: NDArray[np.float64]
    rewards: NDArray[np.float64]
    orders: NDArray[np.float64]
    probability: NDArray[np.float64]
    tallies: Mapping[str, int]
    items: NDArray[np.float64]
    seed: int = 0
    reward: str = ""
    is_duplicate: NDArray[np.bool_] | None = None

    @property
    def total_counts(self) -> NDArray[np.int64]:
        """[N, 3] over all labels."""
        return self.counts.sum(axis=1)

    @property
    def likeliest(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability of rank 1 and whether it is exactly right, of the texts that have both."""
        is_there = ~np.isnan(self.probability) & ~np.isnan(self.exact)
        return self.probability[is_there], self.exact[is_there]

    def duplicates(self) -> dict[str, Any] | None:
        """How many texts stand among the training texts, and the numbers without these.

        None where nobody looked.
        """
        if self.is_duplicate is None:
            return None
        names = {name: name for name in ("precision", "recall", "f1", "exact", "metric")}
        names |= {"reward_rank_1": "reward.1"}
        statistics, is_fresh = self.statistics(), ~self.is_duplicate
        return {
            "texts": int(self.is_duplicate.sum()),
            "without": {
                "n_examples": int(is_fresh.sum()),
                **{
                    shown: _or_none(statistics[name].of(is_fresh).estimate())
                    for shown, name in names.items()
                    if name in statistics
                },
            },
        }

    def statistics(self) -> dict[str, SumStatistic]:
        """The numbers that follow from sums over examples, by a dotted name."""
        numbers = {name: metric_of(self.total_counts, micro) for name, micro in MICRO.items()}
        if self.metric is not None:
            numbers["metric"] = metric_of(self.total_counts, self.metric)
        has_gold = self.counts[..., [0, 2]].sum(axis=(0, 2)) > 0  # [labels]
        for name, micro in MICRO.items():
            numbers[f"macro.{name}"] = _macro_of(self.counts[:, has_gold], micro)
        numbers["exact"] = mean_of(self.exact)
        for rank in range(self.k):
            numbers[f"reward.{rank + 1}"] = mean_of(self.rewards[:, rank])
        numbers["reward.mean_top_k"] = mean_of(of_each(self.rewards, ranking.mean_of_top))
        numbers["reward.oracle"] = mean_of(of_each(self.rewards, ranking.oracle))
        numbers["reciprocal_rank"] = mean_of(self.orders[:, 0])
        numbers["kendall_tau"] = mean_of(self.orders[:, 1])
        for place, label in enumerate(self.labels):
            for name, micro in MICRO.items():
                numbers[f"label.{name}.{label}"] = metric_of(self.counts[:, place], micro)
        return numbers

    def summary(self, *, n_resamples: int = 2000) -> dict[str, Any]:
        """The numbers as JSON-ready dictionaries; None is undefined.

        Args:
            n_resamples: of the bootstrap; 0 leaves the intervals out, which is faster.
        """
        numbers = self.statistics()
        value = {name: _or_none(statistic.estimate()) for name, statistic in numbers.items()}
        intervals = (
            bootstrap_intervals(numbers, seed=self.seed, n_resamples=n_resamples)
            if n_resamples
            else dict[str, Interval | None]()
        )

        def ends(name: str) -> list[float] | None:
            interval = intervals.get(name)
            return None if interval is None else list(interval)

        plain = ("precision", "recall", "f1", "exact")
        ranks = range(1, self.k + 1)
        result: dict[str, Any] = {
            **{name: value[name] for name in plain},
            "malformed": self.tallies["malformed"],
            "reward": {
                "by_rank": [value[f"reward.{rank}"] for rank in ranks],
                "mean_top_k": value["reward.mean_top_k"],
                "oracle": value["reward.oracle"],
            },
            "calibration_error": calibration.calibration_error(*self.likeliest),
            "calibration_error_of_chance": _as_json(
                calibration.calibration_error_of_chance(self.likeliest[0], seed=self.seed)
            ),
            "metric": value.get("metric"),
            "metric_name": None if self.metric is None else self.metric.name,
            "macro": {name: value[f"macro.{name}"] for name in MICRO},
            "reciprocal_rank": value["reciprocal_rank"],
            "kendall_tau": value["kendall_tau"],
            "per_label": {
                label: {
                    **{name: value[f"label.{name}.{label}"] for name in MICRO},
                    "gold": int(right + missed),
                    "predicted": int(right + wrong),
                    "right": int(right),
                    "intervals": {name: ends(f"label.{name}.{label}") for name in MICRO},
                }
                for label, (right, wrong, missed) in zip(
                    self.labels, self.counts.sum(axis=0).tolist(), strict=True
                )
            },
            "intervals": {
                **{name: ends(name) for name in plain},
                "metric": ends("metric"),
                "macro": {name: ends(f"macro.{name}") for name in MICRO},
                "reward": {
                    "by_rank": [ends(f"reward.{rank}") for rank in ranks],
                    "mean_top_k": ends("reward.mean_top_k"),
                    "oracle": ends("reward.oracle"),
                },
                "reciprocal_rank": ends("reciprocal_rank"),
                "kendall_tau": ends("kendall_tau"),
            },
            "reward_name": self.reward or None,
            "span_calibration_error": calibration.calibration_error(
                self.items[:, 0], self.items[:, 1]
            ),
            "duplicates": self.duplicates(),
            "tallies": dict(self.tallies),
            "n_examples": len(self.ids),
            "k": self.k,
            "task": self.task,
            "scheme": self.scheme,
            "mode": MODES[self.task],
        }
        return result


def of_each(
    rewards: NDArray[np.float64], number: Callable[[ranking.Rewards, int], float | None]
) -> NDArray[np.float64]:
    """A number of the rewards of each example: [N, k] to [N]."""
    k = rewards.shape[1]
    rows = [[None if math.isnan(reward) else reward for reward in row] for row in rewards.tolist()]
    return np.array([number(row, k) for row in rows], dtype=float)  # None becomes nan


def _macro_of(counts: NDArray[np.int64], metric: CorpusMetric) -> SumStatistic:
    """Mean of a metric over the labels [N, labels, 3] for which it is defined."""
    n_labels = counts.shape[1]

    def value(sums: NDArray[Any]) -> NDArray[np.float64]:
        values = metric.over(sums.reshape(*sums.shape[:-1], n_labels, 3))
        is_defined = ~np.isnan(values)
        return ratios(np.where(is_defined, values, 0.0).sum(axis=-1), is_defined.sum(axis=-1))

    return SumStatistic(counts.reshape(len(counts), n_labels * 3).astype(float), value)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _as_json(chance: calibration.ErrorOfChance | None) -> dict[str, float] | None:
    return None if chance is None else chance._asdict()
