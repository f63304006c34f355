"""Every number of one set of predictions, and the paired comparison of two sets.

docs/numbers.md lists the numbers with their formulas and says when each is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.errors import DataError, ShapeError
from groot.evaluation import calibration, ranking
from groot.evaluation.corpus_metrics import (
    CorpusMetric,
    MicroF,
    MicroPrecision,
    MicroRecall,
    ratios,
)
from groot.evaluation.significance import (
    UNDEFINED,
    Interval,
    PairedDifference,
    SumStatistic,
    bootstrap_intervals,
    mean_of,
    metric_of,
    paired_difference,
)
from groot.outputs.items import Counts, count_by_label, gold_of, is_exact, task_of
from groot.outputs.marginals import candidate_probability, item_shares
from groot.types import Candidate, Example, Gold, Task

MODES = {
    "spans": "exact spans: start, end and label equal; malformed output predicts nothing",
    "classes": "sets of classes; malformed output predicts nothing",
    "text": "exact match of the whole text",
}
MICRO: dict[str, CorpusMetric] = {
    "precision": MicroPrecision(),
    "recall": MicroRecall(),
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

    @property
    def total_counts(self) -> NDArray[np.int64]:
        """[N, 3] over all labels."""
        return self.counts.sum(axis=1)

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
        numbers["reward.mean_top_k"] = mean_of(_row(self.rewards, ranking.mean_of_top))
        numbers["reward.oracle"] = mean_of(_row(self.rewards, ranking.oracle))
        numbers["reciprocal_rank"] = mean_of(self.orders[:, 0])
        numbers["kendall_tau"] = mean_of(self.orders[:, 1])
        numbers["calibration_error"] = calibration.calibration_error_of(
            self.probability, self.exact
        )
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
        value = {name: _or_none(one.estimate()) for name, one in numbers.items()}
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
            "calibration_error": value["calibration_error"],
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
                "calibration_error": ends("calibration_error"),
            },
            "reward_name": self.reward or None,
            "span_calibration_error": calibration.calibration_error(
                self.items[:, 0], self.items[:, 1]
            ),
            "tallies": dict(self.tallies),
            "n_examples": len(self.ids),
            "k": self.k,
            "task": self.task,
            "scheme": self.scheme,
            "mode": MODES[self.task],
        }
        return result


def measure(
    examples: Sequence[Example],
    candidates: Sequence[Sequence[Candidate]],
    *,
    k: int,
    metric: CorpusMetric | None = None,
    reward: str = "",
    task: Task | None = None,
    scheme: str | None = None,
    seed: int = 0,
) -> Measurement:
    """Look at the predictions of a set once; the rewards must have been filled in before.

    Args:
        examples: with their gold. One without gold counts for the reward numbers only.
        candidates: of each example, in rank order: the first is the prediction.
        k: ranks to look at. An example with fewer candidates counts where it has some.
        metric: the reward's form over the whole set, as `reward.metric` gives it.
        reward: its name, as `reward.name` gives it; two measurements of different rewards are not
            compared.
        task: found from the candidates, or else from the gold, where it is not given.
        scheme: tag scheme to print beside the scores.
        seed: of the resampling.

    Raises:
        ShapeError: if examples and candidates differ in number, or k is below 1.

    >>> from groot.types import Span
    >>> example = Example("nina simone", spans=(Span(0, 11, "artist"),))
    >>> found = Candidate("<s0> artist <s1> I", (Span(0, 11, "artist"),), log_p=-0.1, reward=1.0)
    >>> measure([example], [[found]], k=1).summary(n_resamples=0)["f1"]
    1.0
    """
    if len(examples) != len(candidates):
        raise ShapeError(f"{len(examples)} examples but {len(candidates)} lists of candidates.")
    if k < 1:
        raise ShapeError(f"k is {k}; at least 1 rank is needed.")
    task = task or task_of(examples, candidates)
    firsts = [ranked[0].output if ranked else None for ranked in candidates]
    golds = [gold_of(example, task) for example in examples]
    by_label = [count_by_label(gold, said) for gold, said in zip(golds, firsts, strict=True)]
    labels = tuple(sorted({label for one in by_label for label in one}))
    rewards = [[_reward_of(one) for one in ranked[:k]] for ranked in candidates]
    return Measurement(
        ids=tuple(example.id for example in examples),
        task=task,
        k=k,
        metric=metric,
        scheme=scheme,
        labels=labels,
        counts=_table(by_label, labels),
        exact=np.array(
            [
                math.nan if gold is None else float(is_exact(gold, said))
                for gold, said in zip(golds, firsts, strict=True)
            ]
        ),
        rewards=_numbers([[*row, *[None] * (k - len(row))] for row in rewards], k),
        orders=_numbers(
            [
                [ranking.reciprocal_rank_of_best(row, k), ranking.kendall_tau(row, k)]
                for row in rewards
            ],
            2,
        ),
        probability=_numbers(
            [[candidate_probability(ranked[0]) if ranked else None] for ranked in candidates],
            1,
        )[:, 0],
        tallies=_tallies(golds, candidates, k),
        items=_items(golds, candidates),
        seed=seed,
        reward=reward,
    )


def compare(
    before: Measurement,
    after: Measurement,
    *,
    seed: int = 0,
    n_resamples: int = 2000,
    n_permutations: int = 9999,
) -> dict[str, dict[str, float | None]]:
    """after - before on the same examples, with 95 % intervals and two-sided p-values.

    The rewards compare the examples for which both sides have one. Micro metrics are computed
    anew from the summed counts of every resample.

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

    def paired(mine: SumStatistic, its: SumStatistic) -> PairedDifference:
        return paired_difference(
            mine, its, seed=seed, n_resamples=n_resamples, n_permutations=n_permutations
        )

    def reward(value: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> PairedDifference:
        mine, its = value(before.rewards[:, :k]), value(after.rewards[order][:, :k])
        missing = np.isnan(mine) | np.isnan(its)
        return paired(
            mean_of(np.where(missing, np.nan, mine)), mean_of(np.where(missing, np.nan, its))
        )

    def micro(metric: CorpusMetric | None) -> PairedDifference:
        if metric is None:
            return UNDEFINED
        return paired(
            metric_of(before.total_counts, metric), metric_of(after.total_counts[order], metric)
        )

    return {
        "reward_rank_1": reward(lambda rewards: rewards[:, 0])._asdict(),
        "reward_top_k_mean": reward(lambda rewards: _row(rewards, ranking.mean_of_top))._asdict(),
        "metric": micro(after.metric)._asdict(),
        "f1": micro(MICRO["f1"])._asdict(),
    }


def _table(by_label: Sequence[Mapping[str, Counts]], labels: Sequence[str]) -> NDArray[np.int64]:
    place_of = {label: place for place, label in enumerate(labels)}
    table = np.zeros((len(by_label), len(labels), 3), dtype=np.int64)
    for row, counts in enumerate(by_label):
        for label, one in counts.items():
            table[row, place_of[label]] = tuple(one)
    return table


def _reward_of(candidate: Candidate) -> float | None:
    reward = candidate.reward
    return None if reward is None or math.isnan(reward) else float(reward)


def _tallies(
    golds: Sequence[Gold | None], candidates: Sequence[Sequence[Candidate]], k: int
) -> dict[str, int]:
    looked_at = [one for ranked in candidates for one in ranked[:k]]
    is_empty = [isinstance(gold, tuple) and not gold for gold in golds]
    says = [bool(ranked and ranked[0].output) for ranked in candidates]
    return {
        "malformed": sum(bool(ranked) and ranked[0].is_malformed for ranked in candidates),
        "without_candidates": sum(not ranked for ranked in candidates),
        "without_gold": sum(gold is None for gold in golds),
        "empty_gold": sum(is_empty),
        "false_alarms": sum(map(bool.__and__, is_empty, says)),
        "candidates": len(looked_at),
        "malformed_candidates": sum(one.is_malformed for one in looked_at),
        "missing_rewards": sum(_reward_of(one) is None for one in looked_at),
    }


def _items(
    golds: Sequence[Gold | None], candidates: Sequence[Sequence[Candidate]]
) -> NDArray[np.float64]:
    pairs = [
        (probability, float(item in gold))
        for gold, ranked in zip(golds, candidates, strict=True)
        if isinstance(gold, tuple) and any(one.log_p is not None for one in ranked)
        for item, probability in item_shares(ranked).items()
    ]
    return np.array(pairs, dtype=float).reshape(-1, 2)


def _numbers(rows: Sequence[Sequence[float | None]], width: int) -> NDArray[np.float64]:
    """Rows of numbers as an array; None becomes nan."""
    return np.array(rows, dtype=float).reshape(-1, width)


def _row(
    rewards: NDArray[np.float64], number: Callable[[ranking.Rewards, int], float | None]
) -> NDArray[np.float64]:
    """A number of the rewards of each example: [N, k] to [N]."""
    k = rewards.shape[1]
    rows = [[None if math.isnan(one) else one for one in row] for row in rewards.tolist()]
    return _numbers([[number(row, k)] for row in rows], 1)[:, 0]


def _macro_of(counts: NDArray[np.int64], metric: CorpusMetric) -> SumStatistic:
    """Mean of a metric over the labels [N, labels, 3] for which it is defined."""
    n_labels = counts.shape[1]

    def value(sums: NDArray[Any]) -> NDArray[np.float64]:
        values = metric.over(sums.reshape(*sums.shape[:-1], n_labels, 3))
        is_defined = ~np.isnan(values)
        return ratios(np.where(is_defined, values, 0.0).sum(axis=-1), is_defined.sum(axis=-1))

    return SumStatistic(counts.reshape(len(counts), n_labels * 3).astype(float), value)


def _same_order(mine: Sequence[str], its: Sequence[str]) -> list[int]:
    """Where each of my ids stands among its ids."""
    if tuple(mine) == tuple(its):
        return list(range(len(mine)))
    lacking = sorted(set(mine) ^ set(its))
    if lacking:
        raise DataError(
            f"the two sets of predictions hold different examples: {len(mine)} and {len(its)}; "
            f"{lacking[0]!r} is in one of them only. Predict the same data with both."
        )
    if len(set(mine)) < len(mine) or len(set(its)) < len(its):
        raise DataError(
            "the two sets of predictions are in different orders, and ids repeat within them, so "
            "examples cannot be paired. Give each example its own id."
        )
    place_of = {one: place for place, one in enumerate(its)}
    return [place_of[one] for one in mine]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
