"""Objectives: log_p and rewards of candidates in, one loss per example out. Pure functions.

Every objective is called as `objective(log_p, rewards, is_real, **settings)` with tensors [B, K].
"""

from collections.abc import Callable

from torch import Tensor

from groot.objectives.expected import mrt
from groot.objectives.matching import reward_match
from groot.objectives.pairs import pair_logistic, pair_margin, pair_square
from groot.registry import Registry

OBJECTIVES: Registry[Callable[..., Tensor]] = Registry(
    "objective",
    {
        "pair_margin": pair_margin,
        "pair_square": pair_square,
        "pair_logistic": pair_logistic,
        "reward_match": reward_match,
        "mrt": mrt,
    },
)

__all__ = ["OBJECTIVES", "mrt", "pair_logistic", "pair_margin", "pair_square", "reward_match"]
