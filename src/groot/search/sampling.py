"""Free text by sampling, guidable.

Texts that are finished leave the batch. A sample's random numbers are a function of the seed, its
input, its number and the step, so that neither the batch size nor the order of the inputs changes
what is drawn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groot.errors import ConfigError
from groot.guides.guide import Chooser, Guide, Prefixes, Written
from groot.models.step import evaluating
from groot.search.next_token import (
    OpenTexts,
    WritingModel,
    check_counts,
    empty_texts,
)
from groot.search.random_numbers import sample_keys, uniforms


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a token is drawn.

    Args:
        temperature: of the distribution, guided or not; 0 takes the best token.
        top_k: candidates per token; None: as many as the guide asks for, or all.
        top_p: share of the probability that is kept, the most probable tokens first; in (0, 1].

    Raises:
        ConfigError: for a setting that is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature is {self.temperature}; it must be 0 (greedy) or more.")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k is {self.top_k}; it must be 1 or more, or None for all.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(
                f"top_p is {self.top_p}; it must be above 0 and at most 1. For greedy decoding,"
                " set temperature to 0."
            )


@torch.no_grad()
def sample(
    model: WritingModel,
    inputs: Sequence[Sequence[int]],
    *,
    n: int = 1,
    max_new_tokens: int,
    seed: int,
    guide: Guide | Chooser | None = None,
    batch_size: int = 64,
    **drawing: Any,
) -> list[list[Written]]:
    """Draw n texts for each input.

    The `top_k` most probable tokens are re-scored by the guide, divided by the temperature, cut to
    the nucleus `top_p`, and one is drawn.

    Args:
        inputs: token ids of each input.
        n: texts per input.
        max_new_tokens: at which a text is cut, its end token counted.
        seed: of the random numbers.
        guide: re-scores the candidates, or chooses among whole samples, of which it gets as many
            as it asks for.
        batch_size: texts written together.
        drawing: fields of `Drawing`.

    Returns:
        for each input, in the order given, its n texts.

    Raises:
        ConfigError: for a setting that is out of its range.

    >>> from groot.models.embedded_text import make_text_model
    >>> model = make_text_model(["play it"], shape="causal", vocabulary_size=300, width=16, heads=2)
    >>> drawn = sample(model, [[3], [4, 5]], n=2, max_new_tokens=6, seed=1)
    >>> [[len(text.tokens) <= 6 and text.log_p < 0 for text in some] for some in drawn]
    [[True, True], [True, True]]
    """
    check_counts(n=n, max_new_tokens=max_new_tokens, batch_size=batch_size)
    how = Drawing(**drawing)
    n_samples = n * guide.n_samples if isinstance(guide, Chooser) else n
    if n_samples > 1 and how.temperature == 0:
        raise ConfigError(
            f"temperature 0 would write the same text {n_samples} times; set it above 0, or ask"
            " for one text."
        )
    rescorer = guide if isinstance(guide, Guide) else None
    if how.top_k is None and rescorer is not None:
        how = dataclasses.replace(how, top_k=rescorer.n_candidates)
    keys = sample_keys(inputs, n_samples, seed)
    todo = sorted(range(len(keys)), key=lambda i: (len(inputs[i // n_samples]), i))
    written: list[Written | None] = [None] * len(keys)
    with evaluating(model):
        for first in range(0, len(todo), batch_size):
            batch = todo[first : first + batch_size]
            texts = _write(
                model,
                empty_texts(inputs, [i // n_samples for i in batch], model.device),
                uniforms(keys[batch], max_new_tokens).to(model.device),
                how,
                guide=rescorer,
            )
            for i, text in zip(batch, texts, strict=True):
                written[i] = text
    drawn = [text for text in written if text is not None]
    if isinstance(guide, Chooser):
        groups = [drawn[i : i + guide.n_samples] for i in range(0, len(drawn), guide.n_samples)]
        drawn = guide.choose([inputs[i // n] for i in range(len(groups))], groups)
    return [drawn[i : i + n] for i in range(0, len(drawn), n)]


def _draw(scores: Tensor, numbers: Tensor, how: Drawing) -> Tensor:
    """[N] places drawn from softmax(scores [N, c] / temperature), cut to the nucleus."""
    if how.temperature == 0:
        return scores.argmax(1)
    p = (scores / how.temperature).softmax(1)
    if how.top_p is not None and how.top_p < 1:
        ordered, order = p.sort(dim=1, descending=True, stable=True)
        is_kept = ordered.cumsum(1) - ordered < how.top_p
        p = p.masked_fill(~torch.empty_like(is_kept).scatter(1, order, is_kept), 0.0)
    reached = p.double().cumsum(1)
    # the first place above: one of probability 0 adds nothing, so it is never the first
    above = torch.searchsorted(reached, numbers[:, None] * reached[:, -1:], right=True)
    return above[:, 0]


def _write(
    model: WritingModel,
    prefixes: Prefixes,
    numbers: Tensor,
    how: Drawing,
    *,
    guide: Guide | None,
) -> list[Written]:
    """One sampled text for each empty prefix, by random numbers [N, steps] in [0, 1)."""
    device, (n_rows, steps) = model.device, numbers.shape
    tokens = torch.full((n_rows, steps), model.end_id, device=device)
    log_p = torch.zeros(n_rows, dtype=torch.float64, device=device)
    lengths = torch.full((n_rows,), steps, device=device)
    is_finished = torch.zeros(n_rows, dtype=torch.bool, device=device)
    open_ = torch.arange(n_rows, device=device)
    texts = OpenTexts(model, prefixes, top_k=how.top_k, guide=guide)
    for step in range(steps):
        following = texts.next()
        place = _draw(following.scores, numbers[open_, step], how)[:, None]
        chosen = (place if following.tokens is None else following.tokens.gather(1, place))[:, 0]
        tokens[open_, step] = chosen
        log_p[open_] += following.log_p.gather(1, place)[:, 0].double()
        ends = chosen == model.end_id
        is_finished[open_[ends]], lengths[open_[ends]] = True, step + 1
        index = (~ends).nonzero()[:, 0]
        open_ = open_[index]
        if len(open_) == 0 or step + 1 == steps:
            break
        texts.advance(index, chosen[index])
    return [
        Written(tuple(row[:length]), value, finished)
        for row, length, value, finished in zip(
            tokens.tolist(), lengths.tolist(), log_p.tolist(), is_finished.tolist(), strict=True
        )
    ]
