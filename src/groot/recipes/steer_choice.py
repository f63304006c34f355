"""How a guide is used, chosen on few texts, and by which texts it may be judged.

The numbers that chose a setting flatter it: of sixty settings that know nothing, one looks good on
the texts at hand. Leaving out each fold in turn does not mend that: the folds share what they
learnt from, so that their gains rise and fall together, and of a reward that is pure noise one
p-value in eight is below 0.05. So the texts come in folds, one after another, and each fold is
judged by what was learnt and chosen on the folds before it. No judgement depends on a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groot.outputs.choose import Choice

Mask = NDArray[np.bool_]
Rewards = NDArray[np.float64]


class Steering(NamedTuple):
    """A way to steer: penalty on the head, weight of the guide, and which candidate comes first."""

    strength: float
    weight: float
    choose: Choice


def fold_of_each(texts: Sequence[Hashable], n_folds: int) -> NDArray[np.int64]:
    """The fold [N] of each text; equal texts share one, so that none is judged by its twin.

    >>> fold_of_each(["play", "stop", "play", "go", "on"], 3).tolist()
    [0, 1, 0, 2, 0]
    """
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(text, len(places)) % n_folds for text in texts])


def cautious_choice(rewards: Mapping[Steering, Rewards], unguided: Rewards) -> Steering:
    """Of all ways within one standard error of the best mean: the lightest weight, then the best.

    Few texts tell the best from the second best by chance, and texts of tomorrow are never quite
    like them.

    Args:
        rewards: [N] reward of each text under each way.
        unguided: [N] reward of each text; the standard error is that of what the best way gains.

    Source: the one-standard-error rule, Breiman et al., Classification and Regression Trees (1984).
    """
    means = {way: float(values.mean()) for way, values in rewards.items()}
    best = max(means, key=lambda way: means[way])
    gains = rewards[best] - unguided
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5
    close = [way for way in means if means[way] >= means[best] - error]
    lightest = min(way.weight for way in close)
    return max((way for way in close if way.weight == lightest), key=lambda way: means[way])


def judged_by_the_past(
    fold_of: NDArray[np.int64], first_after: Callable[[Mask], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Which candidate [N] of each text comes first under what the folds before its own taught.

    Args:
        fold_of: [N] the fold of each text, from 0. Those of fold 0 have no past; they get -1.
        first_after: of a mask [N] of texts to learn from and to choose on, the candidate [N] of
            each text that comes first then.

    Source: Blum, Kalai and Langford, Beating the Hold-Out: Bounds for K-fold and Progressive
    Cross-Validation (1999).
    """
    judged = np.full(len(fold_of), -1)
    for fold in range(1, int(fold_of.max()) + 1):
        is_now = fold_of == fold
        judged[is_now] = first_after(fold_of < fold)[is_now]
    return judged
