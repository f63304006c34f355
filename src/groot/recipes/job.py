"""The run of a labeler: how it is fitted, searched, contrasted and measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from groot.engine.events import StepDone
from groot.engine.stage import StageResult, StageSettings
from groot.outputs.choose import choose_all
from groot.outputs.marginals import with_probabilities
from groot.recipes.dev import dev_numbers, on_main, search_over_processes
from groot.recipes.fit import fit
from groot.recipes.items import Item, Variation, training_items
from groot.recipes.optimise import contrast, contrast_cases
from groot.recipes.rounds import Round
from groot.recipes.staged_run import Answer, StagedRun, objective_settings
from groot.recipes.start import count_words, fit_passes
from groot.rollouts.candidate_sets import Case, Generation, generate
from groot.search.found import without_targets
from groot.search.label_search import first_width
from groot.types import Candidate, Example
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler
from groot.writer.notation import Asked


@dataclasses.dataclass
class Job(StagedRun[Labeler, Item]):
    """A run of a labeler at work."""

    choices: ClassVar[tuple[str, ...]] = ("top", "mbr")

    def open(self, folder: Path) -> Labeler:
        """The labeler in a folder."""
        return load_labeler(folder)

    def items(self, holder: Labeler) -> tuple[list[Item], list[str]]:
        """Windows of the training texts with their gold targets."""
        return training_items(holder, self.data.train)

    def passes(self) -> int:
        """As the settings say, or by the size of the data."""
        return fit_passes(self.config, count_words(self.data.train))

    def examples_of(self, items: Sequence[Item]) -> list[Example]:
        """The windows."""
        return [item.example for item in items]

    def fit(self, holder: Labeler, items: Sequence[Item], settings: StageSettings) -> StageResult:
        """Likelihood of the gold targets, inputs varied."""
        of_fit = self.config.fit
        return fit(
            holder,
            items,
            settings,
            self._context(partial(self._measure_dev, holder, 1), "metric"),
            variation=Variation(
                items,
                word_dropout=of_fit.word_dropout,
                mention_swap=of_fit.mention_swap,
                word_blend=of_fit.word_blend,
                word_cuts=of_fit.word_cuts,
            ),
            batch_size=of_fit.batch_size,
            learning_rate=of_fit.learning_rate,
            embedding_rate=of_fit.embedding_rate,
            weight_decay=of_fit.weight_decay,
        )

    def _measure_dev(self, labeler: Labeler, k: int) -> dict[str, float]:
        found = search_over_processes(
            labeler, self.data.dev, k=k, max_width=0, accelerator=self.accelerator
        )
        return dict(
            on_main(lambda: dev_numbers(self.data.dev, found, self.reward), self.accelerator)
        )

    def _variation(self, items: Sequence[Item]) -> Variation:
        return Variation(
            items,
            word_dropout=self.config.optimise.word_dropout,
            mention_swap=self.config.optimise.mention_swap,
            word_blend=self.config.fit.word_blend,
        )

    def generate(
        self,
        holder: Labeler,
        items: Sequence[Item],
        mine: Sequence[int],
        round: Round,
        progress: Callable[[int], None],
    ) -> list[Case]:
        """Search, correct and reward candidates of varied texts."""
        settings = self.config.optimise
        searched = settings.num_candidates
        if round.distils:
            searched = self.config.distil.num_candidates
        return generate(
            holder,
            items,
            mine,
            variation=self._variation(items),
            reward=self.reward,
            settings=Generation(
                round=round.number,
                num_candidates=searched,
                per_example=settings.candidates_per_round,
                seed=self.config.seed,
                deletions=settings.deletions,
                batch_size=self.config.search.batch_size,
            ),
            progress=progress,
        )

    def contrast(
        self,
        holder: Labeler,
        items: Sequence[Item],
        cases: Sequence[Case],
        settings: StageSettings,
        round: Round,
    ) -> StageResult:
        """Contrast the candidates by their rewards, or distil what MBR chooses among them."""
        of_round, distil = self.config.optimise, self.config.distil
        return contrast(
            holder,
            contrast_cases(holder, cases, gold_share=0.0 if round.distils else of_round.gold_share),
            settings,
            self._context(
                partial(self._measure_dev, holder, self.config.evaluation.k),
                "metric" if round.distils else of_round.selects_on,
            ),
            variation=self._variation(items),
            objective=of_round.objective,
            objective_settings=objective_settings(self.config),
            nll_weight=distil.gold_weight if round.distils else of_round.nll_weight,
            contrast_weight=distil.contrast_weight if round.distils else of_round.contrast_weight,
            mbr_weight=1.0 if round.distils else 0.0,
            batch_size=of_round.batch_size,
            learning_rate=distil.learning_rate if round.distils else of_round.learning_rate,
            embedding_rate=self.config.fit.embedding_rate,
        )

    def search(self, holder: Labeler, mine: Sequence[int], stage: str) -> list[Answer]:
        """The top candidates of test texts, enough to choose among, with their certificates."""
        examples = [self.data.test[index] for index in mine]
        answers: list[Answer] = []
        wanted = max(self.config.evaluation.k, self.config.evaluation.mbr_candidates)
        for first in range(0, len(examples), 256):
            asked = Asked(
                wanted,
                width=max(self.config.search.width, first_width(wanted)),
                max_width=self.config.search.max_width,
                batch_size=self.config.search.batch_size,
            )
            answers += [
                Answer(
                    with_probabilities(answer.candidates),
                    tuple(map(without_targets, answer.searches)),
                )
                for answer in holder.answers(examples[first : first + 256], asked)
            ]
            self.events(StepDone(stage, len(answers), len(examples)))
            self._stop_between_chunks(stage)
        return answers

    def ranked(
        self, examples: Sequence[Example], found: Sequence[Sequence[Candidate]], how: str
    ) -> Sequence[Sequence[Candidate]]:
        """Most probable first, or best expected first."""
        return choose_all(examples, found, self.reward, how="mbr" if how == "mbr" else "top")
