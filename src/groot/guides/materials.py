"""What guides are made of, in the token ids of the writer that they steer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from groot.errors import ConfigError
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.reward_models.folders import ReadyRewardModel
from groot.rewards import Reward


@dataclass(frozen=True)
class Materials:
    """What guides are made of; each takes what it needs.

    Args:
        model: the language model that writes.
        prompts: spells its prompts and texts in token ids.
        reward_models: by kind; they read these token ids.
        tuned: a language model that was tuned from the one that writes, with the same tokens.
        reference: the model that it was tuned from; None is the one that writes.
        reward: of a text against another text.
    """

    model: TextModel
    prompts: Prompts
    reward_models: Mapping[str, ReadyRewardModel] = field(default_factory=dict)
    tuned: TextModel | None = None
    reference: TextModel | None = None
    reward: Reward | None = None

    def reward_model(self, kinds: Sequence[str]) -> ReadyRewardModel:
        """The reward model of the first of these kinds that there is.

        Raises:
            ConfigError: if there is none.
        """
        for kind in kinds:
            if kind in self.reward_models:
                return self.reward_models[kind]
        raise ConfigError(f"there is no reward model of kind {' or '.join(kinds)}.")
