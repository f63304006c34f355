"""Prompts and free texts in a tokenizer's ids, for encoder-decoder and causal models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groot.errors import ModelError

SEPARATOR = "<sep>"  # the token of models that are made on the spot
PLAIN_SEPARATOR = "=>"  # what stands for it in a tokenizer that has no such token


class Prompts:
    """Spells prompts and texts in token ids.

    An encoder-decoder model reads the prompt and the end token; an empty prompt is the end token
    alone. A causal model reads the prompt and a separator, and goes on with the text. What looks
    like a special token inside a prompt or a text is spelled as the characters it is made of.

    Args:
        tokenizer: with an end token.
        is_causal: whether the model reads the prompt and writes the text in one row.
        separator: what ends the prompt of a causal model; None takes the tokenizer's own
            separator token, or else "=>".

    Raises:
        ModelError: if the tokenizer has no end token.
    """

    def __init__(self, tokenizer: Any, *, is_causal: bool, separator: str | None = None) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no end token (eos_token), which every text needs")
        self.tokenizer = tokenizer
        self.is_causal = is_causal
        self.end_id = int(tokenizer.eos_token_id)
        if separator is None:
            has_token = SEPARATOR in tokenizer.get_vocab()
            separator = SEPARATOR if has_token else PLAIN_SEPARATOR
        self.separator = separator
        spelled = tokenizer.encode(separator, add_special_tokens=False)
        self.tail: tuple[int, ...] = tuple(spelled) if is_causal else (self.end_id,)
        if not self.tail:
            raise ModelError(f"separator {separator!r} has no token; name another")

    def _ids(self, text: str) -> list[int]:
        spelled = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return [int(token) for token in spelled]

    def input_ids(self, prompt: str, *, limit: int | None = None) -> list[int]:
        """Token ids of the model's input.

        Args:
            prompt: any text, "" for none.
            limit: tokens of the prompt at most; of a longer one the end is kept.
        """
        ids = self._ids(prompt) if prompt else []
        if limit is not None and len(ids) > limit:
            ids = ids[len(ids) - limit :]
        return [*ids, *self.tail]

    def target_ids(self, text: str) -> list[int]:
        """Token ids of a whole text, the end token included."""
        return [*self._ids(text), self.end_id]

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids; the end token and other special ones are left out."""
        return str(
            self.tokenizer.decode(
                list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
