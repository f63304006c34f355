"""What guides are made of, in the token ids of the writer that they steer."""

from __future__ import annotations

from dataclasses import dataclass

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
        reward_model: reads these token ids.
        tuned: a language model that was tuned from the one that writes, with the same tokens.
        reference: the model that it was tuned from; None is the one that writes.
        reward: of a text against another text.
    """

    model: TextModel
    prompts: Prompts
    reward_model: ReadyRewardModel | None = None
    tuned: TextModel | None = None
    reference: TextModel | None = None
    reward: Reward | None = None

    def judge(self) -> ReadyRewardModel:
        """The reward model.

        Raises:
            ConfigError: if there is none.
        """
        if self.reward_model is None:
            raise ConfigError("there is no reward model.")
        return self.reward_model
