"""Targets of a label format as labels of words, or as a class, that an aligned labeler writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from groot.errors import ConfigError
from groot.models.aligned.label_decoder import NO_LABEL
from groot.targets import LabelFormat, SentinelTags, SingleClass
from groot.targets.grammar import Symbol
from groot.targets.sentinel_tags import INSIDE, OUTSIDE


class Spelling(Protocol):
    """How the symbols of a format's paths are written.

    Args:
        form: the format.
        tags: the labels that a word may have, by id.
        classes: those of a text, by id; () where words have the labels.
    """

    form: LabelFormat
    tags: tuple[str, ...]
    classes: tuple[str, ...]

    def ids(self, path: Sequence[str]) -> tuple[int, ...]:
        """The ids of a legal path's symbols."""

    def path(self, ids: Sequence[int]) -> tuple[Symbol, ...]:
        """The symbols of legal ids."""

    def as_outputs(self, ids: Tensor, n_words: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Paths [B, K, T] and classes [B, K] of targets' ids [B, K, T], as `log_p` takes them."""


class WordTags:
    """Spans: "O", and of each label "B-" that opens a span and "I-" that continues it.

    The tag scheme allows "I-" of a label behind its own tags alone, so that its legal rows of tags
    and the format's legal paths are the same outputs.
    """

    classes: tuple[str, ...] = ()

    def __init__(self, form: LabelFormat) -> None:
        self.form = form
        opening = [c.symbol for c in form.grammar.choices[0] if c.symbol != OUTSIDE]
        both = [(symbol, INSIDE) for symbol in opening]
        self.symbols = (OUTSIDE, *(symbol for pair in both for symbol in pair))
        self.tags = ("O", *(tag for symbol in opening for tag in (f"B-{symbol}", f"I-{symbol}")))
        self._opens = {symbol: 2 * index + 1 for index, symbol in enumerate(opening)}

    def ids(self, path: Sequence[str]) -> tuple[int, ...]:
        """The ids of a legal path's symbols."""
        ids: list[int] = []
        opened = 0
        for symbol in path:
            if symbol == INSIDE:
                ids.append(opened + 1)
                continue
            opened = 0 if symbol == OUTSIDE else self._opens[Symbol(symbol)]
            ids.append(opened)
        return tuple(ids)

    def path(self, ids: Sequence[int]) -> tuple[Symbol, ...]:
        """The symbols of legal ids."""
        return tuple(self.symbols[label] for label in ids)

    def as_outputs(self, ids: Tensor, n_words: Sequence[int]) -> tuple[Tensor, None]:
        """The ids are the paths."""
        return ids, None


class OneClass:
    """One class a text, written before its labels, which are all "O"."""

    tags: tuple[str, ...] = ("O",)

    def __init__(self, form: LabelFormat) -> None:
        self.form = form
        self.symbols = tuple(choice.symbol for choice in form.grammar.choices[0])
        self.classes = tuple(form.labels)

    def ids(self, path: Sequence[str]) -> tuple[int, ...]:
        """The id of the class."""
        return tuple(self.symbols.index(Symbol(symbol)) for symbol in path)

    def path(self, ids: Sequence[int]) -> tuple[Symbol, ...]:
        """The symbol of the class."""
        return tuple(self.symbols[index] for index in ids)

    def as_outputs(self, ids: Tensor, n_words: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The first id is the class; each word has the one label."""
        places = torch.arange(ids.shape[2])
        is_word = places < torch.tensor(n_words)[:, None, None]  # [B, 1, T]
        paths = torch.where(is_word, 0, NO_LABEL).expand(ids.shape)
        return paths, ids[:, :, 0].clamp(min=0)


SPELLINGS: dict[str, type[WordTags | OneClass]] = {
    SentinelTags.name: WordTags,
    SingleClass.name: OneClass,
}


def spelling_of(form: LabelFormat) -> WordTags | OneClass:
    """How an aligned labeler writes the targets of a format.

    Raises:
        ConfigError: it cannot.
    """
    if form.name not in SPELLINGS:
        raise ConfigError(
            f"aligned labelers write spans, or one class a text; this data has {form.name}."
            " Leave out --model, or name a token model, for any number of classes."
        )
    return SPELLINGS[form.name](form)
