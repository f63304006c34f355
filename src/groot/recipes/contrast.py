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
from groot.engine.loop import Batches, LossTerms
from groot.engine.stage import StageContext, StageResult, StageSettings, train_stage
from groot.recipes.objective import Objective
from groot.rollouts.instances import Variation
from groot.rollouts.store import EXPECTED, Case
from groot.targets.grammar import EncodedTarget
from groot.types import Example
from groot.writer.notation import Notation
from groot.writer.writer import Writer


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
    notation: Notation, cases: Sequence[Case], *, gold_share: float = 1.0
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
                target = notation.target(case.example, row.output)
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
    """Cases of one step: inputs, targets and rewards [B, K] with their masks.

    Args:
        gold, mbr: [B] which candidate each is; -1 for none.
        decisions: [B, K] of each target, at least 1.
    """

    inputs: list[Sequence[Any]]
    targets: list[tuple[EncodedTarget, ...]]
    rewards: Tensor
    has_reward: Tensor
    gold: Tensor
    mbr: Tensor
    decisions: Tensor
    logs: dict[str, Tensor]


def batch_of(
    cases: Sequence[ContrastCase], inputs: list[Sequence[Any]], log_names: Sequence[str]
) -> ContrastBatch:
    """Pad cases to one batch."""
    shape = (len(cases), max(len(case.targets) for case in cases))
    rewards, has_reward = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
    decisions = torch.ones(shape, dtype=torch.long)
    for row, case in enumerate(cases):
        for column, (target, reward) in enumerate(zip(case.targets, case.rewards, strict=True)):
            decisions[row, column] = max(1, len(target.decisions))
            if reward is not None:
                rewards[row, column], has_reward[row, column] = reward, True
    return ContrastBatch(
        inputs,
        [case.targets for case in cases],
        rewards,
        has_reward,
        torch.tensor([-1 if case.gold is None else case.gold for case in cases]),
        torch.tensor([-1 if case.mbr is None else case.mbr for case in cases]),
        decisions,
        {
            name: torch.tensor([case.logs.get(name, math.nan) for case in cases])
            for name in log_names
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastSettings:
    """What is maximised on the candidates of a round.

    Args:
        objective: of log_p, rewards and mask [B, K], with its settings bound; a loss [B].
        contrast_weight: of the objective.
        nll_weight: of the likelihood of the gold, per decision.
        mbr_weight: of the likelihood of the candidate with the highest expected reward.
        batch_size: examples per step, over all processes.
        learning_rate: peak rate of AdamW.
        embedding_rate: factor on it for embeddings and position biases.
    """

    objective: Objective
    contrast_weight: float
    nll_weight: float
    mbr_weight: float
    batch_size: int
    learning_rate: float
    embedding_rate: float


def contrast_loss(log_p: Tensor, batch: ContrastBatch, settings: ContrastSettings) -> LossTerms:
    """The loss [B] of candidates and its terms, each term before it is weighed.

        contrast_weight * objective + nll_weight * nll(gold) + mbr_weight * nll(MBR's choice)

    nll is -log_p per decision of the target; 0 for an example without such a candidate.

    Args:
        log_p: [B, K] of each target in nats.
    """
    device = log_p.device
    per_decision = -log_p / batch.decisions.to(device)

    def nll_of(place: Tensor) -> Tensor:
        place = place.to(device)
        taken = per_decision.gather(1, place.clamp(min=0)[:, None])[:, 0]
        return taken.masked_fill(place < 0, 0.0)

    nll = nll_of(batch.gold)
    loss, logs = settings.nll_weight * nll, {"nll": nll}
    if settings.contrast_weight:
        rewards, known = batch.rewards.to(log_p), batch.has_reward.to(device)
        logs["contrast"] = settings.objective(log_p, rewards, known)
        loss = loss + settings.contrast_weight * logs["contrast"]
    if settings.mbr_weight:
        logs["mbr_nll"] = nll_of(batch.mbr)
        loss = loss + settings.mbr_weight * logs["mbr_nll"]
    return LossTerms(loss, {**logs, **batch.logs})


def contrast(
    writer: Writer,
    cases: Sequence[ContrastCase],
    stage: StageSettings,
    context: StageContext,
    *,
    variation: Variation,
    settings: ContrastSettings,
) -> StageResult:
    """Train on contrast_weight * objective + nll_weight * nll of the gold, per example.

    With `mbr_weight`, mbr_weight * nll of the candidate with the highest expected reward is added:
    MBR distillation. Source: Finkelstein and Freitag, MBR and QE Finetuning (2023); what we
    changed: the candidates are the top k, and the gold's likelihood stays beside it.

    Args:
        cases: the candidates of a round.
        stage, context: as in `train_stage`.
        variation: hides the words of the inputs that were hidden when candidates were searched.
        settings: what is maximised.
    """
    if not settings.contrast_weight:
        cases = without_contrast(cases)
    order = BatchOrder(
        len(cases),
        batch_size=settings.batch_size,
        seed=stage.seed,
        lengths=[max(len(target.tokens) for target in case.targets) for case in cases],
    )
    log_names = sorted({name for case in cases for name in case.logs})

    def collate(indices: list[int], step: int) -> ContrastBatch:
        batch = [cases[index] for index in indices]
        inputs = [variation.fixed_input_ids(case.example, stage.seed) for case in batch]
        return batch_of(batch, inputs, log_names)

    def loss_of(model: Any, batch: ContrastBatch) -> LossTerms:
        log_p, _ = writer.notation.log_p(model, batch.inputs, batch.targets)
        return contrast_loss(log_p, batch, settings)

    return train_stage(
        writer.model,
        loss_of,
        Batches(order, collate),
        stage,
        context,
        parameter_groups=writer.notation.parameter_groups(
            writer.model,
            learning_rate=settings.learning_rate,
            embedding_rate=settings.embedding_rate,
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
