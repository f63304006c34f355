"""Labelers: writers of spans or classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groot.models.codec import Codec, LabelStyle
from groot.models.text_model import TextModel
from groot.targets import LabelFormat
from groot.targets.windows import Window
from groot.types import Example
from groot.writer.label_notation import LabelNotation
from groot.writer.writer import Writer


class Labeler(Writer):
    """A writer that labels texts.

    Args:
        model: the language model.
        form: the label format.
        label_style: labels as one new token each, or as words.
        window_words: longer texts are cut into windows of so many words.
        window_overlap: words that neighbouring windows share.
        reward_specs: what it was optimised for, as given; used by choose="mbr".
        settings: further ones of `Writer`.
    """

    notation: LabelNotation

    def __init__(
        self,
        model: TextModel,
        form: LabelFormat,
        *,
        label_style: LabelStyle = "token",
        window_words: int = 64,
        window_overlap: int = 16,
        reward_specs: Sequence[str] = ("f1",),
        **settings: Any,
    ) -> None:
        codec = Codec(
            form,
            model.tokenizer,
            label_style=label_style,
            max_words=window_words,
            is_causal=model.is_causal,
        )
        notation = LabelNotation(codec, window_words=window_words, window_overlap=window_overlap)
        super().__init__(model, notation, reward_specs=reward_specs, **settings)

    @property
    def form(self) -> LabelFormat:
        """The label format."""
        return self.notation.format

    @property
    def codec(self) -> Codec:
        """The format in the ids of the model's tokenizer."""
        return self.notation.codec

    @property
    def window_words(self) -> int:
        """Words that are labelled at once, at most."""
        return self.notation.window_words

    @property
    def window_overlap(self) -> int:
        """Words that neighbouring windows share."""
        return self.notation.window_overlap

    def windows(self, example: Example) -> list[Window]:
        """The windows that an example is searched in; one for all but long texts."""
        return self.notation.windows(example)
