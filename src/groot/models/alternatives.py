"""Several alternatives for the next token of each prefix in one call, and one of them kept.

Absolute and rotary positions allow the cheap way: k alternatives stand at k places of one row, all
at the same position, each sees the prefix and itself, and the keys and values of the one that is
kept are moved to the end of the prefix. So the prefix is neither run nor copied k times. Models
whose positions follow from the place in the row (T5, BART) get k rows.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from groot.errors import ShapeError
from groot.models.t5.decoding import T5Decoding, is_identity
from groot.models.text_model import Decoding, Memory, TextModel, select

GROWTH = 64  # tokens by which a full buffer grows


class Alternatives(ABC):
    """N prefixes of targets with what the model remembers of them.

    Args:
        hidden: [N, d] hidden state that predicts the next token of each prefix.
    """

    def __init__(self, hidden: Tensor) -> None:
        self.hidden = hidden
        self._fed: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def feed(self, tokens: Tensor) -> Tensor:
        """Hidden states [N, k, d] behind each of k alternatives [N, k]; the prefixes stay."""
        hidden = self._feed(tokens)
        self._fed = (tokens, hidden)
        return hidden

    @torch.no_grad()
    def keep(self, index: Tensor, tokens: Tensor) -> bool:
        """Keep the prefixes `index` [N'], each with its next of `tokens` [N'].

        Returns:
            whether the model had to run: not where these were among the tokens fed just before.
        """
        choice = None if self._fed is None else place_of(tokens, self._fed[0][index])
        must_run = choice is None
        if choice is None:
            if not is_identity(index, len(self.hidden)):
                self._select(index)
            index = torch.arange(len(tokens), device=tokens.device)
            choice = torch.zeros_like(tokens)
            self._fed = (tokens[:, None], self._feed(tokens[:, None]))
        assert self._fed is not None
        self.hidden = self._fed[1][index, choice]
        self._take(index, choice)
        self._fed = None
        return must_run

    @abstractmethod
    def _feed(self, tokens: Tensor) -> Tensor:
        """`feed`, which also leaves behind what `_take` needs."""

    @abstractmethod
    def _take(self, index: Tensor, choice: Tensor) -> None:
        """Keep prefixes, each with one of the alternatives that were fed just before."""

    @abstractmethod
    def _select(self, index: Tensor) -> None:
        """Keep prefixes as they are."""


def place_of(tokens: Tensor, among: Tensor) -> Tensor | None:
    """Where each of tokens [N] stands in its row of `among` [N, k]; None if one is missing."""
    is_it = among == tokens[:, None]
    return is_it.int().argmax(1) if bool(is_it.any(1).all()) else None


@torch.no_grad()
def begin_alternatives(
    model: TextModel, memory: Memory, rows: Tensor, tokens: Tensor | None = None
) -> Alternatives:
    """Prefixes of N targets, for a model in evaluation mode.

    Args:
        memory: of B inputs.
        rows: [N] which input each belongs to; ascending.
        tokens: [N, m] what the prefixes begin with; None for empty ones.
    """
    if tokens is None:
        tokens = torch.zeros((len(rows), 0), dtype=torch.long, device=rows.device)
    if model.is_causal and can_share_rows(model):
        return _CausalAlternatives(model, memory, rows, tokens)
    decoding, hidden = model.begin(memory, rows, tokens)
    return _RowAlternatives(decoding, hidden[:, -1])


def can_share_rows(model: TextModel) -> bool:
    """Whether alternatives may stand in one row: attention takes any mask, and sees all keys."""
    takes_masks = model.config._attn_implementation in ("sdpa", "eager")
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    return model.is_causal and takes_masks and kinds == {"full_attention"}


class _Slots(DynamicLayer):
    """Keys and values of one layer in a buffer with room at its end."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.done = keys.shape[2]
        self.keys, self.values = _with_room(keys, GROWTH), _with_room(values, GROWTH)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write behind what is done; all keys and values, the new ones included."""
        end = self.done + key_states.shape[2]
        if end > self.keys.shape[2]:
            more = end - self.keys.shape[2] + GROWTH
            self.keys, self.values = _with_room(self.keys, more), _with_room(self.values, more)
        self.keys[:, :, self.done : end] = key_states
        self.values[:, :, self.done : end] = value_states
        return self.keys[:, :, :end], self.values[:, :, :end]

    def take(self, index: Tensor, choice: Tensor) -> None:
        """Keep rows, each with one of the slots behind what is done as its next token."""
        key = self.keys[index, :, self.done + choice]
        value = self.values[index, :, self.done + choice]
        if not is_identity(index, len(self.keys)):
            self.select(index)
        self.keys[:, :, self.done], self.values[:, :, self.done] = key, value
        self.done += 1

    def select(self, index: Tensor) -> None:
        """Keep rows as they are."""
        self.keys, self.values = self._rows(self.keys, index), self._rows(self.values, index)

    def _rows(self, buffer: Tensor, index: Tensor) -> Tensor:
        moved = buffer.new_empty((len(index), *buffer.shape[1:]))
        moved[:, :, : self.done] = buffer[index, :, : self.done]
        return moved


def _with_room(buffer: Tensor, more: int) -> Tensor:
    shape = (*buffer.shape[:2], buffer.shape[2] + more, buffer.shape[3])
    wide = buffer.new_empty(shape)
    wide[:, :, : buffer.shape[2]] = buffer
    return wide


class _CausalAlternatives(Alternatives):
    """k alternatives in one row, at one position, each masked from the others."""

    def __init__(self, model: TextModel, memory: Memory, rows: Tensor, tokens: Tensor) -> None:
        cache, hidden = select(memory.cache, rows), memory.states[rows]
        if tokens.shape[1]:
            hidden = model._prompted(cache, memory.mask[rows], tokens, 0).last_hidden_state
        super().__init__(hidden[:, -1])
        self._decoder: Any = model._parts[2]
        self._limit = position_limit(model)
        self._cache = DynamicCache()
        layers: list[Any] = cache.layers
        self._slots = [_Slots(layer.keys, layer.values) for layer in layers]
        self._cache.layers = list(self._slots)
        self._mask = torch.nn.functional.pad(memory.mask[rows], (0, tokens.shape[1]), value=True)
        self._positions = self._mask.sum(1)  # [N] of the next token

    def _feed(self, tokens: Tensor) -> Tensor:
        n, k = tokens.shape
        if self._limit is not None and int(self._positions.max()) >= self._limit:
            raise ShapeError(
                f"input and output together are longer than the {self._limit} positions that the"
                " model has. Give shorter inputs, or stop earlier."
            )
        own = torch.eye(k, dtype=torch.bool, device=tokens.device)
        past = self._mask[:, None].expand(-1, k, -1)
        is_seen = torch.cat([past, own[None].expand(n, -1, -1)], dim=2)
        # numbers, not bools: the slowest implementation of attention adds the mask to the scores
        mask = torch.zeros(is_seen.shape, dtype=self.hidden.dtype, device=tokens.device)
        mask = mask.masked_fill(~is_seen, torch.finfo(mask.dtype).min)
        hidden: Tensor = self._decoder(
            input_ids=tokens,
            attention_mask=mask[:, None],
            position_ids=self._positions[:, None].expand(-1, k),
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        return hidden

    def _take(self, index: Tensor, choice: Tensor) -> None:
        for layer in self._slots:
            layer.take(index, choice)
        self._mask = torch.nn.functional.pad(self._mask[index], (0, 1), value=True)
        self._positions = self._positions[index] + 1

    def _select(self, index: Tensor) -> None:
        for layer in self._slots:
            layer.select(index)
        self._mask, self._positions = self._mask[index], self._positions[index]


class _RowAlternatives(Alternatives):
    """k rows with a copy of the prefix each, for models whose positions follow from the slot."""

    def __init__(self, decoding: Decoding | T5Decoding, hidden: Tensor) -> None:
        super().__init__(hidden)
        self._decoding = decoding
        self._wide = decoding  # with a row for each alternative
        self._k = 1

    def _feed(self, tokens: Tensor) -> Tensor:
        n, self._k = tokens.shape
        rows = torch.arange(n, device=tokens.device).repeat_interleave(self._k)
        self._wide = copy.copy(self._decoding)
        if isinstance(self._wide, T5Decoding):
            self._wide.past = list(self._wide.past)  # reordering replaces what the list holds
        self._wide.reorder(rows)
        return self._wide.advance(tokens.reshape(-1, 1)).reshape(n, self._k, -1)

    def _take(self, index: Tensor, choice: Tensor) -> None:
        self._decoding = self._wide
        self._decoding.reorder(index * self._k + choice)

    def _select(self, index: Tensor) -> None:
        self._decoding.reorder(index)


def position_limit(model: TextModel) -> int | None:
    """Tokens of input and output together that a causal model has positions for; None: any."""
    return getattr(model.config, "max_position_embeddings", None) if model.is_causal else None
