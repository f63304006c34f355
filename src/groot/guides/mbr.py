"""Minimum Bayes risk: the sample that agrees most with the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from groot.errors import ConfigError
from groot.guides.guide import Chooser, Written
from groot.guides.materials import Materials
from groot.outputs.choose import expected_rewards
from groot.rewards.compose import Reward
from groot.types import Candidate, Example


@dataclass(eq=False)
class Mbr(Chooser):
    """Draws n samples and keeps the one with the highest mean reward, each sample as the gold once.

    Args:
        reward: of a text against a reference text.
        text_of: the text of token ids, such as `Prompts.text`.
        n_samples: drawn for each text that is wanted.

    Source: Eikema and Aziz, Sampling-Based Approximations to Minimum Bayes Risk Decoding, 2022.
    """

    name = "mbr"
    title = "MBR"
    needs = "reward"

    reward: Reward
    text_of: Callable[[Sequence[int]], str]
    _: KW_ONLY
    n_samples: int = 10

    def __post_init__(self) -> None:
        if self.n_samples < 1:
            raise ConfigError(f"n_samples is {self.n_samples}; it must be 1 or more.")

    @classmethod
    def made_of(cls, materials: Materials, **settings: Any) -> Self:
        """One of a reward.

        Raises:
            ConfigError: without a reward.
        """
        if materials.reward is None:
            raise ConfigError(f"guide {cls.name!r} needs a reward.")
        return cls(materials.reward, materials.prompts.text, **settings)

    def parts(self) -> Mapping[str, Any]:
        """Its reward."""
        return {"reward": self.reward}

    def choose(
        self, inputs: Sequence[Sequence[int]], samples: Sequence[Sequence[Written]]
    ) -> list[Written]:
        """The sample with the highest expected reward; of equal ones the first."""
        return [self._best(ids, written) for ids, written in zip(inputs, samples, strict=True)]

    def _best(self, ids: Sequence[int], samples: Sequence[Written]) -> Written:
        texts = [self.text_of(sample.tokens) for sample in samples]
        # samples are drawn as often as they are probable: each counts the same
        candidates = [Candidate(text, text, log_p=0.0) for text in texts]
        values = expected_rewards(Example(self.text_of(ids)), candidates, self.reward)
        ranks = [float("-inf") if value is None else value for value in values]
        return samples[ranks.index(max(ranks))]
