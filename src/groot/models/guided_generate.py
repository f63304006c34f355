"""A guide inside transformers' `generate`: greedy, sampling and beams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import LogitsProcessor

from groot.errors import ShapeError


class Rescorer(Protocol):
    """What is asked of a guide; see `search.guides.Guide`."""

    @property
    def n_candidates(self) -> int | None:
        """How many of the most probable tokens are re-scored; None: all."""

    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> Any:
        """The state of N empty texts."""

    def allowed(self, prefixes: Any, state: Any) -> Tensor | None:
        """[N, V'] bool: which tokens may follow."""

    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Any, state: Any
    ) -> tuple[Tensor, Any]:
        """Scores [N, k] of the next tokens, and the state."""

    def follow(self, state: Any, index: Tensor, tokens: Tensor) -> Any:
        """The state of the texts `index`, each with its next of tokens."""


@dataclass(frozen=True, slots=True)
class _Texts:
    """What a guide is told of N texts being written."""

    inputs: Sequence[Sequence[int]]
    rows: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.rows)


class GuidedLogits(LogitsProcessor):
    """Gives `generate` the guided distribution of each next token.

    The scores that it returns are log-probabilities of the guide's distribution, -inf off its
    candidates. So `generate` samples from it, takes its best token, or searches beams by it.

    `generate` moves its rows about without telling. What the guide remembers is kept with the texts
    that it was made for, and each row finds its own again by what it says. A row that is not found
    is read anew from its beginning.

    Args:
        guide: a re-scorer of `search.guides`.
        inputs: token ids of each input as the guide reads it, without padding, in the order in
            which `generate` gets them.
        first: columns of `generate`'s `input_ids` in front of the text: the padded length of the
            prompt for a causal model, 1 for an encoder-decoder model.

    Source: the interface of transformers; state found by prefixes, so that beams may be reordered.
    """

    def __init__(self, guide: Rescorer, inputs: Sequence[Sequence[int]], *, first: int = 1) -> None:
        self.guide = guide
        self.inputs = [list(ids) for ids in inputs]
        self.first = first
        self.state: Any = None
        self.texts: _Texts | None = None

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Guided log-probabilities [R, V] of the next tokens of rows input_ids [R, T].

        Raises:
            ShapeError: if the rows are not a multiple of the inputs.
        """
        if len(input_ids) % len(self.inputs):
            raise ShapeError(
                f"generate has {len(input_ids)} rows for {len(self.inputs)} inputs. Give the guide"
                " the inputs of the whole batch."
            )
        each = len(input_ids) // len(self.inputs)
        rows = torch.arange(len(self.inputs), device=input_ids.device).repeat_interleave(each)
        texts = _Texts(self.inputs, rows, input_ids[:, self.first :])
        self._follow(texts)
        log_p = scores.float().log_softmax(-1)
        is_allowed = self.guide.allowed(texts, self.state)
        if is_allowed is not None:
            is_allowed = pad(is_allowed, (0, log_p.shape[1] - is_allowed.shape[1]), value=False)
            log_p = log_p.masked_fill(~is_allowed, -math.inf)
        count = min(self.guide.n_candidates or log_p.shape[1], log_p.shape[1])
        best, tokens = log_p.topk(count, dim=1)
        guided, self.state = self.guide.rescore(best, tokens, texts, self.state)
        # nothing is legal behind a text that has ended, whose row `generate` keeps and ignores
        guided = torch.where(guided.isneginf().all(1, keepdim=True), 0.0, guided)
        nothing = torch.full_like(log_p, -math.inf)
        return nothing.scatter(1, tokens, guided.log_softmax(1)).to(scores.dtype)

    def _follow(self, texts: _Texts) -> None:
        """Bring the state to the rows as they are now."""
        old, self.texts = self.texts, texts
        length = texts.tokens.shape[1]
        if old is not None and length == old.tokens.shape[1] + 1:
            is_parent = (texts.tokens[:, None, :-1] == old.tokens[None]).all(2)  # [R, R']
            is_parent &= texts.rows[:, None] == old.rows[None]
            if bool(is_parent.any(1).all()):
                parents = is_parent.int().argmax(1)
                self.state = self.guide.follow(self.state, parents, texts.tokens[:, -1])
                return
        self.state = self.guide.begin(texts.inputs, texts.rows)
        everything = torch.arange(len(texts), device=texts.rows.device)
        for column in texts.tokens.T:
            self.state = self.guide.follow(self.state, everything, column)
