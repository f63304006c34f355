"""What a reward model knows about pairs: who wins, at which length, and how sure it should be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groot.evaluation.calibration import calibration_error, reliability_curve

N_TENTHS = 10


@dataclass(frozen=True, slots=True)
class PairScores:
    """The rewards of all prefixes of two outputs.

    Args:
        chosen: of the better output, one for each token.
        rejected: of the worse one.
        n_shared: tokens that the two begin with in common.
    """

    chosen: Sequence[float]
    rejected: Sequence[float]
    n_shared: int = 0

    def gap(self, length: int) -> float:
        """Reward of the better prefix less that of the worse one; an output ends where it ends."""
        at = length - 1
        return (
            self.chosen[min(at, len(self.chosen) - 1)]
            - self.rejected[min(at, len(self.rejected) - 1)]
        )


def pair_report(pairs: Sequence[PairScores]) -> dict[str, Any]:
    """Accuracy of pairs, whole and by the share of the length that was read, and calibration.

    Returns:
        n_pairs;
        accuracy: share of pairs whose better output has the higher reward; equal ones count half;
        by_tenth: for each tenth of the length of the longer output, rounded up, the accuracy on
            prefixes of that length and on how many pairs it is: pairs whose outputs are still the
            same there are left out;
        calibration: of sigmoid(gap in reward of whole outputs) as the probability of winning, each
            pair seen from both sides: probability, share_won and n of each bin, and the error.

    >>> report = pair_report([PairScores([0.0, 2.0], [0.0, 1.0], n_shared=1)])
    >>> report["accuracy"], report["by_tenth"][0]["n"], report["by_tenth"][9]["n"]
    (1.0, 0, 1)
    """
    wins = [_wins(pair.gap(_length(pair))) for pair in pairs]
    tenths = []
    for tenth in range(1, N_TENTHS + 1):
        of_tenth = []
        for pair in pairs:
            length = math.ceil(_length(pair) * tenth / N_TENTHS)
            if length > pair.n_shared:
                of_tenth.append(_wins(pair.gap(length)))
        tenths.append({"share": tenth / N_TENTHS, "accuracy": _mean(of_tenth), "n": len(of_tenth)})
    chances = [_sigmoid(pair.gap(_length(pair))) for pair in pairs]
    seen = [*chances, *(1 - chance for chance in chances)]
    won = [*(True for _ in chances), *(False for _ in chances)]
    curve = reliability_curve(seen, won)
    return {
        "n_pairs": len(pairs),
        "accuracy": _mean(wins),
        "by_tenth": tenths,
        "calibration": {
            "probability": curve.probability,
            "share_won": curve.share_right,
            "n": curve.n_in_bin,
            "error": calibration_error(seen, won),
        },
    }


def n_shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two outputs begin with in common.

    >>> n_shared([1, 2, 3], [1, 2, 4, 5])
    2
    """
    count = 0
    for first_token, second_token in zip(first, second, strict=False):
        if first_token != second_token:
            break
        count += 1
    return count


def _length(pair: PairScores) -> int:
    return max(len(pair.chosen), len(pair.rejected))


def _wins(gap: float) -> float:
    return 0.5 if gap == 0 else float(gap > 0)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
