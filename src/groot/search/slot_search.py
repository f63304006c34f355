"""Beam search where each slot takes one token: all targets keep step, one decoder step per slot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from groot.models.step import StepModel
from groot.search.batch import Batch
from groot.search.found import Found, SlotStep, is_proven, trace, vocabulary_log_p
from groot.search.label_tables import LabelTables
from groot.targets.grammar import Normalise


@dataclass(frozen=True, slots=True)
class _Finished:
    """Texts from `first` on that ended in a slot: log_p and ranks [F, K], and what was lost [F]."""

    slot: int
    first: int
    log_p: Tensor
    ranks: Tensor
    lost: Tensor


def slot_search(
    batch: Batch,
    *,
    k: int,
    n_proven: int,
    width: int,
    normalise: Normalise,
    noted: int = 1,
) -> tuple[list[Found], list[SlotStep]]:
    """Search the top k targets of a batch of texts.

    Args:
        noted: dropped prefixes of a slot that its step holds, at least 1.

    Returns:
        what was found, and each slot's step.
    """
    model, tables, n_slots = batch.model, batch.tables, batch.n_slots
    device, is_global = batch.device, normalise == "vocabulary"
    texts, beams = len(batch), 1
    forced = [torch.tensor(ids, dtype=torch.long, device=device) for ids in batch.glue]
    rows = torch.arange(texts, device=device)
    wanted = None if is_global else slice(-1, None)
    decoding, hidden = model.begin(
        batch.memory,
        rows,
        forced[0].expand(texts, -1),
        lexicon=batch.lexicon,
        at=wanted,
    )
    first_rows = rows[:, None]  # [texts, 1] of each text
    log_p = torch.zeros((texts, 1), device=device)  # [texts, beams]
    states = torch.zeros((texts, 1), dtype=torch.long, device=device)
    allowed = tables.blocked[states]  # [texts, beams, A], added to logits
    lost = torch.full((texts,), -math.inf, device=device)
    steps: list[SlotStep] = []
    finished: list[_Finished] = []
    choices = None
    if is_global:
        choices, given = _global_log_p(model, tables, hidden, forced[0])
        log_p = log_p + given.view(texts, 1)
    for slot in range(n_slots[0]):
        if choices is None:
            logits = model.logits(hidden[:, -1], tables.choice_ids).float()
            step = (logits.view(texts, beams, -1) + allowed).log_softmax(-1)
        else:
            step = choices.view(texts, beams, -1) + allowed
        total = (log_p[:, :, None] + step).view(texts, -1)
        keep = min(width, total.shape[1])
        best, index = total.topk(min(keep + noted, total.shape[1]), dim=1)
        if best.shape[1] > keep:
            lost = torch.maximum(lost, best[:, keep])
        columns = index % tables.n_columns
        parents = torch.div(index, tables.n_columns, rounding_mode="floor")
        is_all = best.shape[1] == total.shape[1]
        steps.append(SlotStep(keep, best, parents, columns, is_all))
        log_p, parents, columns = best[:, :keep], parents[:, :keep], columns[:, :keep]
        still = texts
        while still and n_slots[still - 1] == slot + 1:
            still -= 1
        left = texts if is_global else still  # over the vocabulary, the end is a token to feed
        if left < texts:
            ranks = torch.arange(min(k, keep), device=device).expand(texts - left, -1)
            finished.append(_Finished(slot, left, log_p[left:, :k], ranks, lost[left:]))
            if left == 0:
                break
            log_p, lost, states, parents, columns = (
                part[:left] for part in (log_p, lost, states, parents, columns)
            )
        if beams > 1 or keep > 1:
            index = (first_rows[:left] + parents).view(-1)
            decoding.reorder(index, slice(None) if left == texts else slice(left))
        elif left < texts:
            decoding.reorder(slice(left), slice(left))
        if keep != beams:
            first_rows = rows[:, None] * keep
        if tables.open_behind is None:
            states = tables.next_states[states.gather(1, parents), columns]
            allowed = tables.blocked[states]
        else:
            allowed = tables.open_behind[columns]
        chosen = tables.choice_ids[columns].view(-1, 1)
        ahead = forced[slot + 1] if still else forced[0][:0]
        hidden = decoding.advance(
            torch.cat([chosen, ahead.expand(len(chosen), -1)], dim=1), at=wanted
        )
        if is_global:
            if still < texts:
                ending = hidden[still * keep :, :1]
                end = torch.tensor([batch.end], device=device)
                _, given = _global_log_p(model, tables, ending, end)
                over, ranks = (log_p[still:] + given.view(-1, keep)).topk(min(k, keep), dim=1)
                finished.append(_Finished(slot, still, over, ranks, lost[still:]))
                if still == 0:
                    break
                index = torch.arange(still * keep, device=device)
                decoding.reorder(index, slice(still))
                hidden = hidden[: still * keep]
                log_p, lost, states, allowed = (
                    part[:still] for part in (log_p, lost, states, allowed)
                )
            choices, given = _global_log_p(model, tables, hidden, ahead)
            log_p = log_p + given.view(still, keep)
        texts, beams = still, keep
    return _collect(finished, steps, tables, n_proven, width), steps


def _global_log_p(
    model: StepModel, tables: LabelTables, hidden: Tensor, forced: Tensor
) -> tuple[Tensor, Tensor]:
    """log_p [N, A] of the choices behind the last state, and [N] of the forced tokens together.

    Args:
        hidden: [N, m, d], of which the last predicts a choice, those before it `forced` [m - 1];
            or as many as forced, and no choice is asked for.
    """
    n, m = hidden.shape[0], hidden.shape[1]
    m_forced = len(forced)
    targets = torch.zeros((n, m), dtype=torch.long, device=hidden.device)
    targets[:, :m_forced] = forced
    choices, taken = vocabulary_log_p(model, hidden, tables.choice_ids, targets)
    return choices, taken[:, :m_forced].sum(1)


def _collect(
    finished: list[_Finished],
    steps: list[SlotStep],
    tables: LabelTables,
    n_proven: int,
    width: int,
) -> list[Found]:
    """Found of every text; those that finished first are the last of the batch."""
    parents = [step.parents.cpu().numpy() for step in steps]
    columns = [step.columns.cpu().numpy() for step in steps]
    results: list[Found] = []
    for one in finished:
        texts = slice(one.first, one.first + len(one.log_p))
        path_ids = trace(
            [p[texts] for p in parents[: one.slot + 1]],
            [c[texts] for c in columns[: one.slot + 1]],
            one.ranks.cpu().numpy(),
        )
        paths = tables.names[path_ids].tolist()
        part = []
        for row, of_text, bound in zip(one.log_p.tolist(), paths, one.lost.tolist(), strict=True):
            values = [value for value in row if value > -math.inf]
            kept = tuple(map(tuple, of_text[: len(values)]))
            part.append(Found(kept, tuple(values), is_proven(values, n_proven, bound), width))
        results = part + results
    return results
