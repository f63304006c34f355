"""The implicit reward of a preference-tuned model: how much likelier it finds a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from groot.errors import ConfigError
from groot.guides.guide import Guide, Prefixes
from groot.guides.materials import Materials
from groot.models.step import StepModel


@dataclass(eq=False)
class Implicit(Guide):
    """log p + weight * beta * (log p_tuned(token) - log p_reference(token)).

    Args:
        tuned: a model trained with DPO or cross-entropy on rewards.
        reference: the model that it was trained from; None where that is the generator itself.
        weight: of the implicit reward.
        beta: nats per unit of reward that the tuned model was trained with.
        n_candidates: most probable tokens that are re-scored; None: the whole vocabulary.
        temperature: at which it is meant to be drawn from.

    Source: Yuan et al., Free Process Rewards without Process Labels, 2024; Rafailov et al., From r
    to Q*: Your Language Model is Secretly a Q-Function, 2024.
    """

    name = "implicit"
    title = "implicit"
    needs = "tuned model"

    tuned: StepModel
    reference: StepModel | None = None
    _: KW_ONLY
    weight: float = 1.0
    beta: float = 1.0
    n_candidates: int | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.n_candidates is not None and self.n_candidates < 1:
            raise ConfigError(
                f"n_candidates is {self.n_candidates}; it must be 1 or more, or None."
            )

    @classmethod
    def made_of(cls, materials: Materials, **settings: Any) -> Self:
        """One of a tuned model and its reference.

        Raises:
            ConfigError: without a tuned model.
        """
        if materials.tuned is None:
            raise ConfigError(f"guide {cls.name!r} needs a tuned model.")
        return cls(materials.tuned, materials.reference, **settings)

    def parts(self) -> Mapping[str, Any]:
        """The tuned model, and the reference where there is one."""
        own = {"tuned": self.tuned, "reference": self.reference}
        return {name: model for name, model in own.items() if model is not None}

    @torch.no_grad()
    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> Any:
        """What the models remember of N empty texts."""
        models = [self.tuned] if self.reference is None else [self.tuned, self.reference]
        return [_Following(model, inputs, rows) for model in models]

    @torch.no_grad()
    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Prefixes, state: Any
    ) -> tuple[Tensor, Any]:
        """log_p plus the weighted log-ratio, [N, k]."""
        tuned = state[0].log_p(tokens)
        reference = state[1].log_p(tokens) if len(state) > 1 else log_p
        # a token that the generator may not write has no ratio
        ratio = (tuned - reference).masked_fill(log_p.isneginf(), 0.0)
        return log_p + self.weight * self.beta * ratio, state

    @torch.no_grad()
    def follow(self, state: Any, index: Tensor, tokens: Tensor) -> Any:
        """The models' memory, moved along."""
        for following in state:
            following.advance(index, tokens)
        return state


class _Decoding(Protocol):
    def advance(self, tokens: Tensor) -> Tensor: ...

    def reorder(self, index: Tensor) -> None: ...


class _Following:
    """A model that reads along."""

    def __init__(self, model: StepModel, inputs: Sequence[Sequence[int]], rows: Tensor) -> None:
        model.train(False)
        self._model = model
        empty = torch.zeros((len(rows), 0), dtype=torch.long, device=model.device)
        self._decoding: _Decoding
        self._decoding, self._hidden = model.begin(model.encode(inputs), rows, empty)

    def log_p(self, tokens: Tensor) -> Tensor:
        """[N, k] of the next tokens, in nats."""
        logits = self._model.logits(self._hidden[:, -1]).float()
        return logits.gather(1, tokens) - logits.logsumexp(1, keepdim=True)

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        if not is_everything(index, len(self._hidden)):
            self._decoding.reorder(index)
        self._hidden = self._decoding.advance(tokens[:, None])


def is_everything(index: Tensor, count: int) -> bool:
    """Whether an index keeps all of `count` rows in their order."""
    return len(index) == count and bool((index == torch.arange(count, device=index.device)).all())
