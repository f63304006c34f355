"""Beam search over any label grammar: labels of several tokens, slots of several labels.

All prefixes have the same number of tokens. A step feeds as many forced tokens as every prefix has
waiting (at least one), so that no prefix waits and none is padded; those that have none left then
decide, the others stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from groot.models.step import StepModel
from groot.search.found import Found, is_proven, vocabulary_log_p
from groot.search.label_tables import LabelTables
from groot.targets.grammar import Normalise

_MANY = 1 << 30  # more tokens than any target has


@dataclass(slots=True)
class _Beams:
    """Prefixes of B texts, W each; what holds no prefix has log_p -inf.

    Args:
        log_p: [B, W]. state, slot: [B, W] where in the grammar. run: [B, W, R] forced tokens that
        wait to be fed, the choice before them included. waiting: [B, W] how many.
    """

    log_p: Tensor
    state: Tensor
    slot: Tensor
    run: Tensor
    waiting: Tensor

    def of_rows(self, rows: Tensor, shape: Sequence[int]) -> _Beams:
        """The prefixes `rows` of all, counted through, as [B', W'] of them."""
        parts = (self.log_p, self.state, self.slot, self.run, self.waiting)
        taken = [part.flatten(0, 1)[rows] for part in parts]
        return _Beams(*(part.view(*shape, *part.shape[1:]) for part in taken))


class _Done:
    """The k best whole targets of each text so far."""

    def __init__(self, texts: int, k: int, device: torch.device) -> None:
        self.k = k
        self.log_p = torch.full((texts, k), -math.inf, device=device)
        # round in which it was the prefix `rank`, and what it said last
        self.round = torch.zeros((texts, k), dtype=torch.long, device=device)
        self.rank = torch.zeros_like(self.round)
        self.said = torch.zeros_like(self.round)

    def add(self, texts: Tensor, log_p: Tensor, round_: int, rank: Tensor, said: Tensor) -> None:
        """Take in whole targets [b, n] of some texts [b]."""
        total = torch.cat([self.log_p[texts], log_p], dim=1)
        best, index = total.topk(self.k, dim=1)
        self.log_p[texts] = best
        rounds = torch.full_like(rank, round_)
        for name, new in (("round", rounds), ("rank", rank), ("said", said)):
            old = getattr(self, name)
            old[texts] = torch.cat([old[texts], new], dim=1).gather(1, index)


def decision_search(
    model: StepModel,
    tables: LabelTables,
    glues: list[list[tuple[int, ...]]],
    memory: Any,
    *,
    k: int,
    n_proven: int,
    width: int,
    normalise: Normalise,
) -> list[Found]:
    """Search the top k targets of a batch of texts.

    Args:
        tables: of any grammar.
        glues: per text, the forced tokens before each slot, and last those behind the last one.
        memory: the texts, encoded.
    """
    device, is_global = model.device, normalise == "vocabulary"
    n_slots = torch.tensor([len(glue) - 1 for glue in glues], device=device)
    glue, glue_size = _padded(glues, device)
    texts = torch.arange(len(glues), device=device)  # those that still have prefixes
    lost = torch.full((len(glues),), -math.inf, device=device)
    done = _Done(len(glues), k, device)
    zeros = torch.zeros((len(glues), 1), dtype=torch.long, device=device)
    beams = _Beams(zeros.float(), zeros, zeros, glue[:, :1], glue_size[:, :1])
    empty = torch.zeros((len(glues), 0), dtype=torch.long, device=device)
    lexicon = tables.lexicon([ids for some in glues for ids in some])
    decoding, hidden = model.begin(memory, texts, empty, lexicon=lexicon)
    choices = _predict(model, tables, beams, empty[:, None], hidden, is_global)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    while True:
        last_round, n_before = len(history) - 1, beams.log_p.shape[1]
        decides = beams.waiting == 0
        step = choices.view(len(texts), n_before, -1) + tables.blocked[beams.state]
        if not is_global:
            step = step.log_softmax(-1)
        grown = (beams.log_p[:, :, None] + step).masked_fill(~decides[:, :, None], -math.inf)
        kept = beams.log_p.masked_fill(decides, -math.inf)
        if is_global:  # whole where nothing waits but a last token, which is counted already
            is_whole = (beams.slot == n_slots[texts, None]) & (beams.waiting <= 1)
            whole = beams.log_p.masked_fill(~is_whole, -math.inf)
            rank = torch.arange(n_before, device=device).expand_as(beams.slot)
            done.add(texts, whole, last_round, rank, torch.zeros_like(rank))
            kept = kept.masked_fill(is_whole, -math.inf)
            grown = grown.masked_fill(is_whole[:, :, None], -math.inf)
        else:
            closed = beams.slot[:, :, None] + tables.closes[beams.state]
            is_whole = (closed == n_slots[texts, None, None]) & decides[:, :, None]
            whole, index = _best(grown.masked_fill(~is_whole, -math.inf).flatten(1), k)
            rank = torch.div(index, tables.n_columns, rounding_mode="floor")
            said = tables.says[beams.state.gather(1, rank), index % tables.n_columns]
            done.add(texts, whole, last_round, rank, said)
            grown = grown.masked_fill(is_whole, -math.inf)
        # each column of a prefix that decides is a candidate; the last column is to wait
        best, index = _best(torch.cat([grown, kept[:, :, None]], dim=2).flatten(1), width + 1)
        # what is not above the k-th whole target is not worth going on with
        best = best.masked_fill(best <= done.log_p[texts, -1:], -math.inf)
        if best.shape[1] > width:
            lost[texts] = torch.maximum(lost[texts], best[:, width])
            best, index = best[:, :width], index[:, :width]
        counts = (best > -math.inf).sum(1)
        keep = int(counts.max())
        if keep == 0:
            break
        still = counts.nonzero()[:, 0]
        best, index = best[still, :keep], index[still, :keep]
        parents = torch.div(index, tables.n_columns + 1, rounding_mode="floor")
        rows = still[:, None] * n_before + parents
        if len(still) < len(texts) or keep > 1 or n_before > 1:
            is_all = len(still) == len(texts)
            decoding.reorder(rows.view(-1), slice(None) if is_all else still)
        texts = texts[still]
        column = index % (tables.n_columns + 1)
        beams, says = _choose(
            beams, rows.view(-1), best, column, tables, (glue[texts], glue_size[texts])
        )
        history.append((texts, parents, says))
        # as many tokens as all prefixes have waiting
        m = int(beams.waiting.masked_fill(best == -math.inf, _MANY).min())
        fed, beams.run = beams.run[:, :, :m], beams.run[:, :, m:]
        beams.waiting = (beams.waiting - m).clamp(min=0)
        hidden = decoding.advance(fed.reshape(-1, m), at=None if is_global else slice(-1, None))
        choices = _predict(model, tables, beams, fed[:, :, 1:], hidden, is_global)
    return _collect(done, history, lost, tables, n_proven, width)


def _padded(glues: list[list[tuple[int, ...]]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Glue [B, slots + 1, G] of texts, padded, and the size of each [B, slots + 1]."""
    slots = max(len(glue) for glue in glues)
    longest = max((len(ids) for glue in glues for ids in glue), default=0)
    tokens = np.zeros((len(glues), slots, longest), dtype=np.int64)
    sizes = np.zeros((len(glues), slots), dtype=np.int64)
    for text, glue in enumerate(glues):
        for slot, ids in enumerate(glue):
            tokens[text, slot, : len(ids)] = ids
            sizes[text, slot] = len(ids)
    return torch.from_numpy(tokens).to(device), torch.from_numpy(sizes).to(device)


def _best(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    best = values.topk(min(count, values.shape[1]), dim=1)
    return best.values, best.indices


def _predict(
    model: StepModel,
    tables: LabelTables,
    beams: _Beams,
    fed: Tensor,
    hidden: Tensor,
    is_global: bool,
) -> Tensor:
    """What follows: logits, or log_p over the vocabulary, of the choices [N, A].

    Over the vocabulary, the forced tokens that are predicted here are counted into the prefixes:
    those fed behind the first one, fed [B, W, m - 1], and the first one that waits.
    """
    if not is_global:
        return model.logits(hidden[:, -1], tables.choice_ids).float()
    waits = beams.waiting > 0
    ahead = pad(beams.run[:, :, :1], (0, 1 - min(1, beams.run.shape[2])))
    forced = torch.cat([fed, ahead], dim=2)
    choices, taken = vocabulary_log_p(
        model, hidden, tables.choice_ids, forced.reshape(hidden.shape[:2])
    )
    taken = taken.view(forced.shape)
    gone = taken[:, :, :-1].sum(2) + taken[:, :, -1].masked_fill(~waits, 0.0)
    beams.log_p = beams.log_p + gone
    return choices


def _choose(
    beams: _Beams,
    rows: Tensor,
    log_p: Tensor,
    column: Tensor,
    tables: LabelTables,
    glue: tuple[Tensor, Tensor],
) -> tuple[_Beams, Tensor]:
    """The prefixes that continue `rows` by a column [B, W] each, and what they say by it."""
    old = beams.of_rows(rows, column.shape)
    waits = column == tables.n_columns
    column = column.masked_fill(waits, 0)
    forced, count = (table[old.state, column] for table in tables.forced)
    closes = tables.closes[old.state, column].bool() & ~waits
    # what holds no prefix may close slots that there are not
    slot = (old.slot + closes).clamp(max=glue[1].shape[1] - 1)
    text = torch.arange(len(slot), device=slot.device)[:, None]
    glue_ids, glue_size = (part[text, slot] for part in glue)
    run = torch.cat([tables.choice_ids[column][:, :, None], forced], dim=2)
    run = pad(run, (0, glue_ids.shape[2]))
    behind = 1 + count[:, :, None] + torch.arange(glue_ids.shape[2], device=slot.device)
    run = torch.where(closes[:, :, None], run.scatter(2, behind, glue_ids), run)
    size = max(run.shape[2], old.run.shape[2])
    before, run = (pad(some, (0, size - some.shape[2])) for some in (old.run, run))
    grown = _Beams(
        log_p,
        torch.where(waits, old.state, tables.next_states[old.state, column]),
        slot,
        torch.where(waits[:, :, None], before, run),
        torch.where(waits, old.waiting, 1 + count + closes * glue_size),
    )
    return grown, tables.says[old.state, column].masked_fill(waits, 0)


def _collect(
    done: _Done,
    history: list[tuple[Tensor, Tensor, Tensor]],
    lost: Tensor,
    tables: LabelTables,
    n_proven: int,
    width: int,
) -> list[Found]:
    shape = (len(lost), max((parents.shape[1] for _, parents, _ in history), default=1))
    log_p, last, rank = (part.cpu().numpy() for part in (done.log_p, done.round, done.rank))
    every = np.arange(len(lost))[:, None]
    said = [done.said.cpu().numpy()]
    for round_ in range(len(history) - 1, -1, -1):
        texts, parents, says = (part.cpu().numpy() for part in history[round_])
        parent_of, said_by = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        parent_of[texts, : parents.shape[1]] = parents
        said_by[texts, : parents.shape[1]] = says
        took_part = last >= round_
        said.append(np.where(took_part, said_by[every, rank], 0))
        rank = np.where(took_part, parent_of[every, rank], rank)
    paths = np.stack(said[::-1], axis=2).tolist()
    results = []
    for values, of_text, bound in zip(log_p.tolist(), paths, lost.tolist(), strict=True):
        real = [value for value in values if value > -math.inf]
        some = tuple(
            tuple(symbol for index in path if index for symbol in tables.symbols[index])
            for path in of_text[: len(real)]
        )
        results.append(Found(some, tuple(real), is_proven(real, n_proven, bound), width))
    return results
