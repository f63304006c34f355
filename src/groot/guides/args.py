"""ARGS: steering by a reward model of whole texts."""

from __future__ import annotations

from groot.guides.guide import StepReward
from groot.guides.rewarded import RewardGuide, Transform


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

    def __init__(
        self,
        model: StepReward,
        *,
        weight: float = 1.0,
        n_candidates: int = 10,
        transform: Transform = "none",
        temperature: float = 0.0,
    ) -> None:
        super().__init__(
            model,
            weight=weight,
            n_candidates=n_candidates,
            transform=transform,
            temperature=temperature,
        )
