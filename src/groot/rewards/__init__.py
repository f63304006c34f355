"""Rewards: a number for each candidate, higher is better; missing is missing, never 0.

A reward is any function of the form `f(example, candidates) -> list[float | None]`. The table
holds ours; `parse_rewards` also takes any beta (`f0.25`), a cost table (`costs.yaml`) and a
function of the user's own (`package.module:function`, `path/file.py:function`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from groot.registry import Registry
from groot.rewards.call_settings import CallSettings
from groot.rewards.compose import Reward, Scores
from groot.rewards.exact import Exact
from groot.rewards.free_text import TextReward
from groot.rewards.native import NativeReward
from groot.rewards.overlap import FBeta
from groot.rewards.parse import parse_rewards, refuse_code
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
    "  For free text: length:4-12, wanted_words:book, forbidden_words:damn, distinct:2,"
    " labeler_judge:DIR\n"
    "  Your own function: my_package.my_module:my_function or path/to/file.py:my_function",
)

# Each makes a reward of free text from what is typed behind its name and a colon.
TEXT_REWARDS: Registry[Callable[[str], TextReward]] = Registry(
    "reward of free text",
    {
        "length": "groot.rewards.length:make_length",
        "wanted_words": "groot.rewards.word_lists:make_wanted_words",
        "forbidden_words": "groot.rewards.word_lists:make_forbidden_words",
        "distinct": "groot.rewards.distinct:make_distinct",
        "labeler_judge": "groot.rewards.labeler_judge:make_labeler_judge",
    },
)

__all__ = [
    "REWARDS",
    "TEXT_REWARDS",
    "CallSettings",
    "FBeta",
    "NativeReward",
    "Reward",
    "Scores",
    "TextReward",
    "parse_rewards",
    "refuse_code",
]
