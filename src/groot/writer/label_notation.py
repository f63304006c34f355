"""Labels as a token model writes them: windows of long texts, label search, steered search."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from groot.errors import ConfigError
from groot.guides.guide import Guide
from groot.models.codec import Codec
from groot.models.embedded import parameter_groups
from groot.models.loading import save_model
from groot.models.prompts import Prompts
from groot.models.scoring import candidate_log_p
from groot.models.text_model import TextModel
from groot.outputs.choose import Choice
from groot.outputs.marginals import Marginals, joined, marginals
from groot.search.found import united
from groot.search.label_search import Effort, first_width, label_search
from groot.search.steered_search import steered_search
from groot.targets import LabelFormat
from groot.targets.grammar import EncodedTarget, Symbol
from groot.targets.windows import Window
from groot.types import Candidate, Example, Gold, Task
from groot.writer.notation import Answer, Asked
from groot.writer.window_candidates import Searches, candidates_of


class LabelNotation:
    """The notation of a label format in the tokens of a codec.

    Args:
        codec: spells the format for a tokenizer.
        window_words: longer texts are cut into windows of so many words.
        window_overlap: words that neighbouring windows share.
    """

    choices: ClassVar[tuple[Choice, ...]] = ("top", "mbr")
    fit_selects_on: ClassVar[str] = "metric"
    can_vary: ClassVar[bool] = True
    has_proofs: ClassVar[bool] = True

    def __init__(self, codec: Codec, *, window_words: int, window_overlap: int) -> None:
        self.codec = codec
        self.window_words = window_words
        self.window_overlap = window_overlap

    @property
    def format(self) -> LabelFormat:
        """The label format."""
        return self.codec.form

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
        """How a reward model that reads targets spells plain text."""
        return Prompts(self.codec.tokenizer, is_causal=self.codec.is_causal)

    def n_written(self, example: Example) -> int:
        """The words of the text."""
        return len(example.words)

    def windows(self, example: Example) -> list[Window]:
        """The windows that an example is searched in; one for all but long texts."""
        return self.format.windows(
            example, max_words=self.window_words, overlap=self.window_overlap
        )

    def input_ids(self, example: Example) -> list[int]:
        """Token ids of the words, each behind its sentinel where the format has them."""
        return self.codec.input_ids(example)

    def varied_input_ids(
        self, example: Example, rng: random.Random, *, word_dropout: float, word_cuts: float
    ) -> list[int]:
        """The same with shares of the words hidden behind the unknown token, or cut in two."""
        codec, unknown = self.codec, self.codec.tokenizer.unk_token_id
        ids: list[int] = []
        for piece in self.format.input_pieces(example):
            if isinstance(piece, Symbol):
                ids += codec.symbol_ids(piece)
            elif unknown is not None and rng.random() < word_dropout:
                ids.append(unknown)
            elif len(piece) > 1 and rng.random() < word_cuts:
                ids += codec.cut_word_ids(piece, rng.randrange(1, len(piece)))
            else:
                ids += codec.word_ids(piece)
        return [*ids, *codec.tail]

    def encode(self, example: Example, output: Gold) -> str | None:
        """The target of an output as text."""
        return self.format.encode(example, output)

    def target(self, example: Example, output: Gold) -> EncodedTarget | None:
        """The target of an output in token ids."""
        return self.codec.encode(example, output)

    def can_write(self, target: EncodedTarget) -> bool:
        """Every target can be searched."""
        return True

    def unwritable(self, example: Example) -> str:
        """The gold is of labels that the format does not know."""
        return f"{example.gold!r} is not a known class"

    def log_p(
        self,
        model: TextModel,
        inputs: Sequence[Sequence[int]],
        candidates: Sequence[Sequence[EncodedTarget]],
    ) -> tuple[Tensor, Tensor]:
        """Normalised over what the grammar allows; see `candidate_log_p`."""
        return candidate_log_p(model, self.codec, inputs, candidates)

    def parameter_groups(
        self, model: TextModel, *, learning_rate: float, embedding_rate: float, weight_decay: float
    ) -> list[dict[str, Any]]:
        """Embeddings and positions at a rate of their own; see `embedded.parameter_groups`."""
        return parameter_groups(
            model,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            weight_decay=weight_decay,
        )

    def save_model(self, model: TextModel, folder: Path) -> None:
        """Write an ordinary transformers folder."""
        save_model(model, folder)

    def settings(self) -> dict[str, Any]:
        """What `groot.json` says of it."""
        return {
            "format": self.format.name,
            "labels": list(self.labels),
            "label_style": self.codec.label_style,
            "window_words": self.window_words,
            "window_overlap": self.window_overlap,
        }

    def answers(
        self,
        model: TextModel,
        examples: Sequence[Example],
        asked: Asked,
        *,
        inputs: Sequence[Sequence[int]] | None = None,
    ) -> list[Answer]:
        """The top k candidates of each example, proven unless the search was asked to be narrow.

        Texts of more than window_words words are searched window by window; the windows' targets
        count as independent, so the log_p of the whole is the sum.

        Raises:
            ConfigError: for a guide that chooses among whole texts.
        """
        if asked.guide is not None:
            return self._guided_answers(model, examples, asked)
        width = asked.width
        if asked.searched > asked.k and width is None:
            width = max(asked.searched, first_width(asked.k))
        cuts = [self.windows(example) for example in examples]
        searches = self._search(model, cuts, asked, width=width, inputs=inputs)
        answers = []
        for example, cut, of_text in zip(examples, cuts, searches, strict=True):
            candidates, _ = candidates_of(self.format, example, cut, of_text, asked.k)
            known = None
            if asked.with_marginals:
                known = self._marginals(example, cut, of_text, candidates)
            likeliest = candidates[0].output if candidates else None
            answers.append(Answer(candidates, tuple(of_text), known, likeliest=likeliest))
        return answers

    def _guided_answers(
        self, model: TextModel, examples: Sequence[Example], asked: Asked
    ) -> list[Answer]:
        """Ordered by log_p and what the guide adds; probabilities stay the model's own."""
        if not isinstance(asked.guide, Guide):
            raise ConfigError("a guide that chooses among whole texts does not steer labels.")
        cuts = [self.windows(example) for example in examples]
        pieces = [window.example for cut in cuts for window in cut]
        steered = iter(
            steered_search(
                model,
                self.codec,
                [self.input_ids(piece) for piece in pieces],
                [self.format.slots(piece) for piece in pieces],
                guide=asked.guide,
                k=asked.k,
                width=max(asked.guide_width, asked.k),
                batch_size=asked.batch_size,
            )
        )
        guided = [[next(steered) for _ in cut] for cut in cuts]
        plain = guided
        if asked.searched > asked.k:
            narrow = Asked(asked.searched, max_width=0, batch_size=asked.batch_size)
            plain = self._search(model, cuts, narrow, width=asked.searched)
        answers = []
        for example, cut, steered_of, plain_of in zip(examples, cuts, guided, plain, strict=True):
            candidates, scores = candidates_of(self.format, example, cut, steered_of, asked.k)
            likeliest, _ = candidates_of(self.format, example, cut, plain_of, 1)
            both = steered_of
            if plain_of is not steered_of:
                both = list(map(united, steered_of, plain_of))
            answers.append(
                Answer(
                    candidates,
                    (),
                    self._marginals(example, cut, both, []) if asked.with_marginals else None,
                    scores,
                    likeliest[0].output if likeliest else None,
                )
            )
        return answers

    def _search(
        self,
        model: TextModel,
        cuts: Sequence[list[Window]],
        asked: Asked,
        *,
        width: int | None,
        inputs: Sequence[Sequence[int]] | None = None,
    ) -> list[Searches]:
        """What was found in each window of each text."""
        pieces = [window.example for cut in cuts for window in cut]
        every = iter(
            label_search(
                model,
                self.codec,
                inputs or [self.input_ids(piece) for piece in pieces],
                [self.format.slots(piece) for piece in pieces],
                k=max(asked.k, asked.searched),
                effort=Effort(width, asked.max_width, asked.k),
                batch_size=asked.batch_size,
            )
        )
        return [[next(every) for _ in cut] for cut in cuts]

    def _marginals(
        self,
        example: Example,
        cut: list[Window],
        searches: Searches,
        known: Sequence[Candidate],
    ) -> Marginals:
        """Of a text in windows each span has the marginal of the window that says it.

        Args:
            known: of a text in one window, the candidates of its first paths, any number.
        """
        if len(cut) == 1:
            (search,), n_known = searches, len(known)
            more = zip(search.paths[n_known:], search.log_p[n_known:], strict=True)
            rest = [Candidate("", self.format.output(example, path), log_p) for path, log_p in more]
            return marginals([*known, *rest])
        parts = []
        for window, search in zip(cut, searches, strict=True):
            outputs = (self.format.output(window.example, path) for path in search.paths)
            moved = (self.format.merge(example, [window], [output or ()]) for output in outputs)
            scored = zip(moved, search.log_p, strict=True)
            parts.append(marginals([Candidate("", output, log_p) for output, log_p in scored]))
        return joined(parts)
