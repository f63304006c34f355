"""What a guide gains, of texts that it neither learnt from nor was chosen on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from groot.evaluation.corpus_metrics import CorpusMetric
from groot.evaluation.significance import (
    PairedDifference,
    SumStatistic,
    mean_of,
    metric_of,
    paired_difference,
)
from groot.recipes.steer_candidates import SteerTable
from groot.recipes.steer_learning import CHOICES, Lesson, rewards_of

SIGNIFICANT = 0.05  # p-values below this count as a gain


def judged_numbers(table: SteerTable, first: Tensor, metric: CorpusMetric | None) -> dict[str, Any]:
    """Numbers unguided and guided, and their difference, of the texts that could be judged.

    Args:
        table: the candidates of N texts.
        first: [N] which candidate comes first under a guide, see `judge`; -1 is left out.
        metric: what is reported beside the reward; None where there is none.
    """
    is_judged = first >= 0
    judged, guided = table.of_texts(is_judged), first[is_judged]
    after = _statistics(judged, guided, metric)
    before = {
        choose: _statistics(judged, judged.first(judged.log_p, choose), metric)
        for choose in CHOICES
    }
    difference = {
        choose: {name: paired_difference(plain[name], after[name]) for name in after}
        for choose, plain in before.items()
    }
    return {
        "judged": len(guided),
        "unguided": {choose: _estimates(plain) for choose, plain in before.items()},
        "guided": _estimates(after),
        "difference": {
            choose: {name: moved._asdict() for name, moved in moves.items()}
            for choose, moves in difference.items()
        },
        "gains": is_gain(difference["top"]["reward"]),
        "gains_over_mbr": is_gain(difference["mbr"]["reward"]),
    }


def tried_numbers(
    table: SteerTable, lesson: Lesson, metric: CorpusMetric | None
) -> list[dict[str, Any]]:
    """The numbers of all ways that were tried, by which the guide was chosen."""
    return [
        way._asdict() | _estimates(_statistics(table, first, metric))
        for way, first in lesson.tried.items()
    ]


def _statistics(
    table: SteerTable, first: Tensor, metric: CorpusMetric | None
) -> dict[str, SumStatistic]:
    """Mean reward, and the metric where there is one, of the candidates [N] that come first."""
    numbers = {"reward": mean_of(rewards_of(table, first))}
    if metric is not None:
        counts = table.counts[torch.arange(len(first)), first]
        numbers["metric"] = metric_of(counts.numpy(), metric)
    return numbers


def _estimates(statistics: dict[str, SumStatistic]) -> dict[str, float]:
    return {name: number.estimate() for name, number in statistics.items()}


def is_gain(moved: PairedDifference) -> bool:
    """Whether a difference is above 0, and by more than chance explains.

    >>> is_gain(PairedDifference(0.02, 0.01, 0.03, 0.004))
    True
    >>> is_gain(PairedDifference(0.02, -0.01, 0.05, 0.21))
    False
    """
    if moved.difference is None or moved.p_value is None:
        return False
    return moved.difference > 0 and moved.p_value < SIGNIFICANT
