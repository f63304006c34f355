"""Controlled decoding: steering by the expected final reward of what goes on from a prefix."""

from __future__ import annotations

from groot.guides.rewarded import RewardGuide


class Cd(RewardGuide):
    """log p + weight * V(prefix + token), V being the mean final reward of the continuations.

    With `transform="log_sigmoid"` and a value that is the logit of a class, this is FUDGE.

    Source: Mudgal et al., Controlled Decoding from Language Models, 2023; Yang and Klein, FUDGE:
    Controlled Text Generation With Future Discriminators, 2021. Only the most probable tokens are
    scored, as in FUDGE.
    """

    name = "cd"
    title = "CD"
    kinds = ("value",)
