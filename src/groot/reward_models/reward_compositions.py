"""Reward models made of others: ensembles, the log-sigmoid transform, the implicit reward.

Each has the interface of a `RewardModel`: prefix_rewards, rewards, begin, and kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from groot.errors import ConfigError, ModelError
from groot.models.alternatives import Alternatives, begin_alternatives
from groot.models.text_model import TextModel
from groot.models.text_scoring import token_log_p
from groot.reward_models.prefix_model import last_of
from groot.reward_models.prefix_scoring import PrefixScoring

How = Literal["mean", "worst", "uncertainty"]
Ids = Sequence[Sequence[int]]


class PrefixRewards(Protocol):
    """What scores prefixes, in one pass or step by step."""

    @property
    def kind(self) -> str:
        """What the rewards mean."""

    def prefix_rewards(self, inputs: Ids, outputs: Ids) -> tuple[Tensor, Tensor]:
        """Reward [N, T] of every prefix of every output, and is_real [N, T]."""

    def rewards(self, inputs: Ids, outputs: Ids) -> Tensor:
        """Reward [N] of whole outputs."""

    def begin(self, inputs: Ids, rows: Tensor, tokens: Tensor | None = None) -> PrefixScoring:
        """Start scoring N prefixes step by step."""


class Combined:
    """Several reward models whose rewards are made into one, place by place.

    Args:
        models: of one kind and with the same tokens.
        combine: rewards [M, ...] of M models -> rewards [...].

    Raises:
        ConfigError: for no model, or models of several kinds.
    """

    def __init__(
        self, models: Sequence[PrefixRewards], combine: Callable[[Tensor], Tensor]
    ) -> None:
        kinds = sorted({model.kind for model in models})
        if len(kinds) != 1:
            raise ConfigError(f"reward models of one kind are wanted, got {kinds or 'none'}")
        self.models = tuple(models)
        self.combine = combine

    @property
    def kind(self) -> str:
        """That of the models."""
        return self.models[0].kind

    def prefix_rewards(self, inputs: Ids, outputs: Ids) -> tuple[Tensor, Tensor]:
        """Reward [N, T] of every prefix of every output, and is_real [N, T]."""
        found = [model.prefix_rewards(inputs, outputs) for model in self.models]
        is_real = found[0][1]
        rewards = self.combine(torch.stack([rewards for rewards, _ in found]))
        return rewards.masked_fill(~is_real, 0.0), is_real

    def rewards(self, inputs: Ids, outputs: Ids) -> Tensor:
        """Reward [N] of whole outputs."""
        return self.combine(torch.stack([one.rewards(inputs, outputs) for one in self.models]))

    def begin(self, inputs: Ids, rows: Tensor, tokens: Tensor | None = None) -> PrefixScoring:
        """Start scoring N prefixes step by step."""
        return _CombinedScoring(
            [model.begin(inputs, rows, tokens) for model in self.models], self.combine
        )


class RewardEnsemble(Combined):
    """The judgement of several reward models, which is harder to mislead than that of one.

    Args:
        models: of one kind and with the same tokens, trained with several seeds, say.
        how: "mean"; "worst", the lowest reward; "uncertainty", the mean less `penalty` times the
            variance.
        penalty: per unit of reward, >= 0.

    Raises:
        ConfigError: for no model, models of several kinds, or a setting that cannot be.

    Source: Coste et al., Reward Model Ensembles Help Mitigate Overoptimization (2023);
    what we changed: rewards of prefixes are combined like those of whole outputs.
    """

    def __init__(
        self, models: Sequence[PrefixRewards], *, how: How = "mean", penalty: float = 0.5
    ) -> None:
        if how not in get_args(How) or not penalty >= 0:
            raise ConfigError(
                f"how={how!r}: want one of {', '.join(get_args(How))}; penalty={penalty}: want 0"
                " or more."
            )

        def combine(rewards: Tensor) -> Tensor:
            if how == "worst":
                return rewards.amin(0)
            mean = rewards.mean(0)
            if how == "mean":
                return mean
            return mean - penalty * rewards.var(0, correction=0)

        super().__init__(models, combine)
        self.how: How = how
        self.penalty = penalty


class LogSigmoidReward(Combined):
    """log sigmoid(reward - reference): the log-chance to beat an output worth the reference.

    What is already good gains little, so that sums of several rewards ask for all of them.

    Args:
        model: any reward model.
        reference: in units of the reward, such as that of a typical output.

    Source: Wang et al., Transforming and Combining Rewards for Aligning Large Language Models
    (2024); what we changed: one reference for all prompts.
    """

    def __init__(self, model: PrefixRewards, *, reference: float = 0.0) -> None:
        super().__init__([model], lambda rewards: logsigmoid(rewards[0] - reference))
        self.reference = reference


class _CombinedScoring(PrefixScoring):
    def __init__(
        self, scorings: Sequence[PrefixScoring], combine: Callable[[Tensor], Tensor]
    ) -> None:
        self._scorings = scorings
        self._combine = combine

    def score(self, tokens: Tensor) -> Tensor:
        return self._counted(torch.stack([one.score(tokens) for one in self._scorings]))

    def score_all(self) -> Tensor:
        return self._counted(torch.stack([one.score_all() for one in self._scorings]))

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        for one in self._scorings:
            one.advance(index, tokens)
        self._count()

    def _counted(self, rewards: Tensor) -> Tensor:
        self._count()
        return self._combine(rewards)

    def _count(self) -> None:
        self.calls = sum(one.calls for one in self._scorings)
        self.tokens = sum(one.tokens for one in self._scorings)


class ImplicitReward:
    """How much likelier a tuned model finds an output than the model it was tuned from.

    The reward of a prefix is beta * sum over its tokens of (log_p_tuned - log_p_reference), so what
    one token more adds is its own log-ratio.

    Args:
        tuned: trained on preferences with `dpo`, or with cross-entropy on good outputs.
        reference: the model from before, with the same tokens.
        beta: reward per nat, that of the training; > 0.

    Raises:
        ModelError: if the two have different vocabularies.

    Source: Rafailov et al., From r to Q*: Your Language Model is Secretly a Q-Function (2024);
    Yuan et al., Free Process Rewards without Process Labels (2024); what we
    changed: nothing.
    """

    kind = "partial"

    def __init__(self, tuned: TextModel, reference: TextModel, *, beta: float = 0.1) -> None:
        if tuned.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
            raise ModelError(
                "the tuned model and its reference have different vocabularies, so their"
                " log-probabilities cannot be compared. Give the model that it was tuned from."
            )
        self.tuned = tuned
        self.reference = reference
        self.beta = beta

    def prefix_rewards(self, inputs: Ids, outputs: Ids) -> tuple[Tensor, Tensor]:
        """Reward [N, T] of every prefix of every output, and is_real [N, T]."""
        rows = range(len(inputs))
        tuned, is_real = token_log_p(self.tuned, inputs, outputs, rows)
        reference, _ = token_log_p(self.reference, inputs, outputs, rows)
        rewards = self.beta * (tuned - reference).cumsum(1)
        return rewards.masked_fill(~is_real, 0.0), is_real

    def rewards(self, inputs: Ids, outputs: Ids) -> Tensor:
        """Reward [N] of whole outputs."""
        return last_of(*self.prefix_rewards(inputs, outputs))

    @torch.no_grad()
    def begin(self, inputs: Ids, rows: Tensor, tokens: Tensor | None = None) -> PrefixScoring:
        """Start scoring N prefixes step by step; puts both models into evaluation mode."""
        opened = []
        for model in (self.tuned, self.reference):
            model.eval()
            opened.append((model, begin_alternatives(model, model.encode(inputs), rows)))
        scoring = _ImplicitScoring(opened, self.beta, len(rows))
        if tokens is not None:
            for column in tokens.unbind(1):
                scoring.advance(torch.arange(len(rows), device=rows.device), column)
        return scoring


class _ImplicitScoring(PrefixScoring):
    """Every next token at once, since it is their log-probabilities that count."""

    def __init__(
        self, opened: Sequence[tuple[TextModel, Alternatives]], beta: float, n_rows: int
    ) -> None:
        self._opened = opened
        self._beta = beta
        self._so_far = torch.zeros(n_rows, device=opened[0][0].device)

    @torch.no_grad()
    def score_all(self) -> Tensor:
        tuned, reference = (
            model.logits(alternatives.hidden).float().log_softmax(1)
            for model, alternatives in self._opened
        )
        width = min(tuned.shape[1], reference.shape[1])  # rows of padding behind the vocabulary
        return self._so_far[:, None] + self._beta * (tuned[:, :width] - reference[:, :width])

    def score(self, tokens: Tensor) -> Tensor:
        return self.score_all().gather(1, tokens)

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        self._so_far = self.score_all()[index, tokens]
        for _, alternatives in self._opened:
            alternatives.keep(index, tokens)
            self.calls += 1
            self.tokens += tokens.numel()
