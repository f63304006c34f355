"""Rewards: a number for each candidate, higher is better; missing is missing, never 0.

A reward is any function of the form `f(example, candidates) -> list[float | None]`. The table
holds ours; `parse_rewards` also takes any beta (`f0.25`), a cost table (`costs.yaml`) and a
function of the user's own (`package.module:function`, `path/file.py:function`).
"""

from __future__ import annotations

import math

from groot.registry import Registry
from groot.rewards.compose import Reward, Scores
from groot.rewards.exact import Exact
from groot.rewards.native import NativeReward
from groot.rewards.overlap import FBeta
from groot.rewards.parse import parse_rewards
from groot.rewards.token_accuracy import token_accuracy

REWARDS: Registry[NativeReward] = Registry(
    "reward",
    {
        "f0.5": FBeta(0.5),
        "f1": FBeta(1.0),
        "f2": FBeta(2.0),
        "precision": FBeta(0.0),
        "recall": FBeta(math.inf),
        "exact": Exact(),
        "exact_match": Exact(),
        "token_accuracy": token_accuracy,
        "class_accuracy": Exact(of="classes"),
        "class_f1": FBeta(1.0, of="classes"),
        "class_precision": FBeta(0.0, of="classes"),
        "class_recall": FBeta(math.inf, of="classes"),
    },
    hint="Any other beta works too: f0.25, class_f2. Costs per label: a YAML file, costs.yaml.\n"
    "  Your own function: my_package.my_module:my_function or path/to/file.py:my_function",
)

__all__ = ["REWARDS", "FBeta", "NativeReward", "Reward", "Scores", "parse_rewards"]
