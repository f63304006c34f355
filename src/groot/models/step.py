"""What a search is given: something that decodes step by step, and tables of what may follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from groot.targets.grammar import TokenGrammar


class Decoding(Protocol):
    """Targets being written, with whatever the model remembers of them."""

    def advance(self, tokens: Tensor, *, at: Tensor | slice | None = None) -> Tensor:
        """Feed tokens [N, m]; hidden states [N, m, d], the j-th predicts what follows token j.

        Args:
            at: the only ones of the m that are wanted.
        """

    def reorder(self, index: Tensor | slice, texts: Tensor | slice | None = None) -> None:
        """Keep the targets `index` [N'], in that order, repeats allowed.

        Args:
            texts: which texts are kept, where that is known: all have the same number of rows
                before, and the same number of rows after, in `index`, in this order.
        """

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens of each target, the start token not counted."""

    def grow(self, tokens: Tensor, places: Tensor, sees: Tensor, *, at: Tensor) -> Tensor:
        """Feed tokens [1, m] that need not follow each other: one row holds a tree of targets.

        Only where the model `grows`.

        Args:
            places: [T] of all tokens so far and these in their targets, the start token counted.
            sees: [m, T] bool: which tokens stand before each in its target, or are it; those with
                a later place are of no consequence.
            at: the only ones of the m whose hidden states are wanted.
        """


class StepModel(Protocol):
    """A model that decodes step by step; `models.TextModel` is one."""

    training: bool

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""

    @property
    def grows(self) -> bool:
        """Whether the decodings that `begin` returns can `grow`."""

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""

    def encode(self, inputs: Sequence[Sequence[int]]) -> Any:
        """Encode inputs once."""

    def begin(
        self,
        memory: Any,
        rows: Tensor,
        tokens: Tensor,
        *,
        lexicon: Tensor | None = None,
        at: Tensor | slice | None = None,
    ) -> tuple[Any, Tensor]:
        """A Decoding of targets of the inputs `rows` [N] that begin with tokens [N, m].

        Args:
            lexicon: ids of the only tokens that will be fed, where they are known, ascending.
            at: the only ones of the hidden states that are wanted.

        Returns:
            it, and hidden states [N, m + 1, d] that predict the tokens and what follows them.
        """

    def logits(self, hidden: Tensor, ids: Tensor | None = None) -> Tensor:
        """Logits of hidden states [..., d] over the vocabulary, or over the tokens `ids` only."""


@contextmanager
def evaluating(model: StepModel) -> Iterator[None]:
    """Dropout off inside; afterwards the model is in the mode that it was in."""
    was_training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(was_training)


class Spelling(Protocol):
    """A label grammar in token ids; `models.Codec` is one."""

    grammar: TokenGrammar

    def glue_ids(self, n_slots: int) -> list[tuple[int, ...]]:
        """Forced ids before each slot, and last those behind the last slot."""

    @property
    def choice_ids(self) -> Tensor:
        """[A] every token id that is ever a choice, ascending."""

    @property
    def is_allowed(self) -> Tensor:
        """[states, A] bool: which of `choice_ids` may follow in each state of the grammar."""
