"""Fit: likelihood training of a writer until dev stops improving."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from groot.config.sections import FitConfig
from groot.engine.batches import BatchOrder
from groot.engine.loop import Batches
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.rollouts.instances import Instance, Variation
from groot.targets.grammar import EncodedTarget
from groot.writer.notation import Notation
from groot.writer.writer import Writer

FitBatch = tuple[list[Sequence[Any]], list[EncodedTarget]]


def fit(
    writer: Writer,
    instances: Sequence[Instance],
    stage: StageSettings,
    context: StageContext,
    *,
    variation: Variation,
    settings: FitConfig,
) -> StageResult:
    """Maximise the likelihood of the gold targets; the mean is over decisions, not over texts.

    Args:
        instances: the training set.
        stage, context: as in `train_stage`.
        variation: how inputs are varied in each pass.
        settings: batch size and rates of AdamW.
    """
    order = BatchOrder(
        len(instances),
        batch_size=settings.batch_size,
        seed=stage.seed,
        lengths=[len(instance.target.tokens) for instance in instances],
    )

    def collate(indices: list[int], step: int) -> FitBatch:
        epoch = order.epoch_of(step)
        varied = [
            variation(instances[index], random.Random(f"{stage.seed}:{epoch}:{index}"))
            for index in indices
        ]
        return [ids for ids, _ in varied], [target for _, target in varied]

    def loss_of(model: Any, batch: FitBatch) -> Tensor:
        inputs, targets = batch
        log_p, _ = writer.notation.log_p(model, inputs, [[target] for target in targets])
        decisions = [max(1, len(target.decisions)) for target in targets]
        return -log_p[:, 0] / torch.tensor(decisions, device=log_p.device)

    return train_stage(
        writer.model,
        loss_of,
        Batches(
            order, collate, lambda index: max(1.0, float(len(instances[index].target.decisions)))
        ),
        stage,
        context,
        parameter_groups=writer.notation.parameter_groups(
            writer.model,
            learning_rate=settings.learning_rate,
            embedding_rate=settings.embedding_rate,
            weight_decay=settings.weight_decay,
        ),
    )


@torch.no_grad()
def likelihood(
    model: Any, notation: Notation, instances: Sequence[Instance], *, batch_size: int = 128
) -> tuple[float, int]:
    """Summed log_p of gold targets in nats, and the number of their decisions."""
    model.eval()
    order = sorted(instances, key=lambda instance: len(instance.target.tokens))
    total, decisions = 0.0, 0
    for first in range(0, len(order), batch_size):
        part = order[first : first + batch_size]
        inputs = [notation.input_ids(instance.example) for instance in part]
        log_p, _ = notation.log_p(model, inputs, [[instance.target] for instance in part])
        total += float(log_p.double().sum())
        decisions += sum(len(instance.target.decisions) for instance in part)
    return total, decisions
