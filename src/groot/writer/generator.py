"""Generators: writers of free text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groot.errors import ModelError
from groot.guides.guide import Chooser, Guide
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.types import Candidate, Example
from groot.writer.text_notation import TextNotation, Writing
from groot.writer.writer import Writer


class Generator(Writer):
    """A writer of free text.

    Args:
        model: the language model, encoder-decoder or causal.
        separator: what ends the prompt of a causal model; None takes the tokenizer's own
            separator token, or else "=>".
        max_prompt_tokens: of a longer prompt the end is read.
        max_new_tokens: tokens of a text at most, its end included.
        settings: further ones of `Writer`.

    Raises:
        ModelError: if the model has too few positions for its prompts and texts.
    """

    notation: TextNotation

    def __init__(
        self,
        model: TextModel,
        *,
        separator: str | None = None,
        max_prompt_tokens: int = 128,
        max_new_tokens: int = 64,
        **settings: Any,
    ) -> None:
        prompts = Prompts(model.tokenizer, is_causal=model.is_causal, separator=separator)
        notation = TextNotation(
            prompts, max_prompt_tokens=max_prompt_tokens, max_new_tokens=max_new_tokens
        )
        super().__init__(model, notation, **settings)
        positions = getattr(model.config, "max_position_embeddings", None)
        needed = max_prompt_tokens + len(prompts.tail) + max_new_tokens
        if model.is_causal and positions is not None and needed > positions:
            raise ModelError(
                f"{needed} tokens of prompt and text together, but the model has {positions}"
                " positions.\n  Lower generation.max_prompt_tokens or generation.max_new_tokens."
            )

    @property
    def max_new_tokens(self) -> int:
        """Tokens of a text at most, its end included."""
        return self.notation.max_new_tokens

    def input_ids(self, prompt: str) -> list[int]:
        """Token ids of the model's input for a prompt."""
        return self.notation.input_ids(Example(prompt))

    def write(
        self,
        prompts: str | Sequence[str],
        *,
        n: int = 1,
        guide: Guide | Chooser | None = None,
        **writing: Any,
    ) -> list[list[Candidate]]:
        """Write n texts for each prompt; "" asks for any text.

        Args:
            prompts: one prompt or several.
            n: texts per prompt.
            guide: re-scores next tokens, or chooses among whole samples.
            writing: settings of `Writing`: method, temperature, top_k, top_p, seed and more.

        Returns:
            per prompt its candidates, in the order drawn or best first. A text without an end is
            malformed: its `output` is None, and `text` is what there is of it.

        Raises:
            ConfigError: for settings that do not fit each other.
        """
        given = [prompts] if isinstance(prompts, str) else prompts
        ids = [self.input_ids(prompt) for prompt in given]
        return self.notation.write(self.model, ids, n, Writing(**writing), guide=guide)
