"""Models that count what they are asked: calls, and the tokens that they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor

from groot.reward_models.prefix_scoring import PrefixScoring
from groot.reward_models.retokenising import TextRewards


class _Counting:
    """A model with two counts beside it; everything else is the model's own."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls = 0
        self.tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class CountedRewardModel(_Counting):
    """A reward model that counts its calls and the tokens that it reads behind the prompts."""

    def begin(self, *arguments: Any, **named: Any) -> PrefixScoring:
        """As the model's; what the scoring costs is counted here."""
        return _CountedScoring(self, self.model.begin(*arguments, **named))

    def rewards(self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> Tensor:
        """As the model's; one call that reads every output once."""
        self.calls += 1
        self.tokens += sum(map(len, outputs))
        return self.model.rewards(inputs, outputs)


class CountedTexts:
    """A reward model of texts that counts its calls and all tokens that it reads, each time."""

    def __init__(self, model: TextRewards) -> None:
        self.model = model
        self.calls = 0
        self.tokens = 0

    @property
    def kind(self) -> str:
        """What the rewards mean."""
        return self.model.kind

    def read_texts(
        self, prompts: Sequence[str], outputs: Sequence[str], is_finished: Sequence[bool]
    ) -> tuple[Tensor, int]:
        """As the model's, counted in its own tokens."""
        rewards, tokens = self.model.read_texts(prompts, outputs, is_finished)
        self.calls += 1
        self.tokens += tokens
        return rewards, tokens


class _CountedScoring(PrefixScoring):
    def __init__(self, owner: CountedRewardModel, scoring: PrefixScoring) -> None:
        self._owner = owner
        self._scoring = scoring
        self._count()

    def _count(self) -> None:
        """Move what the scoring has counted since the last time to the owner."""
        self._owner.calls += self._scoring.calls - self.calls
        self._owner.tokens += self._scoring.tokens - self.tokens
        self.calls, self.tokens = self._scoring.calls, self._scoring.tokens

    def score(self, tokens: Tensor) -> Tensor:
        rewards = self._scoring.score(tokens)
        self._count()
        return rewards

    def score_all(self) -> Tensor:
        rewards = self._scoring.score_all()
        self._count()
        return rewards

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        self._scoring.advance(index, tokens)
        self._count()


class CountedWriter(_Counting):
    """A language model that counts its calls and the tokens that it reads behind the prompts."""

    def count(self, tokens: Tensor) -> None:
        """One call that reads tokens [N, m]; none where there are no tokens."""
        if tokens.numel():
            self.calls += 1
            self.tokens += tokens.numel()

    def begin(
        self, memory: Any, rows: Tensor, tokens: Tensor, **named: Any
    ) -> tuple[_CountedDecoding, Tensor]:
        """As the model's; what the decoding costs is counted here."""
        decoding, hidden = self.model.begin(memory, rows, tokens, **named)
        self.count(tokens)
        return _CountedDecoding(self, decoding), hidden


class _CountedDecoding:
    def __init__(self, owner: CountedWriter, decoding: Any) -> None:
        self._owner = owner
        self._decoding = decoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoding, name)

    def advance(self, tokens: Tensor, **named: Any) -> Tensor:
        self._owner.count(tokens)
        hidden: Tensor = self._decoding.advance(tokens, **named)
        return hidden


# What counts calls and tokens.
Counted: TypeAlias = CountedRewardModel | CountedTexts | CountedWriter
