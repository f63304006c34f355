"""A label format spelled in a tokenizer's ids: inputs, targets, and the tables of search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from groot.errors import ModelError
from groot.targets.format import LabelFormat
from groot.targets.grammar import END, EncodedTarget, Symbol, TokenGrammar, is_sentinel, spell
from groot.targets.sentinel_tags import INSIDE, OUTSIDE
from groot.types import Example, Gold

LabelStyle = Literal["token", "words"]
UNDERSCORES = str.maketrans({"_": " ", ".": " ", "-": " ", "/": " "})


class Codec:
    """Spells a format's inputs and targets in token ids.

    Args:
        form: the label format.
        tokenizer: the tokenizer, which already holds the symbols (see `add_symbols`).
        label_style: each label is one token of its own, or the words of its name.
        max_words: words per input at most, which is the number of sentinels.
        is_causal: whether inputs are prompts, closed by a separator instead of the end token.
    """

    def __init__(
        self,
        form: LabelFormat,
        tokenizer: Any,
        *,
        label_style: LabelStyle,
        max_words: int,
        is_causal: bool,
    ) -> None:
        self.form = form
        self.tokenizer = tokenizer
        self.label_style = label_style
        self.max_words = max_words
        self.is_causal = is_causal
        self._word_ids: dict[str, tuple[int, ...]] = {}
        self._symbol_ids: dict[str, tuple[int, ...]] = {}
        self._glue_ids: dict[int, list[tuple[int, ...]]] = {}
        self._space = _space(tokenizer)
        self.tail = self._words("=>") if is_causal else (int(tokenizer.eos_token_id),)
        self.grammar: TokenGrammar = spell(form.grammar, self.symbol_ids)

    def _words(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(self._space + text, add_special_tokens=False))

    def word_ids(self, word: str) -> tuple[int, ...]:
        """Token ids of one word of a text."""
        if word not in self._word_ids:
            self._word_ids[word] = self._words(word)
        return self._word_ids[word]

    def cut_word_ids(self, word: str, at: int) -> tuple[int, ...]:
        """Token ids of a word cut in two at a place: its beginning, then the rest spelled on."""
        rest = self._joined(word[at:])
        return (*self._words(word[:at]), *rest)

    def _joined(self, text: str) -> tuple[int, ...]:
        """Token ids of the rest of a word, as after its beginning."""
        mark = self._words("x")
        whole = self._words("x" + text)
        if whole[: len(mark)] == mark:
            return whole[len(mark) :]
        return self._words(text)

    def symbol_ids(self, symbol: str) -> tuple[int, ...]:
        """Token ids of a symbol: a sentinel, a label, the end."""
        if symbol not in self._symbol_ids:
            self._symbol_ids[symbol] = self._spell_symbol(symbol)
        return self._symbol_ids[symbol]

    def _spell_symbol(self, symbol: str) -> tuple[int, ...]:
        if symbol == END:
            return (int(self.tokenizer.eos_token_id),)
        token = token_of(symbol, self.label_style, self.tokenizer)
        if token is None:
            words = self._words(symbol.translate(UNDERSCORES).strip() or symbol)
            return (*words, int(self.tokenizer.convert_tokens_to_ids(STOP)))
        return (int(self.tokenizer.convert_tokens_to_ids(token)),)

    def input_ids(self, example: Example) -> list[int]:
        """Token ids of the model's input."""
        ids: list[int] = []
        for piece in self.form.input_pieces(example):
            ids += self.symbol_ids(piece) if isinstance(piece, Symbol) else self.word_ids(piece)
        return [*ids, *self.tail]

    def glue_ids(self, n_slots: int) -> list[tuple[int, ...]]:
        """Forced ids before each slot, and last those behind the last slot."""
        if n_slots not in self._glue_ids:
            self._glue_ids[n_slots] = [
                tuple(
                    i for symbol in self.form.glue(slot, n_slots) for i in self.symbol_ids(symbol)
                )
                for slot in range(n_slots + 1)
            ]
        return self._glue_ids[n_slots]

    def encode(self, example: Example, gold: Gold) -> EncodedTarget | None:
        """The target of a gold or candidate output in ids; None where no target can say it."""
        path = self.form.path(example, gold)
        return None if path is None else self.encode_path(example, path)

    def encode_path(self, example: Example, path: Sequence[str]) -> EncodedTarget:
        """The target of a path of choices in ids."""
        return self.grammar.encode(path, self.glue_ids(self.form.slots(example)), self.symbol_ids)

    @cached_property
    def choice_ids(self) -> Tensor:
        """[A] every token id that is ever a choice: the only rows of the output layer needed."""
        with torch.inference_mode(False):  # asked for in a search first, used in training later
            return torch.tensor(sorted({t for tokens in self.grammar.tokens for t in tokens}))

    @cached_property
    def is_allowed(self) -> Tensor:
        """[states, A] bool: which of `choice_ids` may follow in each state of the grammar."""
        place = {int(token): index for index, token in enumerate(self.choice_ids)}
        with torch.inference_mode(False):
            allowed = torch.zeros((len(self.grammar.tokens), len(place)), dtype=torch.bool)
        for state, tokens in enumerate(self.grammar.tokens):
            allowed[state, [place[token] for token in tokens]] = True
        return allowed


STOP = "<.>"  # closes a label that is written as words, so that no label begins another


def token_of(symbol: str, label_style: LabelStyle, tokenizer: Any) -> str | None:
    """The one token that spells a symbol; None for a label that is written as words."""
    if is_sentinel(symbol):
        ready = f"<extra_id_{symbol[2:-1]}>"  # T5 was trained with these
        return ready if ready in tokenizer.get_vocab() else symbol
    if label_style == "token" or symbol in (OUTSIDE, INSIDE):
        return f"<tag:{symbol}>"
    return None


def symbols_to_add(
    form: LabelFormat, tokenizer: Any, *, label_style: LabelStyle, max_words: int
) -> list[str]:
    """Tokens that a tokenizer lacks for a format, in a fixed order."""
    symbols = [choice.symbol for choices in form.grammar.choices for choice in choices]
    symbols += form.sentinels(max_words)
    tokens = [token_of(symbol, label_style, tokenizer) for symbol in dict.fromkeys(symbols)]
    wanted = dict.fromkeys(token for token in tokens if token is not None)
    if None in tokens:
        wanted[STOP] = None
    vocabulary = tokenizer.get_vocab()
    return [token for token in wanted if token not in vocabulary]


def _space(tokenizer: Any) -> str:
    """What to put before a word so that it is cut as it would be inside a text."""

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no end token (eos_token), which every target needs")
    whole = ids("a b")
    return "" if whole == ids("a") + ids("b") else " "
