"""Best of n: the sample with the highest reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import torch

from groot.errors import ConfigError, RewardError
from groot.guides.guide import Chooser, ScoreTexts, Written
from groot.guides.materials import Materials
from groot.reward_models.kinds import REWARD_KINDS


@dataclass(eq=False)
class BestOfN(Chooser):
    """Draws n different samples and keeps the one with the highest reward.

    Args:
        reward: rewards [N] of N whole texts of N inputs, in token ids, such as
            `RewardModel.rewards`.
        n_samples: drawn for each text that is wanted.
        batch_size: texts scored in one call.

    Source: Stiennon et al., Learning to summarize from human feedback, 2020.
    """

    name = "best_of_n"
    title = "best-of-n"
    needs = "reward model"
    kinds = REWARD_KINDS

    reward: ScoreTexts
    _: KW_ONLY
    n_samples: int = 10
    batch_size: int = 64

    def __post_init__(self) -> None:
        if min(self.n_samples, self.batch_size) < 1:
            raise ConfigError(
                f"n_samples is {self.n_samples} and batch_size {self.batch_size};"
                " both must be 1 or more."
            )

    @classmethod
    def made_of(cls, materials: Materials, **settings: Any) -> Self:
        """One of a reward model."""
        return cls(materials.judge().rewards, **settings)

    def parts(self) -> Mapping[str, Any]:
        """The reward model, where the reward is that of one."""
        return {"reward_model": getattr(self.reward, "__self__", self.reward)}

    @torch.no_grad()
    def choose(
        self, inputs: Sequence[Sequence[int]], samples: Sequence[Sequence[Written]]
    ) -> list[Written]:
        """The sample with the highest reward of each input; of equal ones the first.

        Raises:
            RewardError: if a reward is NaN.
        """
        flat = [
            (ids, text.tokens)
            for ids, written in zip(inputs, samples, strict=True)
            for text in written
        ]
        rewards: list[float] = []
        for first in range(0, len(flat), self.batch_size):
            part = flat[first : first + self.batch_size]
            values = self.reward([ids for ids, _ in part], [text for _, text in part])
            rewards += torch.as_tensor(values, dtype=torch.float64).tolist()
        if any(value != value for value in rewards):
            raise RewardError("a sample's reward is NaN; best of n cannot tell which is best.")
        scored = iter(rewards)
        return [
            max([(next(scored), -place, text) for place, text in enumerate(written)])[2]
            for written in samples
        ]
