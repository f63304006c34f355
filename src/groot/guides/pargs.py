"""PARGS: steering by a reward model of partial texts."""

from __future__ import annotations

from groot.guides.guide import StepReward
from groot.guides.rewarded import RewardGuide, Transform


class Pargs(RewardGuide):
    """log p + weight * r_part(prefix + token), with rewards learnt on prefixes of equal length.

    Its distribution is the ratio of two RLHF policies, over texts of i and of i - 1 tokens.

    Args:
        weight: nats per unit of reward; None takes the source's 2 for sampling, 1 for greedy.
        temperature: 1 samples, 0 is greedy.

    Source: Rashid et al., A Critical Look At Tokenwise Reward-Guided Text Generation, 2024.

    >>> from groot.models.embedded_text import make_text_model
    >>> from groot.reward_models.prefix_model import RewardModel
    >>> from groot.search.sampling import sample
    >>> model = make_text_model(["play it"], shape="causal", vocabulary_size=300, width=16, heads=2)
    >>> guide = Pargs(RewardModel(model, "partial"))
    >>> len(sample(model, [[3], [4]], max_new_tokens=4, seed=0, guide=guide))
    2
    """

    name = "pargs"
    title = "PARGS"
    kinds = ("partial", "additive")

    def __init__(
        self,
        model: StepReward,
        *,
        weight: float | None = None,
        n_candidates: int = 10,
        transform: Transform = "none",
        temperature: float = 1.0,
    ) -> None:
        if weight is None:
            weight = 2.0 if temperature > 0 else 1.0
        super().__init__(
            model,
            weight=weight,
            n_candidates=n_candidates,
            transform=transform,
            temperature=temperature,
        )


class PargsGreedy(Pargs):
    """PARGS that takes the best token each time, with the source's weight for that.

    Source: Rashid et al., A Critical Look At Tokenwise Reward-Guided Text Generation, 2024.
    """

    name = "pargs_greedy"
    title = "PARGS-greedy"

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
