"""Labels as an aligned labeler writes them: one for each word, or one class; all of it exact."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from groot.errors import ConfigError, ModelError
from groot.models.aligned.folders import save_aligned
from groot.models.aligned.label_decoder import NO_LABEL
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.parameter_groups import aligned_groups
from groot.models.prompts import Prompts
from groot.outputs.choose import Choice
from groot.outputs.items import Item
from groot.outputs.marginals import Marginal, Marginals, joined
from groot.targets import LabelFormat
from groot.targets.grammar import EncodedTarget
from groot.targets.windows import Window, merge
from groot.types import Example, Gold, Span, Task
from groot.writer.aligned_search import ExactText, exact_search
from groot.writer.aligned_spelling import Spelling, spelling_of
from groot.writer.notation import Answer, Asked
from groot.writer.window_candidates import candidates_of

KIND = "aligned"  # of the model that groot.json tells of
NO_WORDS = ("",)  # what is read of a text without words
HIDDEN_WORD = "\N{REPLACEMENT CHARACTER}"  # has no row in a table of words, nor have its features


class AlignedNotation:
    """The notation of a label format in the labels of aligned labelers.

    A target holds an id for each word, or that of a class. Inputs are words.

    Args:
        form: spans, or one class a text.
        window_words: longer texts are cut into windows of so many words.
        window_overlap: words that neighbouring windows share.

    Raises:
        ConfigError: texts have any number of classes.
    """

    choices: ClassVar[tuple[Choice, ...]] = ("top", "mbr")
    fit_selects_on: ClassVar[str] = "metric"
    can_vary: ClassVar[bool] = True
    has_proofs: ClassVar[bool] = True

    def __init__(self, form: LabelFormat, *, window_words: int, window_overlap: int) -> None:
        self.format = form
        self.spelling: Spelling = spelling_of(form)
        self.window_words = window_words
        self.window_overlap = window_overlap

    @property
    def task(self) -> Task:
        """Spans or classes."""
        return self.format.task

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the format."""
        return tuple(self.format.labels)

    @property
    def prompts(self) -> Prompts:
        """There are none.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            "an aligned labeler reads words, not tokens, so that no reward model of tokens and no"
            " guide goes with it. Train a token labeler for that: leave out --model words."
        )

    def n_written(self, example: Example) -> int:
        """The words of the text."""
        return len(example.words)

    def windows(self, example: Example) -> list[Window]:
        """The windows that an example is searched in; one for all but long texts."""
        return self.format.windows(
            example, max_words=self.window_words, overlap=self.window_overlap
        )

    def input_ids(self, example: Example) -> list[str]:
        """The words themselves."""
        return list(example.words)

    def varied_input_ids(
        self, example: Example, rng: random.Random, *, word_dropout: float, word_cuts: float
    ) -> list[str]:
        """The words, a share of them hidden; they are not spelled in pieces that cuts could vary.

        Args:
            word_cuts: of no account.
        """
        if not word_dropout:
            return list(example.words)
        return [HIDDEN_WORD if rng.random() < word_dropout else word for word in example.words]

    def encode(self, example: Example, output: Gold) -> str | None:
        """The target of an output as text, the same that token labelers have."""
        return self.format.encode(example, output)

    def target(self, example: Example, output: Gold) -> EncodedTarget | None:
        """The target of an output in ids of labels, all of them decisions."""
        path = self.format.path(example, output)
        if path is None:
            return None
        ids = self.spelling.ids(path)
        return EncodedTarget(ids, tuple(range(len(ids))), (0,) * len(ids))

    def can_write(self, target: EncodedTarget) -> bool:
        """Every target can be searched."""
        return True

    def unwritable(self, example: Example) -> str:
        """The gold is of labels that the format does not know."""
        return f"{example.gold!r} is not a known class"

    def log_p(
        self,
        model: AlignedLabeler,
        inputs: Sequence[Sequence[str]],
        candidates: Sequence[Sequence[EncodedTarget]],
    ) -> tuple[Tensor, Tensor]:
        """log_p [B, K] in nats, 0 in padding, and is_real [B, K]; an input is encoded once."""
        n_candidates = max(map(len, candidates), default=0)
        texts = [words or NO_WORDS for words in inputs]
        is_real = torch.zeros((len(texts), n_candidates), dtype=torch.bool)
        ids = torch.full((*is_real.shape, max(map(len, texts), default=0)), NO_LABEL)
        for row, targets in enumerate(candidates):
            is_real[row, : len(targets)] = True
            for column, target in enumerate(targets):
                ids[row, column, : len(target.tokens)] = torch.tensor(target.tokens)
        if not n_candidates:
            return torch.zeros(is_real.shape), is_real
        paths, classes = self.spelling.as_outputs(ids, [len(words) for words in texts])
        totals = model.log_p(texts, paths, classes)
        is_real = is_real.to(totals.device)
        return totals.masked_fill(~is_real, 0.0), is_real

    def parameter_groups(
        self,
        model: AlignedLabeler,
        *,
        learning_rate: float,
        embedding_rate: float,
        weight_decay: float,
    ) -> list[dict[str, Any]]:
        """Groups for AdamW with the rates that suit these networks, see `aligned_groups`."""
        return aligned_groups(model, learning_rate=learning_rate, weight_decay=weight_decay)

    def save_model(self, model: AlignedLabeler, folder: Path) -> None:
        """Write the weights, and all that tells how to load them."""
        save_aligned(model, folder)

    def settings(self) -> dict[str, Any]:
        """What `groot.json` says of it."""
        return {
            "format": self.format.name,
            "model": KIND,
            "labels": list(self.labels),
            "window_words": self.window_words,
            "window_overlap": self.window_overlap,
        }

    def answers(
        self,
        model: AlignedLabeler,
        examples: Sequence[Example],
        asked: Asked,
        *,
        inputs: Sequence[Sequence[str]] | None = None,
    ) -> list[Answer]:
        """The top k candidates of each example, proven, and exact probabilities.

        How wide a search may be is of no account: it is exact in time linear in the text.

        Raises:
            ConfigError: for a guide.
        """
        if asked.guide is not None:
            raise ConfigError(
                "guides score tokens, which an aligned labeler does not write. Leave out the"
                " guide, or train a token labeler: without --model words."
            )
        cuts = [self.windows(example) for example in examples]
        pieces = [window.example for cut in cuts for window in cut]
        words = inputs or [piece.words for piece in pieces]
        every = iter(self._search(model, pieces, words, asked))
        return [
            self._answer(example, cut, [next(every) for _ in cut], asked)
            for example, cut in zip(examples, cuts, strict=True)
        ]

    def _search(
        self,
        model: AlignedLabeler,
        pieces: Sequence[Example],
        inputs: Sequence[Sequence[str]],
        asked: Asked,
    ) -> list[ExactText]:
        """Each piece's outputs, searched in batches of like length."""
        model.eval()
        order = sorted(range(len(pieces)), key=lambda place: len(inputs[place]))
        searched: dict[int, ExactText] = {}
        for first in range(0, len(order), asked.batch_size):
            places = order[first : first + asked.batch_size]
            exact = exact_search(
                self.spelling,
                model.tables([inputs[place] or NO_WORDS for place in places]),
                [pieces[place] for place in places],
                k=max(asked.k, asked.searched),
                with_marginals=asked.with_marginals,
            )
            searched |= dict(zip(places, exact, strict=True))
        return [searched[place] for place in range(len(pieces))]

    def _answer(
        self, example: Example, cut: list[Window], exact: list[ExactText], asked: Asked
    ) -> Answer:
        searches = [text.found for text in exact]
        candidates, _ = candidates_of(self.format, example, cut, searches, asked.k)
        known = None
        if asked.with_marginals:
            parts = [text.marginals for text in exact]
            if len(cut) > 1:
                parts = [
                    moved(example, window, part) for window, part in zip(cut, parts, strict=True)
                ]
            known = joined(parts)
        likeliest = candidates[0].output if candidates else None
        return Answer(candidates, tuple(searches), known, likeliest=likeliest)


def moved(example: Example, window: Window, marginals: Marginals) -> Marginals:
    """The marginals of a window's spans as those of the whole text; others' are left out."""
    spans = [(item, known) for item, known in marginals.of.items() if isinstance(item, Span)]
    own: dict[Item, Marginal] = {
        span: known for item, known in spans for span in merge(example, [window], [(item,)])
    }
    return dataclasses.replace(marginals, of=own)
