"""How a generator is tuned with DPO or GRPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from groot.errors import ConfigError

Objective = Literal["dpo", "grpo"]


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How a generator is tuned.

    Args:
        objective: "dpo" learns from preferences, "grpo" from rewards of its own samples.
        beta: dpo: reward per nat, > 0.
        kl: grpo: weight of the distance from the frozen model.
        clip: grpo: how far a ratio may move.
        passes: dpo: passes over the pairs; grpo: passes over the samples of a round.
        rounds: grpo: how often samples are drawn.
        prompts_per_round: grpo: prompts that samples are drawn for.
        group: grpo: samples of each prompt.
        batch_size: pairs, or prompts with their groups, per step.
        learning_rate: peak rate of AdamW.
        evaluations: dpo: how often held-out pairs are measured.
        held_out: share of the prompts that is kept to choose the weights by.
        seed: decides samples, order and what is held out.
        checkpoint_every_s: seconds between checkpoints.
    """

    objective: Objective = "dpo"
    beta: float = 0.1
    kl: float = 0.04
    clip: float = 0.2
    passes: int = 2
    rounds: int = 10
    prompts_per_round: int = 64
    group: int = 8
    batch_size: int = 16
    learning_rate: float = 1e-4
    evaluations: int = 6
    held_out: float = 0.1
    seed: int = 1
    checkpoint_every_s: float = 60.0

    def __post_init__(self) -> None:
        wrong = []
        if self.objective not in ("dpo", "grpo"):
            wrong.append(f"objective={self.objective!r}: want dpo or grpo")
        for name in ("passes", "rounds", "prompts_per_round", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                wrong.append(f"{name}={getattr(self, name)}: want 1 or more")
        if self.group < 2:
            wrong.append(f"group={self.group}: want 2 or more, or no sample is better than another")
        for name in ("beta", "clip", "learning_rate"):
            if not getattr(self, name) > 0:
                wrong.append(f"{name}={getattr(self, name)}: want more than 0")
        if self.kl < 0:
            wrong.append(f"kl={self.kl}: want 0 or more")
        if not 0 < self.held_out < 1:
            wrong.append(f"held_out={self.held_out}: want a share between 0 and 1")
        if wrong:
            raise ConfigError("\n  ".join(["settings that cannot be:", *wrong]))
