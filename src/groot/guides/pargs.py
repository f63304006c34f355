"""PARGS: steering by a reward model of partial texts."""

from __future__ import annotations

from groot.guides.rewarded import RewardGuide


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

    @classmethod
    def usual_weight(cls, temperature: float) -> float:
        """The source's: 2 for sampling, 1 for greedy."""
        return 2.0 if temperature > 0 else 1.0


class PargsGreedy(Pargs):
    """PARGS that takes the best token each time, with the source's weight for that.

    Source: Rashid et al., A Critical Look At Tokenwise Reward-Guided Text Generation, 2024.
    """

    name = "pargs_greedy"
    title = "PARGS-greedy"
    usual_temperature = 0.0

    @classmethod
    def usual_weight(cls, temperature: float) -> float:
        """The source's for greedy, at any temperature."""
        return 1.0
