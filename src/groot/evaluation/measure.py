"""From examples and their candidates to a measurement: what was seen example by example."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from groot.errors import ShapeError
from groot.evaluation import ranking
from groot.evaluation.corpus_metrics import CorpusMetric
from groot.evaluation.measurement import Measurement
from groot.outputs.items import Counts, count_by_label, gold_of, is_exact, task_of
from groot.outputs.marginals import candidate_probability, item_shares
from groot.types import Candidate, Example, Gold, Task


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
    by_label = [count_by_label(gold, first) for gold, first in zip(golds, firsts, strict=True)]
    labels = tuple(sorted({label for counted in by_label for label in counted}))
    rewards = [[_reward_of(candidate) for candidate in ranked[:k]] for ranked in candidates]
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
                math.nan if gold is None else float(is_exact(gold, first))
                for gold, first in zip(golds, firsts, strict=True)
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


def _table(by_label: Sequence[Mapping[str, Counts]], labels: Sequence[str]) -> NDArray[np.int64]:
    place_of = {label: place for place, label in enumerate(labels)}
    table = np.zeros((len(by_label), len(labels), 3), dtype=np.int64)
    for row, counts in enumerate(by_label):
        for label, counted in counts.items():
            table[row, place_of[label]] = tuple(counted)
    return table


def _reward_of(candidate: Candidate) -> float | None:
    reward = candidate.reward
    return None if reward is None or math.isnan(reward) else float(reward)


def _tallies(
    golds: Sequence[Gold | None], candidates: Sequence[Sequence[Candidate]], k: int
) -> dict[str, int]:
    looked_at = [candidate for ranked in candidates for candidate in ranked[:k]]
    is_empty = [isinstance(gold, tuple) and not gold for gold in golds]
    says = [bool(ranked and ranked[0].output) for ranked in candidates]
    return {
        "malformed": sum(bool(ranked) and ranked[0].is_malformed for ranked in candidates),
        "without_candidates": sum(not ranked for ranked in candidates),
        "without_gold": sum(gold is None for gold in golds),
        "empty_gold": sum(is_empty),
        "false_alarms": sum(map(bool.__and__, is_empty, says)),
        "candidates": len(looked_at),
        "malformed_candidates": sum(candidate.is_malformed for candidate in looked_at),
        "missing_rewards": sum(_reward_of(candidate) is None for candidate in looked_at),
    }


def _items(
    golds: Sequence[Gold | None], candidates: Sequence[Sequence[Candidate]]
) -> NDArray[np.float64]:
    pairs = [
        (probability, float(item in gold))
        for gold, ranked in zip(golds, candidates, strict=True)
        if isinstance(gold, tuple) and any(candidate.log_p is not None for candidate in ranked)
        for item, probability in item_shares(ranked).items()
    ]
    return np.array(pairs, dtype=float).reshape(-1, 2)


def _numbers(rows: Sequence[Sequence[float | None]], width: int) -> NDArray[np.float64]:
    """Rows of numbers as an array; None becomes nan."""
    return np.array(rows, dtype=float).reshape(-1, width)
