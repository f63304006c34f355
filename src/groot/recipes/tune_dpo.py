"""DPO for a generator: what is preferred gets likelier than what is not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from groot.data.preferences import Preference, cut_held_out
from groot.errors import DataError
from groot.recipes.model_run import MODEL, Results
from groot.recipes.tune_losses import PromptTexts, dpo_loss, token_log_ps
from groot.recipes.tuning import Tuning
from groot.writer.generator import Generator

PAIRS_AT_A_TIME = 64


def learn_dpo(tuning: Tuning, preferences: Sequence[Preference]) -> Results:
    """Learn from pairs; the weights with the least loss on held-out pairs are kept.

    Raises:
        DataError: if there is no pair to learn from, or none to measure on.

    Source: see `groot.objectives.policy.dpo`.
    """
    settings, frozen = tuning.settings, tuning.frozen
    pairs, held = cut_held_out(preferences, share=settings.held_out, seed=settings.seed)
    items, held_items = pair_items(frozen, pairs), pair_items(frozen, held)
    if not items or not held_items:
        raise DataError(
            f"{len(items)} pairs to learn from and {len(held_items)} held out, of"
            f" {len(preferences)}: want at least one of each. Outputs of more than"
            f" {frozen.max_new_tokens} tokens cannot be used."
        )

    @torch.no_grad()
    def measure() -> dict[str, float]:
        tuning.tuned.model.eval()
        losses: list[float] = []
        for first in range(0, len(held_items), PAIRS_AT_A_TIME):
            part = held_items[first : first + PAIRS_AT_A_TIME]
            losses += dpo_loss(tuning.tuned.model, part, beta=settings.beta).tolist()
        return {"minus_loss": -sum(losses) / len(losses)}

    result = tuning.train(
        items,
        tuning.run.context(measure, selects_on="minus_loss"),
        name="dpo",
        loss_of=lambda model, batch: dpo_loss(model, batch, beta=settings.beta),
        evaluations=settings.evaluations,
        measure_first=True,
    )
    learnt, chosen = ([pair.prompt for pair in part] for part in (pairs, held))
    tuning.save(learnt, chosen, name=MODEL)
    return {
        "objective": "dpo",
        "pairs": len(items),
        "held_out": len(held_items),
        "unusable": len(preferences) - len(items) - len(held_items),
        "selects_on": "loss of held-out pairs",
        "best": -result.best,
        "before": math.log(2),  # both log-ratios are 0
        "best_step": result.best_step,
        "steps": result.steps,
        "seconds": result.seconds,
    }


def pair_items(frozen: Generator, pairs: Sequence[Preference]) -> list[PromptTexts]:
    """Pairs in token ids; those with outputs that are too long, or equal, are left out."""
    spelled = [
        (
            frozen.input_ids(pair.prompt),
            tuple(tuple(frozen.prompts.target_ids(text)) for text in (pair.chosen, pair.rejected)),
        )
        for pair in pairs
    ]
    usable = [
        (ids, targets)
        for ids, targets in spelled
        if targets[0] != targets[1] and max(map(len, targets)) <= frozen.max_new_tokens
    ]
    reference = token_log_ps(frozen, usable)
    return [
        PromptTexts(ids, targets, (1.0, 0.0), (), log_p)
        for (ids, targets), log_p in zip(usable, reference, strict=True)
    ]
