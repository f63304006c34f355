"""Beam search where each slot takes one token: all targets keep step, one decoder step per slot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from groot.models.step import Decoding
from groot.search.batch import Batch
from groot.search.found import Found, Goal, SlotStep, trace

_LAST = slice(-1, None)


@dataclass(frozen=True, slots=True)
class _Finished:
    """Texts from `first` on that ended in a slot: log_p [F, K], and what was lost [F]."""

    slot: int
    first: int
    log_p: Tensor
    lost: Tensor


@dataclass(slots=True)
class _Beams:
    """Prefixes of the texts that go on, W each, before a slot.

    Args:
        log_p: [B, W].
        states: [B, W] of the grammar; not kept where it follows from the last token.
        blocked: [B, W, A] what is added to logits: -inf where a choice is not allowed.
        lost: [B] the highest log_p that was dropped so far.
        hidden: [B * W, 1, d] what predicts the slot.
    """

    log_p: Tensor
    states: Tensor
    blocked: Tensor
    lost: Tensor
    hidden: Tensor


def slot_search(batch: Batch, goal: Goal, *, noted: int = 1) -> tuple[list[Found], list[SlotStep]]:
    """Search the top k targets of a batch of texts.

    Args:
        noted: dropped prefixes of a slot that its step holds, at least 1.

    Returns:
        what was found, and each slot's step.
    """
    texts, device, tables = len(batch), batch.device, batch.tables
    glue = [torch.tensor(ids, dtype=torch.long, device=device) for ids in batch.glue]
    rows = torch.arange(texts, device=device)
    decoding, hidden = batch.model.begin(
        batch.memory, rows, glue[0].expand(texts, -1), lexicon=batch.lexicon, at=_LAST
    )
    states = torch.zeros((texts, 1), dtype=torch.long, device=device)
    lost = torch.full((texts,), -math.inf, device=device)
    beams = _Beams(torch.zeros((texts, 1), device=device), states, tables.blocked[states], lost,
                   hidden)  # fmt: skip
    steps: list[SlotStep] = []
    finished: list[_Finished] = []
    for slot in range(batch.n_slots[0]):
        step = _best_choices(batch, beams, goal.width, noted)
        steps.append(step)
        if step.log_p.shape[1] > step.n_kept:
            beams.lost = torch.maximum(beams.lost, step.log_p[:, step.n_kept])
        still = sum(n > slot + 1 for n in batch.n_slots)
        if still < len(beams.log_p):
            best = step.log_p[still:, : min(goal.k, step.n_kept)]
            finished.append(_Finished(slot, still, best, beams.lost[still:]))
        if still == 0:
            break
        _take(batch, decoding, beams, step, glue[slot + 1], still)
    return _collect(batch, goal, finished, steps), steps


def _best_choices(batch: Batch, beams: _Beams, width: int, noted: int) -> SlotStep:
    """The best prefixes that are one choice longer, and some of those that are dropped."""
    tables, texts = batch.tables, len(beams.log_p)
    logits = batch.model.logits(beams.hidden[:, -1], tables.choice_ids).float()
    following = (logits.view(beams.blocked.shape) + beams.blocked).log_softmax(-1)
    total = (beams.log_p[:, :, None] + following).view(texts, -1)
    keep = min(width, total.shape[1])
    best, index = total.topk(min(keep + noted, total.shape[1]), dim=1)
    parents = torch.div(index, tables.n_columns, rounding_mode="floor")
    is_all = best.shape[1] == total.shape[1]
    return SlotStep(keep, best, parents, index % tables.n_columns, is_all)


def _take(
    batch: Batch, decoding: Decoding, beams: _Beams, step: SlotStep, ahead: Tensor, still: int
) -> None:
    """Keep the best prefixes of the first `still` texts; feed their choices and what is forced."""
    tables, keep = batch.tables, step.n_kept
    texts, before = beams.log_p.shape
    parents, columns = step.parents[:still, :keep], step.columns[:still, :keep]
    kept_texts = slice(None) if still == texts else slice(still)
    if before > 1 or keep > 1:
        first_rows = torch.arange(still, device=batch.device)[:, None] * before
        decoding.reorder((first_rows + parents).view(-1), kept_texts)
    elif still < texts:
        decoding.reorder(kept_texts, kept_texts)
    beams.log_p, beams.lost = step.log_p[:still, :keep], beams.lost[:still]
    if tables.open_behind is None:
        beams.states = tables.next_states[beams.states[:still].gather(1, parents), columns]
        beams.blocked = tables.blocked[beams.states]
    else:
        beams.blocked = tables.open_behind[columns]
    chosen = tables.choice_ids[columns].view(-1, 1)
    fed = torch.cat([chosen, ahead.expand(len(chosen), -1)], dim=1)
    beams.hidden = decoding.advance(fed, at=_LAST)


def _collect(
    batch: Batch, goal: Goal, finished: list[_Finished], steps: list[SlotStep]
) -> list[Found]:
    """Found of every text; those that finished first are the last of the batch."""
    parents = [step.parents.cpu().numpy() for step in steps]
    columns = [step.columns.cpu().numpy() for step in steps]
    results: list[Found] = []
    for end in finished:
        n_texts, n_targets = end.log_p.shape
        texts = slice(end.first, end.first + n_texts)
        path_ids = trace(
            [of_slot[texts] for of_slot in parents[: end.slot + 1]],
            [of_slot[texts] for of_slot in columns[: end.slot + 1]],
            np.broadcast_to(np.arange(n_targets), (n_texts, n_targets)),
        )
        paths = batch.tables.names[path_ids].tolist()
        rows = zip(paths, end.log_p.tolist(), end.lost.tolist(), strict=True)
        results = [goal.found(*row) for row in rows] + results
    return results
