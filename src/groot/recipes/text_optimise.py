"""Contrast of free texts: raise what the reward prefers among a prompt's candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from groot.engine.batches import BatchOrder
from groot.engine.loop import LossTerms
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.models.embedded import parameter_groups
from groot.models.text_scoring import text_log_p
from groot.objectives import OBJECTIVES
from groot.recipes.optimise import reward_logs
from groot.rollouts.candidate_sets import Case
from groot.writer.generator import Generator


@dataclass(frozen=True, slots=True)
class TextCase:
    """A case in token ids.

    Args:
        input_ids: of the prompt.
        targets: of each candidate, end included.
        rewards: of each candidate; None is missing.
        gold: which candidate is the reference; None where there is none.
        logs: numbers of its rewards, see `reward_logs`.
    """

    input_ids: list[int]
    targets: tuple[list[int], ...]
    rewards: tuple[float | None, ...]
    gold: int | None
    logs: Mapping[str, float] = field(default_factory=dict)


def text_cases(generator: Generator, cases: Sequence[Case]) -> list[TextCase]:
    """Spell cases in token ids; those with nothing to learn from are left out.

    Texts without an end are no targets. Nothing can be learnt from a prompt without a reference
    whose candidates all have one reward.
    """
    spelled = []
    for case in cases:
        rows = [row for row in case.rows if isinstance(row.output, str)]
        texts = [str(row.output) for row in rows]
        reference = case.example.reference
        gold = texts.index(reference) if reference in texts else None
        known = {row.reward for row in rows if row.reward is not None}
        if gold is not None or len(known) > 1:
            spelled.append(
                TextCase(
                    generator.input_ids(case.example.text),
                    tuple(generator.prompts.target_ids(text) for text in texts),
                    tuple(row.reward for row in rows),
                    gold,
                    reward_logs(rows),
                )
            )
    return spelled


@dataclass(frozen=True, slots=True)
class TextContrastBatch:
    """Cases of one step: inputs, targets and rewards [B, K] with their mask."""

    inputs: list[list[int]]
    targets: list[tuple[list[int], ...]]
    rewards: Tensor
    has_reward: Tensor
    gold: Tensor
    gold_tokens: Tensor
    logs: dict[str, Tensor]


def contrast_texts(
    generator: Generator,
    cases: Sequence[TextCase],
    settings: StageSettings,
    context: StageContext,
    *,
    objective: str,
    objective_settings: Mapping[str, float],
    nll_weight: float,
    contrast_weight: float,
    batch_size: int,
    learning_rate: float,
    embedding_rate: float,
) -> StageResult:
    """Train on contrast_weight * objective + nll_weight * nll of the reference, per example.

    The nll is per token, the objective sees the log_p of whole texts.

    Args:
        cases: the candidates of a round.
        objective: a name of OBJECTIVES, with its settings.

    `settings` and `context` are those of `train_stage`.
    """
    order = BatchOrder(
        len(cases),
        batch_size=batch_size,
        seed=settings.seed,
        lengths=[max(map(len, case.targets)) for case in cases],
    )
    loss_between = OBJECTIVES[objective]
    log_names = sorted({name for case in cases for name in case.logs})

    def collate(indices: list[int], step: int) -> TextContrastBatch:
        batch = [cases[index] for index in indices]
        shape = (len(batch), max(len(case.targets) for case in batch))
        rewards, has_reward = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
        for row, case in enumerate(batch):
            for column, value in enumerate(case.rewards):
                if value is not None:
                    rewards[row, column], has_reward[row, column] = value, True
        golds = [-1 if case.gold is None else case.gold for case in batch]
        return TextContrastBatch(
            [case.input_ids for case in batch],
            [case.targets for case in batch],
            rewards,
            has_reward,
            torch.tensor(golds),
            torch.tensor(
                [len(case.targets[max(0, gold)]) for case, gold in zip(batch, golds, strict=True)]
            ),
            {
                name: torch.tensor([case.logs.get(name, math.nan) for case in batch])
                for name in log_names
            },
        )

    def loss_of(model: Any, batch: TextContrastBatch) -> LossTerms:
        log_p, _ = text_log_p(model, batch.inputs, batch.targets)
        rewards, known = batch.rewards.to(log_p), batch.has_reward.to(log_p.device)
        gold = batch.gold.to(log_p.device)
        contrast = loss_between(log_p, rewards, known, **objective_settings)
        gold_log_p = log_p.gather(1, gold.clamp(min=0)[:, None])[:, 0]
        nll = (-gold_log_p / batch.gold_tokens.to(log_p.device)).masked_fill(gold < 0, 0.0)
        return LossTerms(
            contrast_weight * contrast + nll_weight * nll,
            {"contrast": contrast, "nll": nll, **batch.logs},
        )

    return train_stage(
        generator.model,
        settings,
        context,
        order=order,
        collate=collate,
        loss_of=loss_of,
        parameter_groups=parameter_groups(
            generator.model,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            weight_decay=0.0,
        ),
        measure_first=True,
    )
