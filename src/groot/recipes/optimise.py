"""Contrast: raise what the reward prefers among an example's candidates, lower what it does not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from groot.data.candidates import CandidateRow
from groot.engine.batches import BatchOrder
from groot.engine.loop import LossTerms
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.models.embedded import parameter_groups
from groot.models.scoring import candidate_log_p
from groot.objectives import OBJECTIVES
from groot.recipes.items import Variation
from groot.rollouts.candidate_sets import EXPECTED, Case
from groot.targets.grammar import EncodedTarget
from groot.types import Example
from groot.writer.labeler import Labeler


@dataclass(frozen=True, slots=True)
class ContrastCase:
    """A case in token ids.

    Args:
        example: the text.
        targets: of each candidate.
        rewards: of each candidate; None is missing.
        gold: which candidate is the gold; None where there is none.
        mbr: which candidate the model expects the highest reward of; None where it expects none.
        logs: numbers of its rewards, see `reward_logs`.
    """

    example: Example
    targets: tuple[EncodedTarget, ...]
    rewards: tuple[float | None, ...]
    gold: int | None
    mbr: int | None = None
    logs: Mapping[str, float] = field(default_factory=dict)


def contrast_cases(
    labeler: Labeler, cases: Sequence[Case], *, gold_share: float = 1.0
) -> list[ContrastCase]:
    """Spell cases in token ids; those with nothing to learn from are left out.

    Nothing can be learnt from an example without gold whose candidates all have one reward.

    Args:
        gold_share: the reward that is learnt is gold_share * reward + (1 - gold_share) * the
            reward that the model itself expected of the candidate. One gold labelling says little
            about how sure one can be; the expectation carries what the whole list knows.
    """
    spelled = []
    for case in cases:
        targets: list[EncodedTarget] = []
        rewards: list[float | None] = []
        gold: int | None = None
        rows: list[CandidateRow] = []
        for row in case.rows:
            target = None
            if row.output is not None:
                target = labeler.codec.encode(case.example, row.output)
            if target is None:
                continue
            if case.example.gold is not None and row.output == case.example.gold:
                gold = len(targets)
            targets.append(target)
            rows.append(row)
            rewards.append(blended(row.reward, row.rewards.get(EXPECTED), gold_share))
        known = {value for value in rewards if value is not None}
        if gold is not None or len(known) > 1:
            mbr = best_expected(rows)
            logs = reward_logs(rows)
            spelled.append(
                ContrastCase(case.example, tuple(targets), tuple(rewards), gold, mbr, logs)
            )
    return spelled


def best_expected(rows: Sequence[CandidateRow]) -> int | None:
    """Which row the model expects the highest reward of, the first of equals; None: of none."""
    expected = [(row.rewards.get(EXPECTED), place) for place, row in enumerate(rows)]
    known = [(value, -place) for value, place in expected if value is not None]
    return -max(known)[1] if known else None


def without_contrast(cases: Sequence[ContrastCase]) -> list[ContrastCase]:
    """The cases with no more candidates than the gold and MBR's choice, in the order they had."""
    lean = []
    for case in cases:
        keep = sorted({place for place in (case.gold, case.mbr) if place is not None})
        at = {place: index for index, place in enumerate(keep)}
        lean.append(
            dataclasses.replace(
                case,
                targets=tuple(case.targets[place] for place in keep),
                rewards=tuple(case.rewards[place] for place in keep),
                gold=None if case.gold is None else at[case.gold],
                mbr=None if case.mbr is None else at[case.mbr],
            )
        )
    return [case for case in lean if case.targets]


def blended(reward: float | None, expected: float | None, gold_share: float) -> float | None:
    """gold_share * reward + (1 - gold_share) * expected; just the reward without an expectation.

    >>> blended(1.0, 0.5, 0.5), blended(1.0, None, 0.5), blended(None, 0.5, 0.5)
    (0.75, 1.0, None)
    """
    if reward is None or expected is None:
        return reward
    return gold_share * reward + (1 - gold_share) * expected


@dataclass(frozen=True, slots=True)
class ContrastBatch:
    """Cases of one step: inputs, targets and rewards [B, K] with their masks."""

    inputs: list[list[int]]
    targets: list[tuple[EncodedTarget, ...]]
    rewards: Tensor
    has_reward: Tensor
    gold: Tensor
    mbr: Tensor
    decisions: Tensor
    logs: dict[str, Tensor]


def contrast(
    labeler: Labeler,
    cases: Sequence[ContrastCase],
    settings: StageSettings,
    context: StageContext,
    *,
    variation: Variation,
    objective: str,
    objective_settings: Mapping[str, float],
    nll_weight: float,
    contrast_weight: float,
    batch_size: int,
    learning_rate: float,
    embedding_rate: float,
    mbr_weight: float = 0.0,
) -> StageResult:
    """Train on contrast_weight * objective + nll_weight * nll of the gold, per example.

    With `mbr_weight`, mbr_weight * nll of the candidate with the highest expected reward is added:
    MBR distillation. Source: Finkelstein and Freitag, MBR and QE Finetuning (2023); what we
    changed: the candidates are the top k, and the gold's likelihood stays beside it.

    Args:
        cases: the candidates of a round.
        variation: hides the words of the inputs that were hidden when candidates were searched.
        objective: a name of OBJECTIVES, with its settings.

    `settings` and `context` are those of `train_stage`.
    """
    if not contrast_weight:
        cases = without_contrast(cases)
    order = BatchOrder(
        len(cases),
        batch_size=batch_size,
        seed=settings.seed,
        lengths=[len(case.targets[0].tokens) for case in cases],
    )
    loss_between = OBJECTIVES[objective]
    log_names = sorted({name for case in cases for name in case.logs})

    def collate(indices: list[int], step: int) -> ContrastBatch:
        batch = [cases[index] for index in indices]
        inputs = [variation.fixed_input_ids(labeler, case.example, settings.seed) for case in batch]
        width = max(len(case.targets) for case in batch)
        padded = [[*case.rewards, *[None] * (width - len(case.rewards))] for case in batch]
        has_reward = torch.tensor([[value is not None for value in row] for row in padded])
        rewards = torch.tensor([[value or 0.0 for value in row] for row in padded])
        return ContrastBatch(
            inputs,
            [case.targets for case in batch],
            rewards,
            has_reward,
            torch.tensor([-1 if case.gold is None else case.gold for case in batch]),
            torch.tensor([-1 if case.mbr is None else case.mbr for case in batch]),
            torch.tensor([max(1, len(case.targets[0].decisions)) for case in batch]),
            {
                name: torch.tensor([case.logs.get(name, math.nan) for case in batch])
                for name in log_names
            },
        )

    def loss_of(model: Any, batch: ContrastBatch) -> LossTerms:
        log_p, _ = candidate_log_p(model, labeler.codec, batch.inputs, batch.targets)
        rewards, known = batch.rewards.to(log_p), batch.has_reward.to(log_p.device)
        decisions = batch.decisions.to(log_p.device)

        def nll_of(place: Tensor) -> Tensor:
            taken = log_p.gather(1, place.clamp(min=0)[:, None])[:, 0]
            return (-taken / decisions).masked_fill(place < 0, 0.0)

        nll = nll_of(batch.gold.to(log_p.device))
        loss, logs = nll_weight * nll, {"nll": nll}
        if contrast_weight:
            logs["contrast"] = loss_between(log_p, rewards, known, **objective_settings)
            loss = loss + contrast_weight * logs["contrast"]
        if mbr_weight:
            logs["mbr_nll"] = nll_of(batch.mbr.to(log_p.device))
            loss = loss + mbr_weight * logs["mbr_nll"]
        return LossTerms(loss, {**logs, **batch.logs})

    return train_stage(
        labeler.model,
        settings,
        context,
        order=order,
        collate=collate,
        loss_of=loss_of,
        parameter_groups=parameter_groups(
            labeler.model,
            learning_rate=learning_rate,
            embedding_rate=embedding_rate,
            weight_decay=0.0,
        ),
        measure_first=True,
    )


def reward_logs(rows: Sequence[CandidateRow]) -> dict[str, float]:
    """Numbers of an example's rewards by TRL's names; a missing reward takes no part.

    Returns:
        "reward" and "reward_std", mean and deviation over the candidates; "frac_reward_zero_std",
        1 where they do not differ; "rewards/NAME/mean" of each part of the reward. What would be
        a mean over nothing is not there.

    >>> rows = [CandidateRow("1", "", (), reward=r, rewards={"f1": r}) for r in (0.0, 1.0, None)]
    >>> reward_logs(rows)
    {'reward': 0.5, 'reward_std': 0.5, 'frac_reward_zero_std': 0.0, 'rewards/f1/mean': 0.5}
    """
    logs: dict[str, float] = {}
    known = [row.reward for row in rows if row.reward is not None]
    if known:
        mean = math.fsum(known) / len(known)
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / len(known))
        logs = {
            "reward": mean,
            "reward_std": spread,
            "frac_reward_zero_std": float(spread < 1e-6),
        }
    for name in dict.fromkeys(name for row in rows for name in row.rewards if name != EXPECTED):
        values = [value for row in rows if (value := row.rewards.get(name)) is not None]
        if values:
            logs[f"rewards/{name}/mean"] = math.fsum(values) / len(values)
    return logs
