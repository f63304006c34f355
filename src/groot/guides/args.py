"""ARGS: steering by a reward model of whole texts."""

from __future__ import annotations

from groot.guides.rewarded import RewardGuide


class Args(RewardGuide):
    """log p + weight * r_full(prefix + token), greedy.

    A reward model that was trained on whole texts may say anything about prefixes; `Pargs` has one
    that was trained on them.

    Source: Khanov, Burapacheep and Li, ARGS: Alignment as Reward-Guided Search, 2024; their raw
    logits are log-probabilities here, which changes nothing in a softmax.
    """

    name = "args"
    title = "ARGS"
    kinds = ("sequence",)
    usual_temperature = 0.0
