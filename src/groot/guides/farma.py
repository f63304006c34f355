"""FaRMA: steering by a reward model that scores the whole vocabulary in one call."""

from __future__ import annotations

from groot.guides.rewarded import RewardGuide


class Farma(RewardGuide):
    """log p + weight * R(prefix)[token]: the reward model reads one token per step, not k.

    The reward is added to the most probable tokens of the language model only: most tokens never
    get a gradient at the reward head, so theirs mean nothing.

    Source: Rashid et al., Towards Cost-Effective Reward Guided Text Generation, 2025; there the
    reward is added to all tokens before the cut.
    """

    name = "farma"
    title = "FaRMA"
    kinds = ("vocabulary",)
