"""Fit: likelihood training of a labeler until dev stops improving."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from groot.engine.batches import BatchOrder
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.models.embedded import parameter_groups
from groot.models.scoring import collate_targets, decision_log_p
from groot.recipes.items import Item, Variation
from groot.targets.grammar import EncodedTarget
from groot.writer.labeler import Labeler

FitBatch = tuple[list[list[int]], list[EncodedTarget]]


def fit(
    labeler: Labeler,
    items: Sequence[Item],
    settings: StageSettings,
    context: StageContext,
    *,
    variation: Variation,
    batch_size: int,
    learning_rate: float,
    embedding_rate: float,
    weight_decay: float,
) -> StageResult:
    """Maximise the likelihood of the gold targets; the mean is over decisions, not over texts.

    Args:
        items: the training set.
        variation: how inputs are varied in each pass.
        batch_size: items per step, over all processes.
        learning_rate: peak rate of AdamW.
        embedding_rate: factor on it for embeddings and position biases.
        weight_decay: of matrices other than embeddings.

    `settings` and `context` are those of `train_stage`.
    """
    order = BatchOrder(
        len(items),
        batch_size=batch_size,
        seed=settings.seed,
        lengths=[len(item.target.tokens) for item in items],
    )

    def collate(indices: list[int], step: int) -> FitBatch:
        epoch = order.epoch_of(step)
        varied = [
            variation(labeler, items[index], random.Random(f"{settings.seed}:{epoch}:{index}"))
            for index in indices
        ]
        return [ids for ids, _ in varied], [target for _, target in varied]

    def loss_of(model: Any, batch: FitBatch) -> Tensor:
        inputs, targets = batch
        packed = collate_targets(model, targets, range(len(inputs)))
        log_p, _ = decision_log_p(model, labeler.codec, inputs, packed)
        decisions = packed.is_decision.sum(1).clamp(min=1)
        return -log_p.sum(1) / decisions

    return train_stage(
        labeler.model,
        settings,
        context,
        order=order,
        collate=collate,
        loss_of=loss_of,
        weight_of=lambda index: max(1.0, float(len(items[index].target.decisions))),
        parameter_groups=parameter_groups(
            labeler.model,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            weight_decay=weight_decay,
        ),
    )
