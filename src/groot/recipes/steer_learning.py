"""Heads fitted and a way to steer chosen, on all texts and on the past of each fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groot.errors import ConfigError
from groot.outputs.choose import Choice
from groot.recipes.steer_candidates import SteerTable
from groot.recipes.steer_choice import (
    Mask,
    Steering,
    cautious_choice,
    fold_of_each,
    judged_by_the_past,
)
from groot.recipes.steer_heads import fit_head

CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class SteerSettings:
    """How a labeler's guide is learnt.

    Args:
        num_candidates: candidates that are searched per text.
        strengths: penalties on the head that are tried.
        weights: weights of the guide that are tried.
        folds: parts that the texts are cut into, both for choosing by cross-validation and for
            judging each part by those before it.
        iterations: iterations of L-BFGS at most.
    """

    num_candidates: int = 16
    strengths: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    folds: int = 5
    iterations: int = 30

    def __post_init__(self) -> None:
        if self.num_candidates < 2 or self.folds < 2 or self.iterations < 1:
            raise ConfigError(
                f"num_candidates={self.num_candidates} and folds={self.folds} must be 2 or more,"
                f" iterations={self.iterations} 1 or more."
            )
        for name in ("strengths", "weights"):
            values = getattr(self, name)
            if not values or min(values) <= 0:
                raise ConfigError(f"{name}={values}: want at least one, each above 0.")

    @property
    def ways(self) -> tuple[Steering, ...]:
        """All ways to steer that are tried."""
        return tuple(
            Steering(strength, weight, choose)
            for strength in self.strengths
            for weight in self.weights
            for choose in CHOICES
        )

    @property
    def fewest_texts(self) -> int:
        """Different texts that are needed: two in each fold, to learn from one and try another."""
        return 2 * self.folds

    @property
    def n_lessons(self) -> int:
        """How often a guide is learnt: once for each fold but the first, and once for good."""
        return self.folds


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learnt from N texts.

    Args:
        head: [A, d + 1] learnt from all of them.
        way: how it is used: chosen by cross-validation.
        tried: [N] which candidate of each text comes first in each way, under heads that the text
            had no part in. The way was chosen by these, so they flatter it.
    """

    head: Tensor
    way: Steering
    tried: dict[Steering, Tensor]

    def first(self, table: SteerTable) -> Tensor:
        """[N] which candidate of each text of a table comes first under the guide."""
        scores = table.log_p + self.way.weight * table.added_by(self.head)
        return table.first(scores, self.way.choose)


def learn(table: SteerTable, settings: SteerSettings) -> Lesson:
    """Choose a way to steer by cross-validation, and fit the head on all texts of a table."""
    fold_of = torch.from_numpy(fold_of_each(table.texts, settings.folds))
    tried: dict[Steering, Tensor] = {}
    for strength in settings.strengths:
        added = _added_by_others(table, fold_of, strength, settings.iterations)
        for way in settings.ways:
            if way.strength == strength:
                tried[way] = table.first(table.log_p + way.weight * added, way.choose)
    way = cautious_choice(
        {way: rewards_of(table, first) for way, first in tried.items()},
        rewards_of(table, table.first(table.log_p, "top")),
    )
    head = fit_head(table, strength=way.strength, iterations=settings.iterations)
    return Lesson(head, way, tried)


def _added_by_others(
    table: SteerTable, fold_of: Tensor, strength: float, iterations: int
) -> Tensor:
    """What a head adds [N, K] to each candidate, learnt from the texts of the other folds."""
    added = torch.zeros_like(table.log_p)
    for fold in fold_of.unique().tolist():
        is_held_out = fold_of == fold
        head = fit_head(table.of_texts(~is_held_out), strength=strength, iterations=iterations)
        added[is_held_out] = table.of_texts(is_held_out).added_by(head)
    return added


def judge(
    table: SteerTable, settings: SteerSettings, *, on_lesson: Callable[[Lesson], None]
) -> Tensor:
    """Which candidate [N] of each text comes first under a guide that the folds before it taught.

    Args:
        table: the candidates of the texts.
        settings: how a guide is learnt.
        on_lesson: called after each guide that was learnt.

    Returns:
        the places [N] of candidates; -1 for the texts of the first fold, which nothing can judge.
    """

    def first_after(is_past: Mask) -> NDArray[np.int64]:
        lesson = learn(table.of_texts(torch.from_numpy(is_past)), settings)
        on_lesson(lesson)
        return lesson.first(table).numpy()

    fold_of = fold_of_each(table.texts, settings.folds)
    return torch.from_numpy(judged_by_the_past(fold_of, first_after))


def rewards_of(table: SteerTable, first: Tensor) -> NDArray[np.float64]:
    """The reward [N] of the candidates [N] that come first."""
    return table.rewards.gather(1, first[:, None])[:, 0].double().numpy()
