"""Objectives: log_p and rewards of candidates in, one loss per example out. Pure functions.

Every objective is called as `objective(log_p, rewards, is_real, **settings)` with tensors [B, K];
those of reward models as `objective(pair, **settings)` with `PairRewards`, the rewards [B, T] of
all prefixes of two outputs.
"""

from collections.abc import Callable

from torch import Tensor

from groot.objectives.expected import mrt
from groot.objectives.matching import reward_match
from groot.objectives.pairs import pair_logistic, pair_margin, pair_square
from groot.objectives.policy import dpo, grpo
from groot.objectives.preferences import (
    PairRewards,
    bradley_terry,
    cumulative_squared,
    max_consistency,
    partial_bradley_terry,
    value_regression,
)
from groot.registry import Registry

OBJECTIVES: Registry[Callable[..., Tensor]] = Registry(
    "objective",
    {
        "pair_margin": pair_margin,
        "pair_square": pair_square,
        "pair_logistic": pair_logistic,
        "reward_match": reward_match,
        "mrt": mrt,
        "dpo": dpo,
        "grpo": grpo,
    },
)

REWARD_OBJECTIVES: Registry[Callable[..., Tensor]] = Registry(
    "reward objective",
    {
        "bradley_terry": bradley_terry,
        "partial_bradley_terry": partial_bradley_terry,
        "value_regression": value_regression,
        "cumulative_squared": cumulative_squared,
        "max_consistency": max_consistency,
    },
)

__all__ = [
    "OBJECTIVES",
    "REWARD_OBJECTIVES",
    "PairRewards",
    "bradley_terry",
    "cumulative_squared",
    "dpo",
    "grpo",
    "max_consistency",
    "mrt",
    "pair_logistic",
    "pair_margin",
    "pair_square",
    "partial_bradley_terry",
    "reward_match",
    "value_regression",
]
