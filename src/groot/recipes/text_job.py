"""The run of a generator of free text: how it is fitted, written with, contrasted and measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from groot.engine.events import StepDone
from groot.engine.stage import StageResult, StageSettings
from groot.recipes.dev import dev_numbers, on_main, over_processes
from groot.recipes.rounds import Round, rounds_of
from groot.recipes.staged_run import Answer, StagedRun, objective_settings
from groot.recipes.start import text_fit_passes
from groot.recipes.text_fit import (
    TextItem,
    fit_text,
    likelihood,
    likelihood_numbers,
    text_items,
)
from groot.recipes.text_optimise import contrast_texts, text_cases
from groot.rollouts.candidate_sets import CHUNK, Case
from groot.rollouts.text_candidates import Writing, generate_texts, write_texts
from groot.types import Candidate, Example
from groot.writer.folders import load_generator
from groot.writer.generator import Generator


@dataclasses.dataclass
class TextJob(StagedRun[Generator, TextItem]):
    """A run of a generator at work."""

    def open(self, folder: Path) -> Generator:
        """The generator in a folder."""
        return load_generator(folder)

    def items(self, holder: Generator) -> tuple[list[TextItem], list[str]]:
        """Prompts and references in token ids."""
        return text_items(holder, self.data.train)

    def passes(self) -> int:
        """As the settings say, or by the size of the data."""
        return text_fit_passes(self.config, self.data.train)

    def examples_of(self, items: Sequence[TextItem]) -> list[Example]:
        """The examples."""
        return [item.example for item in items]

    def fit(
        self, holder: Generator, items: Sequence[TextItem], settings: StageSettings
    ) -> StageResult:
        """Likelihood of the references."""
        of_fit = self.config.fit
        on_reward = self.config.generation.fit_selects_on == "reward"
        return fit_text(
            holder,
            items,
            settings,
            self._context(
                partial(self._measure_dev, holder, 1 if on_reward else 0),
                "reward" if on_reward else "log_p_per_token",
            ),
            batch_size=of_fit.batch_size,
            learning_rate=of_fit.learning_rate,
            embedding_rate=of_fit.embedding_rate,
            weight_decay=of_fit.weight_decay,
        )

    def _measure_dev(self, generator: Generator, k: int) -> dict[str, float]:
        """Likelihood of the dev references and, for k > 0, rewards of k texts for each prompt."""
        dev = text_items(generator, self.data.dev)[0]
        sums = over_processes(
            lambda mine: [likelihood(generator, [dev[index] for index in mine])],
            len(dev),
            self.accelerator,
        )
        numbers = likelihood_numbers(sum(one[0] for one in sums), sum(one[1] for one in sums))
        if k:
            found = over_processes(
                lambda mine: self._write(generator, self.data.dev, mine, k, "dev"),
                len(self.data.dev),
                self.accelerator,
            )
            numbers |= on_main(
                lambda: dev_numbers(self.data.dev, found, self.reward), self.accelerator
            )
        return numbers

    def _write(
        self,
        generator: Generator,
        examples: Sequence[Example],
        mine: Sequence[int],
        k: int,
        stage: str,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[list[Candidate]]:
        found: list[list[Candidate]] = []
        for first in range(0, len(mine), CHUNK):
            part = mine[first : first + CHUNK]
            found += write_texts(
                generator,
                [examples[index] for index in part],
                self._writing(),
                k=k,
                name=stage,
                first=part[0],
            )
            progress(len(found))
        return found

    def _writing(self) -> Writing:
        settings = self.config.generation
        return Writing(
            settings.method,
            self.config.seed,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            batch_size=self.config.search.batch_size,
        )

    def rounds(self) -> list[Round]:
        """Those of contrast: MBR distillation is for labels."""
        return rounds_of(self.config, distils=False)

    def generate(
        self,
        holder: Generator,
        items: Sequence[TextItem],
        mine: Sequence[int],
        round: Round,
        progress: Callable[[int], None],
    ) -> list[Case]:
        """Write, correct and reward candidates."""
        settings = self.config.optimise
        return generate_texts(
            holder,
            items,
            mine,
            reward=self.reward,
            writing=self._writing(),
            round=round.number,
            num_candidates=settings.num_candidates,
            per_example=settings.candidates_per_round,
            progress=progress,
        )

    def contrast(
        self,
        holder: Generator,
        items: Sequence[TextItem],
        cases: Sequence[Case],
        settings: StageSettings,
        round: Round,
    ) -> StageResult:
        """Contrast the candidates by their rewards."""
        of_round = self.config.optimise
        return contrast_texts(
            holder,
            text_cases(holder, cases),
            settings,
            self._context(
                partial(self._measure_dev, holder, self.config.evaluation.k), of_round.selects_on
            ),
            objective=of_round.objective,
            objective_settings=objective_settings(self.config),
            nll_weight=of_round.nll_weight,
            contrast_weight=of_round.contrast_weight,
            batch_size=of_round.batch_size,
            learning_rate=of_round.learning_rate,
            embedding_rate=self.config.fit.embedding_rate,
        )

    def search(self, holder: Generator, mine: Sequence[int], stage: str) -> list[Answer]:
        """Texts of test prompts, the most probable first."""

        def progress(done: int) -> None:
            self.events(StepDone(stage, done, len(mine)))
            self._stop_between_chunks(stage)

        # one name for both models: they are measured with the same random numbers
        k = self.config.evaluation.k
        return list(map(Answer, self._write(holder, self.data.test, mine, k, "evaluate", progress)))

    def ranked(
        self, examples: Sequence[Example], found: Sequence[Sequence[Candidate]], how: str
    ) -> Sequence[Sequence[Candidate]]:
        """As they are."""
        return found
