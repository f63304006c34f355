"""RAD: steering by a causal reward model that learnt the final reward from every prefix."""

from __future__ import annotations

from groot.guides.rewarded import RewardGuide


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
    usual_candidates = 20

    @classmethod
    def usual_weight(cls, temperature: float) -> float:
        """Within the source's 10 to 50."""
        return 10.0
