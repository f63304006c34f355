"""How examples and outputs are written down for a model, and how targets are found.

A `Writer` holds a model and a notation. The notation of labels and that of free text differ in
what an input, a target and a search are; everything that trains, measures or serves a writer asks
the notation and knows no kinds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor

from groot.guides.guide import Chooser, Guide
from groot.models.prompts import Prompts
from groot.outputs.choose import Choice
from groot.outputs.marginals import Marginals
from groot.search.found import Found
from groot.search.label_search import MAX_WIDTH
from groot.targets.grammar import EncodedTarget
from groot.targets.windows import Window
from groot.types import Candidate, Example, Gold, Task

Method = Literal["sample", "greedy", "beam"]


@dataclass(frozen=True, slots=True)
class Writing:
    """How texts are written.

    Args:
        method: "sample" draws them, in the order drawn; "greedy" takes the best token each time;
            "beam" gives the most probable texts that a beam finds, best first.
        temperature, top_k, top_p: of sampling.
        seed: of sampling.
        groups, diversity: of diverse beams.
        max_new_tokens: at which a text is cut, its end counted; None is the notation's own.
        batch_size: texts written together.
    """

    method: Method = "sample"
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    groups: int = 1
    diversity: float = 0.0
    max_new_tokens: int | None = None
    batch_size: int = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a search.

    Args:
        k: candidates wanted per text, best first.
        searched: candidates searched at least, for probabilities; only the first k are to be
            proven.
        width: prefixes that the first search keeps; None is what suits k.
        max_width: the widest search for a text whose top k is not proven; 0 searches once.
        with_marginals: whether the probabilities of spans and classes are wanted.
        guide: what steers the search.
        guide_width: prefixes that a guided search keeps, k at least; 1 is greedy.
        writing: how free text is written; None takes beams, or what a guide asks for. Labels are
            searched whatever it says.
        seed: of what a guide draws.
        batch_size: texts searched together.
    """

    k: int
    searched: int = 0
    width: int | None = None
    max_width: int = MAX_WIDTH
    with_marginals: bool = False
    guide: Guide | Chooser | None = None
    guide_width: int = 4
    writing: Writing | None = None
    seed: int = 0
    batch_size: int = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search gives for one text.

    Args:
        candidates: best first, at most as many as were asked for.
        searches: what was found in each window of the text, with certificates; nothing of a free
            text, or where a guide steered.
        marginals: of the spans or classes that the searched candidates have; None unless asked.
        scores: what a guide ordered the candidates by, best first; None where log_p did.
        likeliest: the output of the most probable candidate, whatever a guide put first.
    """

    candidates: list[Candidate]
    searches: tuple[Found, ...] = ()
    marginals: Marginals | None = None
    scores: tuple[float, ...] | None = None
    likeliest: Gold | None = None


class Notation(Protocol):
    """A target format as one kind of model writes it."""

    @property
    def task(self) -> Task:
        """What an output is: spans, classes or a text."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels or classes that it can write; none of free text."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Orders of candidates that a run evaluates."""

    @property
    def fit_selects_on(self) -> str:
        """The dev number that picks the weights of a fit where the settings name none."""

    @property
    def can_vary(self) -> bool:
        """Whether words of an input may be swapped or hidden while its gold stays known."""

    @property
    def has_proofs(self) -> bool:
        """Whether a search proves its candidates and gives the probability of what they say."""

    @property
    def prompts(self) -> Prompts:
        """How plain inputs and texts are spelled in the model's tokens."""

    def n_written(self, example: Example) -> int:
        """Words that are written for an example: those of its text, or of its reference."""

    def windows(self, example: Example) -> list[Window]:
        """The parts in which an example is written; one for all but long texts."""

    def input_ids(self, example: Example) -> Sequence[Any]:
        """The model's input for an example: token ids, or the words of an aligned labeler."""

    def varied_input_ids(
        self, example: Example, rng: random.Random, *, word_dropout: float, word_cuts: float
    ) -> Sequence[Any]:
        """The same with shares of the words hidden, or cut before they are spelled."""

    def encode(self, example: Example, output: Gold) -> str | None:
        """The target that an output is written as; None where no target can say it."""

    def target(self, example: Example, output: Gold) -> EncodedTarget | None:
        """The same target in ids of tokens, or of labels."""

    def can_write(self, target: EncodedTarget) -> bool:
        """Whether a target may be learnt: one that search could come to."""

    def unwritable(self, example: Example) -> str:
        """Why the gold of an example is no target, in words."""

    def log_p(
        self,
        model: Any,
        inputs: Sequence[Sequence[Any]],
        candidates: Sequence[Sequence[EncodedTarget]],
    ) -> tuple[Tensor, Tensor]:
        """log_p [B, K] in nats of the candidates of each input, and which are real [B, K]."""

    def answers(
        self,
        model: Any,
        examples: Sequence[Example],
        asked: Asked,
        *,
        inputs: Sequence[Sequence[Any]] | None = None,
    ) -> list[Answer]:
        """The candidates of each example.

        Args:
            inputs: to read in place of the examples' own, of texts in one window.
        """

    def parameter_groups(
        self, model: Any, *, learning_rate: float, embedding_rate: float, weight_decay: float
    ) -> list[dict[str, Any]]:
        """Groups of AdamW that suit the model.

        Args:
            embedding_rate: factor on the rate of embeddings, where they are tokens'.
        """

    def save_model(self, model: Any, folder: Path) -> None:
        """Write the model's files into a folder."""

    def settings(self) -> dict[str, Any]:
        """What `groot.json` says of it."""
