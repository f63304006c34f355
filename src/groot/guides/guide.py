"""What steers a search: re-scorers of next tokens, and choosers among whole texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from groot.errors import ConfigError
from groot.guides.listed import Listed


@dataclass(frozen=True, slots=True)
class Prefixes:
    """N texts being written.

    Args:
        inputs: B inputs in token ids.
        rows: [N] which input each belongs to, ascending.
        tokens: [N, t] what is written so far.
    """

    inputs: Sequence[Sequence[int]]
    rows: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Written:
    """A text that a model wrote.

    Args:
        tokens: its ids; the last is the end token where the text is finished.
        log_p: of the text under the model alone, unguided and untempered, in nats, end included.
        is_finished: False where it was cut at the limit.
        is_exact: whether a search has proven that this text and those before it are the most
            probable ones; never for samples, and never under a guide.
    """

    tokens: tuple[int, ...]
    log_p: float
    is_finished: bool
    is_exact: bool = False


class Guide(Listed, ABC):
    """Re-scores the next tokens of texts being written; the loop owns the language model.

    What a guide remembers of N texts is its state. The loop hands the state on: `begin` makes it,
    `rescore` reads it, `follow` moves it along with the texts that are kept.

    Attributes:
        n_candidates: how many of the most probable tokens of the language model are re-scored, all
            others being out of the question; None for the whole vocabulary.
        temperature: at which the guide is meant to be drawn from; 0 is greedy.
    """

    n_candidates: int | None = None
    temperature: float = 1.0

    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> Any:
        """The state of N empty texts of the inputs `rows` [N]."""
        return None

    def allowed(self, prefixes: Prefixes, state: Any) -> Tensor | None:
        """[N, V'] bool: which tokens may follow at all, those from V' on may not; None: all may.

        It is asked before the candidates are chosen, so that a candidate is never wasted.
        """
        return None

    @abstractmethod
    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Prefixes, state: Any
    ) -> tuple[Tensor, Any]:
        """Scores of the next tokens; softmax over them is the guided distribution.

        Args:
            log_p: [N, k] of each candidate under the language model, in nats.
            tokens: [N, k] the candidates.
            prefixes: the N texts.
            state: what is remembered of them.

        Returns:
            scores [N, k] in nats, -inf for what may not be written; and the state.
        """

    def follow(self, state: Any, index: Tensor, tokens: Tensor) -> Any:
        """The state of the texts `index` [N'], repeats allowed, each with its next of tokens."""
        return state

    def __add__(self, other: Guide) -> Guide:
        return SumOfGuides((self, other))


class SumOfGuides(Guide):
    """Several guides at once: what each adds to log_p is added up.

    It re-scores as few candidates as the guide that asks for the fewest, and is drawn from at the
    lowest temperature of all: one greedy guide makes the sum greedy. It steers labels where all
    of them do.

    Args:
        guides: at least one; the parts of a sum among them are taken one by one.

    Raises:
        ConfigError: without a guide.
    """

    name = "sum"

    def __init__(self, guides: Sequence[Guide]) -> None:
        flat: list[Guide] = []
        for guide in guides:
            flat.extend(guide.guides if isinstance(guide, SumOfGuides) else (guide,))
        if not flat:
            raise ConfigError("a sum of guides needs at least one guide")
        self.guides: tuple[Guide, ...] = tuple(flat)
        counts = [guide.n_candidates for guide in flat if guide.n_candidates is not None]
        self.n_candidates = min(counts, default=None)
        self.temperature = min(guide.temperature for guide in flat)
        self.steers_labels = all(guide.steers_labels for guide in flat)

    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> Any:
        """One state for each guide."""
        return tuple(guide.begin(inputs, rows) for guide in self.guides)

    def allowed(self, prefixes: Prefixes, state: Any) -> Tensor | None:
        """What all of them allow."""
        common = None
        for guide, own in zip(self.guides, state, strict=True):
            allowed = guide.allowed(prefixes, own)
            if allowed is None or common is None:
                common = allowed if common is None else common
            else:
                width = min(common.shape[1], allowed.shape[1])
                common = common[:, :width] & allowed[:, :width]
        return common

    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Prefixes, state: Any
    ) -> tuple[Tensor, Any]:
        """log_p plus what each guide adds; -inf where one of them says so."""
        total, states = log_p, []
        for guide, own in zip(self.guides, state, strict=True):
            scores, own = guide.rescore(log_p, tokens, prefixes, own)
            # -inf less -inf would be nan
            added = torch.where(log_p.isneginf() | scores.isneginf(), scores, scores - log_p)
            total = total + added
            states.append(own)
        return total, tuple(states)

    def follow(self, state: Any, index: Tensor, tokens: Tensor) -> Any:
        """Each guide's own state, moved."""
        pairs = zip(self.guides, state, strict=True)
        return tuple(guide.follow(own, index, tokens) for guide, own in pairs)


# Rewards [N] of N outputs of N inputs, all in token ids; `RewardModel.rewards` is one.
ScoreTexts = Callable[
    [Sequence[Sequence[int]], Sequence[Sequence[int]]], "Tensor | Sequence[float]"
]


class Chooser(Listed, ABC):
    """Chooses among whole samples of the unguided model.

    Attributes:
        n_samples: drawn for each text that is wanted.
    """

    n_samples: int = 10

    @abstractmethod
    def choose(
        self, inputs: Sequence[Sequence[int]], samples: Sequence[Sequence[Written]]
    ) -> list[Written]:
        """The best of the samples of each input; of equal ones the first."""


class PrefixScores(Protocol):
    """Prefixes being written and the rewards of what could come next."""

    def score(self, tokens: Tensor) -> Tensor:
        """Rewards [N, k] of each prefix with one of tokens [N, k] behind it; the prefixes stay."""

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `index` [N'], each with its next of tokens [N']."""


class StepReward(Protocol):
    """A reward model that scores prefixes step by step; `models.RewardModel` is one."""

    @property
    def kind(self) -> str:
        """What its rewards mean."""

    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> PrefixScores:
        """Start scoring N prefixes."""
