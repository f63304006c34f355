"""A generator being tuned beside its frozen self: what DPO and GRPO have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from groot.engine.batches import BatchOrder
from groot.engine.loop import Batches
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.models.embedded import parameter_groups
from groot.models.text_model import set_dropout
from groot.recipes.model_run import ModelRun
from groot.recipes.tune_losses import PromptTexts
from groot.recipes.tune_settings import TuneSettings
from groot.studies.open_guides import open_generator
from groot.writer.generator import Generator


@dataclass(frozen=True, slots=True)
class Tuning:
    """A generator being tuned beside its frozen self.

    Args:
        run: the run at work.
        settings: how it is tuned.
        frozen: the generator as it was, which is the reference.
        tuned: a copy that learns, without dropout: ratios to the reference should not be noise.
    """

    run: ModelRun
    settings: TuneSettings
    frozen: Generator
    tuned: Generator

    def train(
        self,
        items: Sequence[PromptTexts],
        context: StageContext,
        *,
        name: str,
        loss_of: Callable[[Any, Sequence[PromptTexts]], Tensor],
        evaluations: int = 1,
        measure_first: bool = False,
    ) -> StageResult:
        """A stage of training; the weights with the best measurement stay.

        Args:
            items: to learn from.
            context: what is measured, and whom it is told.
            name: of the stage.
            loss_of: loss [B] of a model on items.
            evaluations: how often is measured.
            measure_first: also measure before the first step.
        """
        settings = self.settings
        order = BatchOrder(
            len(items),
            batch_size=settings.batch_size,
            seed=settings.seed,
            lengths=[max(map(len, item.targets)) for item in items],
        )
        return train_stage(
            self.tuned.model,
            loss_of,
            Batches(order, lambda indices, step: [items[index] for index in indices]),
            StageSettings(
                name=name,
                passes=settings.passes,
                evaluations=evaluations,
                seed=settings.seed,
                checkpoint_every_s=settings.checkpoint_every_s,
            ),
            context,
            parameter_groups=parameter_groups(
                self.tuned.model,
                learning_rate=settings.learning_rate,
                embedding_rate=1.0,
                weight_decay=0.0,
            ),
            measure_first=measure_first,
        )

    def save(self, learnt: Iterable[str], chosen: Iterable[str], *, name: str) -> None:
        """Write the tuned generator, whose ledger says what it learnt from and was chosen on.

        Args:
            learnt: prompts that it learnt from.
            chosen: prompts that picked its weights.
            name: of the folder inside that of the run.
        """
        before = self.frozen.ledger
        seen = before.with_texts("learnt_from", learnt).with_texts("chosen_on", chosen)
        self.run.save(self.tuned, seen, name=name)


def open_to_tune(folder: str | Path, like: Generator) -> Generator:
    """A generator that will learn, without dropout, on the device of another."""
    tuned = open_generator(folder)
    tuned.model.to(like.model.device)
    set_dropout(tuned.model, 0.0)
    return tuned
