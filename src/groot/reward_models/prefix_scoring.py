"""Scoring prefixes step by step, while they are written.

Candidates of one step are scored together. What follows a kept candidate goes on from its state, so
that no prefix is read twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from groot.errors import ModelError
from groot.models.alternatives import Alternatives
from groot.models.text_model import TextModel

RewardsOf = Callable[[Tensor], Tensor]
"""Rewards of hidden states [..., d]."""


class PrefixScoring(ABC):
    """N prefixes being written, and the rewards of what could come next.

    Attributes:
        calls: how often the reward model has run.
        tokens: how many tokens it has read behind the prompts, over all rows.
    """

    calls: int = 0
    tokens: int = 0

    @abstractmethod
    def score(self, tokens: Tensor) -> Tensor:
        """Rewards [N, k] of each prefix with one of tokens [N, k] behind it; the prefixes stay."""

    def score_all(self) -> Tensor:
        """Rewards [N, V] of each prefix with any token behind it.

        Raises:
            ModelError: if the reward model scores named tokens only.
        """
        raise ModelError(
            "this reward model scores the candidates that it is given, not the whole vocabulary."
            " Use score(tokens), or train a model of kind 'vocabulary'."
        )

    @abstractmethod
    def advance(self, index: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `index` [N'], repeats allowed, each with its next of tokens [N']."""


class HeadScoring(PrefixScoring):
    """Named candidates, each read by the model, all in one call."""

    def __init__(self, reward_of: RewardsOf, alternatives: Alternatives) -> None:
        self._reward_of = reward_of
        self._alternatives = alternatives

    @torch.no_grad()
    def score(self, tokens: Tensor) -> Tensor:
        """Rewards [N, k] of each prefix with one of tokens [N, k] behind it; the prefixes stay."""
        self.calls += 1
        self.tokens += tokens.numel()
        return self._reward_of(self._alternatives.feed(tokens))

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `index` [N'], repeats allowed, each with its next of tokens [N']."""
        if self._alternatives.keep(index, tokens):
            self.calls += 1
            self.tokens += tokens.numel()


class VocabularyScoring(PrefixScoring):
    """Every next token at once; the model reads the token that is kept, and nothing else."""

    def __init__(self, backbone: TextModel, alternatives: Alternatives) -> None:
        self._backbone = backbone
        self._alternatives = alternatives

    @torch.no_grad()
    def score_all(self) -> Tensor:
        """Rewards [N, V] of each prefix with any token behind it."""
        return self._backbone.logits(self._alternatives.hidden).float()

    @torch.no_grad()
    def score(self, tokens: Tensor) -> Tensor:
        """Rewards [N, k] of each prefix with one of tokens [N, k] behind it; the prefixes stay."""
        asked, place = tokens.unique(return_inverse=True)  # no other row of the head is needed
        logits = self._backbone.logits(self._alternatives.hidden, asked)
        return logits.float().gather(1, place)

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `index` [N'], repeats allowed, each with its next of tokens [N']."""
        self._alternatives.keep(index, tokens)
        self.calls += 1
        self.tokens += tokens.numel()


class AdditiveScoring(PrefixScoring):
    """What every next token adds, at once, on top of what the prefix has; as the one above."""

    def __init__(self, added_by_next: RewardsOf, alternatives: Alternatives) -> None:
        self._added_by_next = added_by_next
        self._alternatives = alternatives
        self._total = alternatives.hidden.new_zeros(len(alternatives.hidden)).float()  # [N]
        self._added: Tensor | None = None

    @torch.no_grad()
    def score_all(self) -> Tensor:
        """Rewards [N, V] of each prefix with any token behind it."""
        if self._added is None:
            self._added = self._added_by_next(self._alternatives.hidden)
        return self._total[:, None] + self._added

    def score(self, tokens: Tensor) -> Tensor:
        """Rewards [N, k] of each prefix with one of tokens [N, k] behind it; the prefixes stay."""
        return self.score_all().gather(1, tokens)

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `index` [N'], repeats allowed, each with its next of tokens [N']."""
        self._total = self.score_all()[index].gather(1, tokens[:, None])[:, 0]
        self._added = None
        self._alternatives.keep(index, tokens)
        self.calls += 1
        self.tokens += tokens.numel()
