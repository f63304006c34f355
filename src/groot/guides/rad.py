"""RAD: steering by a causal reward model that learnt the final reward from every prefix."""

from __future__ import annotations

from groot.guides.guide import StepReward
from groot.guides.rewarded import RewardGuide, Transform


class Rad(RewardGuide):
    """log p + weight * r(prefix + token), r trained with more weight on late prefixes.

    Args:
        weight: the source's beta; it uses 10 to 50 for rewards in [0, 1].

    Source: Deng and Raffel, Reward-Augmented Decoding, 2023. Rewards are not clipped to [0, 1]:
    clipping hides a reward model with another scale.
    """

    name = "rad"
    title = "RAD"
    kinds = ("rad",)

    def __init__(
        self,
        model: StepReward,
        *,
        weight: float = 10.0,
        n_candidates: int = 20,
        transform: Transform = "none",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(
            model,
            weight=weight,
            n_candidates=n_candidates,
            transform=transform,
            temperature=temperature,
        )
