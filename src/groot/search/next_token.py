"""Texts that are written token by token, and what may come next: shared by samples and beams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from groot.errors import ConfigError, ModelError
from groot.guides.guide import Guide, Prefixes
from groot.models.step import StepModel


class WritingModel(StepModel, Protocol):
    """A model that decodes step by step and knows how a text ends; `models.TextModel` is one."""

    end_id: int


@dataclass(slots=True)
class NextTokens:
    """What may come next in N texts: [N, c] each; without tokens, candidate i is token i."""

    log_p: Tensor
    scores: Tensor
    tokens: Tensor | None


class OpenTexts:
    """Texts that are being written: the model's memory of them, and that of a guide.

    Args:
        model: the model that writes.
        prefixes: the texts so far.
        top_k: candidates for a token; None is all.
        guide: re-scores the candidates.
    """

    def __init__(
        self, model: WritingModel, prefixes: Prefixes, *, top_k: int | None, guide: Guide | None
    ) -> None:
        self.model, self.prefixes, self.top_k, self.guide = model, prefixes, top_k, guide
        memory = model.encode(prefixes.inputs)
        self.decoding, self.hidden = model.begin(memory, prefixes.rows, prefixes.tokens)
        self.state = None if guide is None else guide.begin(prefixes.inputs, prefixes.rows)

    def next(self) -> NextTokens:
        """What may come next in each of them.

        Raises:
            ModelError: where nothing may come next in one of them.
        """
        following, self.state = next_tokens(
            self.model,
            self.hidden[:, -1],
            self.prefixes,
            top_k=self.top_k,
            guide=self.guide,
            state=self.state,
        )
        refuse_dead_ends(following.scores)
        return following

    def advance(self, index: Tensor, chosen: Tensor) -> None:
        """Go on with the texts `index` [N'], each with the token `chosen` [N'] behind it."""
        prefixes = self.prefixes
        if self.guide is not None:
            self.state = self.guide.follow(self.state, index, chosen)
        tokens = torch.cat([prefixes.tokens[index], chosen[:, None]], dim=1)
        if len(index) != len(prefixes) or bool((index.diff() != 1).any()):
            self.decoding.reorder(index)
        self.prefixes = Prefixes(prefixes.inputs, prefixes.rows[index], tokens)
        self.hidden = self.decoding.advance(chosen[:, None])


def next_tokens(
    model: WritingModel,
    hidden: Tensor,
    prefixes: Prefixes,
    *,
    top_k: int | None,
    guide: Guide | None,
    state: Any,
) -> tuple[NextTokens, Any]:
    """The candidates for the next token of each text, re-scored by the guide."""
    logits = model.logits(hidden).float()
    total = logits.logsumexp(-1, keepdim=True)
    open_ = logits
    if guide is not None:
        is_allowed = guide.allowed(prefixes, state)
        if is_allowed is not None:
            missing = logits.shape[1] - is_allowed.shape[1]
            is_allowed = torch.nn.functional.pad(is_allowed, (0, missing), value=False)
            open_ = logits.masked_fill(~is_allowed, -math.inf)
    tokens = None
    if top_k is not None and top_k < logits.shape[1]:
        open_, tokens = open_.topk(top_k, dim=1)
    log_p = open_ - total
    if guide is None:
        return NextTokens(log_p, log_p, tokens), state
    asked = tokens
    if asked is None:
        asked = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    scores, state = guide.rescore(log_p, asked, prefixes, state)
    return NextTokens(log_p, scores, tokens), state


def empty_texts(
    inputs: Sequence[Sequence[int]], examples: Sequence[int], device: torch.device
) -> Prefixes:
    """Empty texts of the given inputs, each of which is listed once."""
    places: dict[int, int] = {}
    rows = [places.setdefault(example, len(places)) for example in examples]
    return Prefixes(
        [inputs[example] for example in places],
        torch.tensor(rows, device=device),
        torch.zeros((len(rows), 0), dtype=torch.long, device=device),
    )


def check_counts(**counts: int) -> None:
    """Raise ConfigError for a count below 1."""
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; it must be 1 or more.")


def refuse_dead_ends(scores: Tensor) -> None:
    """Raise ModelError where a text has no candidate of finite score [N, c]."""
    best = scores.amax(1)
    if not bool(best.isfinite().all()):
        raise ModelError(
            "no token can come next in a text: its scores hold NaN, or -inf for each candidate."
            " Check the model's weights, the rewards of the guide, and that its grammar always"
            " leaves a token to write."
        )
