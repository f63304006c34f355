"""What the guides of scalar reward models share: log p + weight * reward of the grown prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.errors import ConfigError
from groot.guides.guide import Guide, Prefixes, PrefixScores, StepReward
from groot.guides.materials import Materials

Transform = Literal["none", "log_sigmoid"]


class RewardGuide(Guide):
    """Adds weight * reward(prefix + token) to the log-probability of each candidate.

    All candidates of a step are scored in one call. The end token is a candidate like any other,
    and its reward is that of the text that ends there.

    Args:
        model: scores prefixes step by step, in the ids of the language model.
        weight: nats per unit of reward; 0 leaves the language model as it is.
        n_candidates: most probable tokens of the language model that are scored, 1 or more.
        transform: "log_sigmoid" takes the reward for the logit of a success and adds its
            log-probability.
        temperature: at which the guide is meant to be drawn from; 0 is greedy.

    Where weight, n_candidates or temperature is None, it is what is usual for the guide.

    Raises:
        ConfigError: for a setting out of range, or a reward model of another kind.
    """

    needs = "reward model"
    steers_labels = True
    usual_candidates: ClassVar[int] = 10
    usual_temperature: ClassVar[float] = 1.0

    def __init__(
        self,
        model: StepReward,
        *,
        weight: float | None = None,
        n_candidates: int | None = None,
        transform: Transform = "none",
        temperature: float | None = None,
    ) -> None:
        if model.kind not in self.kinds:
            raise ConfigError(
                f"guide {self.name!r} needs a reward model of kind {' or '.join(self.kinds)}, but"
                f" this one is of kind {model.kind}. Train another, or choose the guide for it."
            )
        if n_candidates is None:
            n_candidates = self.usual_candidates
        if temperature is None:
            temperature = self.usual_temperature
        if n_candidates < 1:
            raise ConfigError(f"n_candidates is {n_candidates}; it must be 1 or more.")
        if transform not in get_args(Transform):
            raise ConfigError(f"transform is {transform!r}; it can be 'none' or 'log_sigmoid'.")
        self.model = model
        self.weight = self.usual_weight(temperature) if weight is None else weight
        self.n_candidates = n_candidates
        self.transform: Transform = transform
        self.temperature = temperature

    @classmethod
    def usual_weight(cls, temperature: float) -> float:
        """Nats per unit of reward where nothing else is asked for."""
        return 1.0

    @classmethod
    def setting_defaults(cls) -> dict[str, Any]:
        """The default of each setting."""
        usual = {"n_candidates": cls.usual_candidates, "temperature": cls.usual_temperature}
        return super().setting_defaults() | usual

    @classmethod
    def made_of(cls, materials: Materials, **settings: Any) -> Self:
        """One of the reward model of its kind."""
        return cls(materials.judge(), **settings)

    def parts(self) -> Mapping[str, Any]:
        """Its reward model."""
        return {"reward_model": self.model}

    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> PrefixScores:
        """The reward model's memory of N empty texts."""
        return self.model.begin(inputs, rows)

    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Prefixes, state: Any
    ) -> tuple[Tensor, Any]:
        """log_p + weight * reward, [N, k]."""
        rewards = state.score(tokens)
        if self.transform == "log_sigmoid":
            rewards = logsigmoid(rewards)  # x - log(1 + e^x) would overflow
        return log_p + self.weight * rewards, state

    def follow(self, state: Any, index: Tensor, tokens: Tensor) -> Any:
        """The reward model's memory, moved along."""
        state.advance(index, tokens)
        return state
