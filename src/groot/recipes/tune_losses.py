"""What tuning a generator minimises: DPO and GRPO over texts that a frozen model has judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groot.models.text_scoring import token_log_p
from groot.objectives.policy import dpo, grpo
from groot.writer.generator import Generator


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """A prompt with texts to learn from.

    Args:
        input_ids: of the prompt.
        targets: token ids of its texts.
        rewards: of each text; None is missing.
        old_log_p: of each token of each text under the model that drew them; empty for dpo.
        reference_log_p: the same under the frozen model.
    """

    input_ids: list[int]
    targets: tuple[tuple[int, ...], ...]
    rewards: tuple[float | None, ...]
    old_log_p: tuple[list[float], ...]
    reference_log_p: tuple[list[float], ...]


PromptCase = tuple[list[int], tuple[tuple[int, ...], ...]]


@torch.no_grad()
def token_log_ps(
    generator: Generator, cases: Sequence[PromptCase], *, batch_size: int = 16
) -> list[tuple[list[float], ...]]:
    """log_p of each token of each text of each prompt, in nats, all in evaluation mode.

    Args:
        cases: token ids of each prompt, and of each of its texts.
        batch_size: prompts in one pass.
    """
    generator.model.eval()
    found: list[tuple[list[float], ...]] = []
    for first in range(0, len(cases), batch_size):
        part = cases[first : first + batch_size]
        rows = [row for row, (_, targets) in enumerate(part) for _ in targets]
        flat = [list(target) for _, targets in part for target in targets]
        log_p, _ = token_log_p(generator.model, [ids for ids, _ in part], flat, rows)
        values = iter(log_p.tolist())
        for _, targets in part:
            found.append(tuple(next(values)[: len(target)] for target in targets))
    return found


def dpo_loss(model: Any, items: Sequence[PromptTexts], *, beta: float) -> Tensor:
    """`objectives.dpo` [B] of items with two texts, the first of which is better."""
    log_p, _, rewards, is_real = _read(model, items)
    reference = log_p.new_tensor(
        [[math.fsum(one) for one in item.reference_log_p] for item in items]
    )
    return dpo(log_p.sum(2), rewards, is_real, reference_log_p=reference, beta=beta)


def grpo_loss(model: Any, items: Sequence[PromptTexts], *, kl: float, clip: float) -> Tensor:
    """`objectives.grpo` [B] of items with groups of equal size."""
    log_p, is_token, rewards, is_real = _read(model, items)

    def padded(rows: Sequence[tuple[list[float], ...]]) -> Tensor:
        width = log_p.shape[2]
        values = [[[*one, *[0.0] * (width - len(one))] for one in row] for row in rows]
        return log_p.new_tensor(values)

    return grpo(
        log_p,
        rewards,
        is_real,
        is_token=is_token,
        old_log_p=padded([item.old_log_p for item in items]),
        reference_log_p=padded([item.reference_log_p for item in items]),
        clip=clip,
        kl=kl,
    )


def _read(model: Any, items: Sequence[PromptTexts]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """log_p and is_token [B, K, T], rewards and is_real [B, K] of items of K texts each."""
    size, group = len(items), len(items[0].targets)
    flat = [list(target) for item in items for target in item.targets]
    rows = [row for row, item in enumerate(items) for _ in item.targets]
    log_p, is_token = token_log_p(model, [item.input_ids for item in items], flat, rows)
    rewards = log_p.new_tensor(
        [[0.0 if value is None else value for value in item.rewards] for item in items]
    )
    is_real = torch.tensor(
        [[value is not None for value in item.rewards] for item in items], device=log_p.device
    )
    shape = (size, group, log_p.shape[1])
    return log_p.view(shape), is_token.view(shape), rewards, is_real
