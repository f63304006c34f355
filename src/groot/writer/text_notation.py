"""Free text as a model writes it: prompts in, texts out, by beams or drawn."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from groot.errors import ConfigError
from groot.guides.guide import Chooser, Guide, Written
from groot.models.embedded import parameter_groups
from groot.models.loading import save_model
from groot.models.prompts import Prompts
from groot.models.scoring import candidate_log_p
from groot.models.text_model import TextModel
from groot.outputs.choose import Choice
from groot.search.beams import beam_search
from groot.search.sampling import sample
from groot.targets.grammar import EncodedTarget
from groot.targets.windows import Window
from groot.types import Candidate, Example, Gold, Task
from groot.writer.notation import Answer, Asked, Method, Writing

FORMAT = "text"  # what groot.json says where labels have a label format

# Beams at least, however few texts are asked for: rank 1 must not depend on how many ranks a
# command looks at. One beam alone is greedy, and finds another text than five do.
LEAST_BEAMS = 8


class TextNotation:
    """The notation of free text.

    Args:
        prompts: spells prompts and texts for a tokenizer.
        max_prompt_tokens: of a longer prompt the end is read.
        max_new_tokens: tokens of a text at most, its end included.
    """

    task: ClassVar[Task] = "text"
    labels: ClassVar[tuple[str, ...]] = ()
    choices: ClassVar[tuple[Choice, ...]] = ("top",)
    fit_selects_on: ClassVar[str] = "log_p_per_token"
    can_vary: ClassVar[bool] = False
    has_proofs: ClassVar[bool] = False

    def __init__(self, prompts: Prompts, *, max_prompt_tokens: int, max_new_tokens: int) -> None:
        self._prompts = prompts
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens

    @property
    def prompts(self) -> Prompts:
        """How prompts and texts are spelled."""
        return self._prompts

    def n_written(self, example: Example) -> int:
        """The words of the reference."""
        return len((example.reference or "").split())

    def windows(self, example: Example) -> list[Window]:
        """The example itself: of a prompt that is too long the end is read."""
        return [Window(example, 0, 0, len(example.text) + 1)]

    def input_ids(self, example: Example) -> list[int]:
        """Token ids of the prompt."""
        return self.prompts.input_ids(example.text, limit=self.max_prompt_tokens)

    def varied_input_ids(
        self, example: Example, rng: random.Random, *, word_dropout: float, word_cuts: float
    ) -> list[int]:
        """The prompt as it is: another prompt would want another text."""
        return self.input_ids(example)

    def encode(self, example: Example, output: Gold) -> str | None:
        """The text itself."""
        return output if isinstance(output, str) else None

    def target(self, example: Example, output: Gold) -> EncodedTarget | None:
        """The text in token ids; None where it is no text."""
        if not isinstance(output, str):
            return None
        return EncodedTarget.free(self.prompts.target_ids(output))

    def can_write(self, target: EncodedTarget) -> bool:
        """Whether it is short enough: cut, it would teach texts without an end."""
        return len(target.tokens) <= self.max_new_tokens

    def unwritable(self, example: Example) -> str:
        """The reference is too long: cut short, it would teach texts without an end."""
        n_tokens = len(self.prompts.target_ids(example.reference or ""))
        return (
            f"the reference has {n_tokens} tokens, more than generation.max_new_tokens"
            f" ({self.max_new_tokens})"
        )

    def log_p(
        self,
        model: TextModel,
        inputs: Sequence[Sequence[int]],
        candidates: Sequence[Sequence[EncodedTarget]],
    ) -> tuple[Tensor, Tensor]:
        """Over the whole vocabulary; see `candidate_log_p`."""
        return candidate_log_p(model, None, inputs, candidates)

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
            "format": FORMAT,
            "separator": self.prompts.separator,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_new_tokens": self.max_new_tokens,
        }

    def answers(
        self,
        model: TextModel,
        examples: Sequence[Example],
        asked: Asked,
        *,
        inputs: Sequence[Sequence[int]] | None = None,
    ) -> list[Answer]:
        """The k most probable texts that beams find for each prompt, each text once.

        There are `LEAST_BEAMS` beams or k, whichever is more. Under a guide that is meant to be
        drawn from, texts are drawn instead; the same prompt gets the same ones wherever it stands.
        """
        writing = Writing("beam", seed=asked.seed, batch_size=asked.batch_size)
        rows = [tuple(row) for row in inputs or map(self.input_ids, examples)]
        if asked.guide is None:
            n_texts = max(asked.k, LEAST_BEAMS) if asked.writing is None else asked.k
            every = self.write(model, rows, n_texts, asked.writing or writing)
            return [Answer(best_first(candidates)[: asked.k]) for candidates in every]
        temperature = getattr(asked.guide, "temperature", 1.0)
        is_drawn = temperature > 0
        method: Method = "sample" if is_drawn else "greedy" if asked.k == 1 else "beam"
        writing = dataclasses.replace(writing, method=method, temperature=temperature or 1.0)
        prompts = list(dict.fromkeys(rows))
        every = self.write(model, prompts, asked.k, writing, guide=asked.guide)
        by_prompt = dict(zip(prompts, every, strict=True))
        return [Answer(by_prompt[row]) for row in rows]

    def write(
        self,
        model: TextModel,
        inputs: Sequence[Sequence[int]],
        n: int,
        writing: Writing,
        *,
        guide: Guide | Chooser | None = None,
    ) -> list[list[Candidate]]:
        """n texts for each input in token ids, as drawn or searched.

        Raises:
            ConfigError: for settings that do not fit each other.
        """
        limit = self.max_new_tokens if writing.max_new_tokens is None else writing.max_new_tokens
        if writing.method == "beam":
            if isinstance(guide, Chooser):
                raise ConfigError(f"guide {guide.name!r} chooses among samples, not among beams.")
            written = beam_search(
                model,
                inputs,
                k=n,
                max_new_tokens=limit,
                groups=writing.groups,
                diversity=writing.diversity,
                guide=guide,
                batch_size=writing.batch_size,
            )
        else:
            written = sample(
                model,
                inputs,
                n=n,
                max_new_tokens=limit,
                temperature=0.0 if writing.method == "greedy" else writing.temperature,
                top_k=writing.top_k,
                top_p=writing.top_p,
                seed=writing.seed,
                guide=guide,
                batch_size=writing.batch_size,
            )
        return [[self.candidate(text, writing.method) for text in texts] for texts in written]

    def candidate(self, written: Written, method: Method = "sample") -> Candidate:
        """What was written, as a candidate; a text without an end is malformed."""
        text = self.prompts.text(written.tokens)
        output = text if written.is_finished else None
        source: Literal["sample", "search"] = "sample" if method == "sample" else "search"
        return Candidate(text, output, written.log_p, source=source)


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates by falling log_p, each text once.

    >>> two = [Candidate("a", "a", -2.0), Candidate("b", "b", -1.0), Candidate("a", "a", -2.0)]
    >>> [candidate.text for candidate in best_first(two)]
    ['b', 'a']
    """

    def rank(candidate: Candidate) -> float:
        return math.inf if candidate.log_p is None else -candidate.log_p

    by_text: dict[tuple[str, bool], Candidate] = {}
    for candidate in sorted(candidates, key=rank):
        by_text.setdefault((candidate.target, candidate.is_malformed), candidate)
    return list(by_text.values())
