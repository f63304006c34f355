"""Fit on free text: likelihood of the references, until dev stops improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groot.engine.batches import BatchOrder
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.models.embedded import parameter_groups
from groot.models.text_scoring import token_log_p
from groot.types import Example
from groot.writer.generator import Generator

TextBatch = tuple[list[list[int]], list[list[int]]]


@dataclass(frozen=True, slots=True)
class TextItem:
    """One training input.

    Args:
        example: with its reference.
        input_ids: of the prompt.
        target: token ids of the reference, end included.
    """

    example: Example
    input_ids: list[int]
    target: list[int]


def text_items(
    generator: Generator, examples: Sequence[Example]
) -> tuple[list[TextItem], list[str]]:
    """The items of examples, and a line on each reference that cannot be learnt.

    A reference of more than `max_new_tokens` tokens is left out: cut short, it would teach texts
    without an end. Those are named in the second result, never dropped in silence.
    """
    items: list[TextItem] = []
    missed: list[str] = []
    for example in examples:
        if example.reference is None:
            missed.append(f"{example.source}: no reference")
            continue
        target = generator.prompts.target_ids(example.reference)
        if len(target) > generator.max_new_tokens:
            missed.append(
                f"{example.source}: the reference has {len(target)} tokens, more than"
                f" generation.max_new_tokens ({generator.max_new_tokens})"
            )
            continue
        items.append(TextItem(example, generator.input_ids(example.text), target))
    return items, missed


def fit_text(
    generator: Generator,
    items: Sequence[TextItem],
    settings: StageSettings,
    context: StageContext,
    *,
    batch_size: int,
    learning_rate: float,
    embedding_rate: float,
    weight_decay: float,
) -> StageResult:
    """Maximise the likelihood of the references; the mean is over tokens, ends included.

    Args:
        items: the training set.
        batch_size: items per step, over all processes.
        learning_rate: peak rate of AdamW.
        embedding_rate: factor on it for embeddings and position biases of a T5.
        weight_decay: of matrices other than embeddings.

    `settings` and `context` are those of `train_stage`.
    """
    order = BatchOrder(
        len(items),
        batch_size=batch_size,
        seed=settings.seed,
        lengths=[len(item.target) for item in items],
    )

    def collate(indices: list[int], step: int) -> TextBatch:
        return [items[i].input_ids for i in indices], [items[i].target for i in indices]

    def loss_of(model: Any, batch: TextBatch) -> Tensor:
        inputs, targets = batch
        log_p, is_token = token_log_p(model, inputs, targets, range(len(inputs)))
        return -log_p.sum(1) / is_token.sum(1)

    return train_stage(
        generator.model,
        settings,
        context,
        order=order,
        collate=collate,
        loss_of=loss_of,
        weight_of=lambda index: float(len(items[index].target)),
        parameter_groups=parameter_groups(
            generator.model,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            weight_decay=weight_decay,
        ),
    )


@torch.no_grad()
def likelihood(
    generator: Generator, items: Sequence[TextItem], *, batch_size: int = 128
) -> tuple[float, int]:
    """Summed log_p of references in nats, and the number of their tokens, ends included."""
    generator.model.eval()
    order = sorted(range(len(items)), key=lambda index: len(items[index].target))
    total, tokens = 0.0, 0
    for first in range(0, len(order), batch_size):
        part = [items[index] for index in order[first : first + batch_size]]
        log_p, is_token = token_log_p(
            generator.model,
            [item.input_ids for item in part],
            [item.target for item in part],
            range(len(part)),
        )
        total += float(log_p.double().sum())
        tokens += int(is_token.sum())
    return total, tokens


def likelihood_numbers(log_p: float, tokens: int) -> dict[str, float]:
    """Numbers of a dev set's likelihood, for a log: mean log_p of a token, and perplexity.

    >>> likelihood_numbers(-20.0, 10)["perplexity"]  # exp(2)
    7.38905609893065
    """
    mean = log_p / max(1, tokens)
    return {"log_p_per_token": mean, "perplexity": math.exp(min(-mean, 700.0))}
