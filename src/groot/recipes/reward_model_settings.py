"""How a reward model is trained."""

from __future__ import annotations

from dataclasses import dataclass

from groot.errors import ConfigError
from groot.reward_models.kinds import REWARD_KINDS, RewardKind

SMALL = 10_000_000  # weights, up to which a model learns at the higher rate


@dataclass(frozen=True, slots=True)
class RewardModelSettings:
    """How a reward model is trained.

    Args:
        kind: one of `groot.reward_models.kinds.REWARD_KINDS`.
        passes: passes over the pairs.
        batch_size: pairs per step, over all processes.
        learning_rate: peak rate of AdamW; None takes 1e-3 for a model of up to 10 million weights,
            2e-4 for a larger one.
        weight_decay: decay of matrices.
        evaluations: how often held-out pairs are measured, spread evenly over the steps.
        lora_r: rank of LoRA adapters; 0 trains all weights.
        lora_alpha, lora_dropout: scale and dropout of the adapters.
        held_out: share of the prompts that is held out where no held-out pairs are given.
        seed: decides order, dropout and what is held out.
        checkpoint_every_s: seconds between checkpoints.
    """

    kind: RewardKind = "partial"
    passes: int = 3
    batch_size: int = 16
    learning_rate: float | None = None
    weight_decay: float = 0.01
    evaluations: int = 6
    lora_r: int = 0
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    held_out: float = 0.1
    seed: int = 1
    checkpoint_every_s: float = 60.0

    def __post_init__(self) -> None:
        wrong = []
        if self.kind not in REWARD_KINDS:
            wrong.append(f"kind={self.kind!r}: want one of {', '.join(REWARD_KINDS)}")
        for name in ("passes", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                wrong.append(f"{name}={getattr(self, name)}: want 1 or more")
        if self.learning_rate is not None and not self.learning_rate > 0:
            wrong.append(f"learning_rate={self.learning_rate}: want more than 0")
        if not 0 < self.held_out < 1:
            wrong.append(f"held_out={self.held_out}: want a share between 0 and 1")
        if self.lora_r < 0:
            wrong.append(f"lora_r={self.lora_r}: want 0 or more")
        if wrong:
            raise ConfigError("\n  ".join(["settings that cannot be:", *wrong]))

    def rate_of(self, n_weights: int) -> float:
        """Peak learning rate of a model; where none is given, small models get a higher one.

        >>> RewardModelSettings().rate_of(700_000), RewardModelSettings().rate_of(124_000_000)
        (0.001, 0.0002)
        """
        return self.learning_rate or (1e-3 if n_weights <= SMALL else 2e-4)
