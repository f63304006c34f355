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
from groot.search.found import Found, Goal
from groot.search.label_tables import LabelTables

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
    goal: Goal,
) -> list[Found]:
    """Search the top k targets of a batch of texts.

    Args:
        tables: of any grammar.
        glues: per text, the forced tokens before each slot, and last those behind the last one.
        memory: the texts, encoded.
    """
    search = _Search(model, tables, glues, memory, goal)
    while search.step():
        pass
    return search.collect()


class _Search:
    """The prefixes of a batch of texts, and what became of them.

    Attributes:
        texts: [B] those that still have prefixes.
        beams: their prefixes.
        done: whole targets of all texts.
        lost: of all texts, the highest log_p that was dropped so far.
        history: per round the texts, and of each prefix which one it continues and what it says.
    """

    def __init__(
        self,
        model: StepModel,
        tables: LabelTables,
        glues: list[list[tuple[int, ...]]],
        memory: Any,
        goal: Goal,
    ) -> None:
        device = model.device
        self.model, self.tables, self.goal = model, tables, goal
        self.n_slots = torch.tensor([len(glue) - 1 for glue in glues], device=device)
        self.glue, self.glue_size = _padded(glues, device)
        self.texts = torch.arange(len(glues), device=device)
        self.lost = torch.full((len(glues),), -math.inf, device=device)
        self.done = _Done(len(glues), goal.k, device)
        zeros = torch.zeros((len(glues), 1), dtype=torch.long, device=device)
        forced, n_forced = self.glue[:, :1], self.glue_size[:, :1]
        self.beams = _Beams(zeros.float(), zeros, zeros, forced, n_forced)
        self.history: list[tuple[Tensor, Tensor, Tensor]] = []
        empty = torch.zeros((len(glues), 0), dtype=torch.long, device=device)
        lexicon = tables.lexicon([ids for glue in glues for ids in glue])
        self.decoding, self.hidden = model.begin(memory, self.texts, empty, lexicon=lexicon)

    def step(self) -> bool:
        """Let what has nothing forced before it decide, and feed; False where nothing is left."""
        candidates = self._candidates()
        best, index = _best(candidates.flatten(1), self.goal.width + 1)
        # what is not above the k-th whole target is not worth going on with
        best = best.masked_fill(best <= self.done.log_p[self.texts, -1:], -math.inf)
        if best.shape[1] > self.goal.width:
            dropped, width = best[:, self.goal.width], self.goal.width
            self.lost[self.texts] = torch.maximum(self.lost[self.texts], dropped)
            best, index = best[:, :width], index[:, :width]
        counts = (best > -math.inf).sum(1)
        keep = int(counts.max())
        if keep == 0:
            return False
        still = counts.nonzero()[:, 0]
        self._take(still, best[still, :keep], index[still, :keep])
        return True

    def _candidates(self) -> Tensor:
        """[B, W, A + 1] log_p of the prefixes that go on; notes those that are whole.

        Each column of a prefix that decides is a candidate; the last column is to wait.
        """
        beams, tables = self.beams, self.tables
        decides = beams.waiting == 0
        logits = self.model.logits(self.hidden[:, -1], tables.choice_ids).float()
        logits = logits.view(*beams.log_p.shape, -1) + tables.blocked[beams.state]
        grown = beams.log_p[:, :, None] + logits.log_softmax(-1)
        grown = grown.masked_fill(~decides[:, :, None], -math.inf)
        kept = beams.log_p.masked_fill(decides, -math.inf)
        closed = beams.slot[:, :, None] + tables.closes[beams.state]
        is_whole = (closed == self.n_slots[self.texts, None, None]) & decides[:, :, None]
        whole, index = _best(grown.masked_fill(~is_whole, -math.inf).flatten(1), self.goal.k)
        rank = torch.div(index, tables.n_columns, rounding_mode="floor")
        says = tables.says[beams.state.gather(1, rank), index % tables.n_columns]
        self.done.add(self.texts, whole, len(self.history) - 1, rank, says)
        return torch.cat([grown.masked_fill(is_whole, -math.inf), kept[:, :, None]], dim=2)

    def _take(self, still: Tensor, log_p: Tensor, index: Tensor) -> None:
        """Keep the candidates `index` [B', W'] of the texts `still`; feed as all can take."""
        n_before, tables = self.beams.log_p.shape[1], self.tables
        parents = torch.div(index, tables.n_columns + 1, rounding_mode="floor")
        rows = (still[:, None] * n_before + parents).view(-1)
        is_all = len(still) == len(self.texts)
        if not is_all or index.shape[1] > 1 or n_before > 1:
            self.decoding.reorder(rows, slice(None) if is_all else still)
        self.texts = self.texts[still]
        column = index % (tables.n_columns + 1)
        glue = self.glue[self.texts], self.glue_size[self.texts]
        beams, says = _choose(self.beams, rows, log_p, column, tables, glue)
        self.history.append((self.texts, parents, says))
        # as many tokens as all prefixes have waiting
        m = int(beams.waiting.masked_fill(log_p == -math.inf, _MANY).min())
        fed, beams.run = beams.run[:, :, :m], beams.run[:, :, m:]
        beams.waiting = (beams.waiting - m).clamp(min=0)
        self.beams = beams
        self.hidden = self.decoding.advance(fed.reshape(-1, m), at=slice(-1, None))

    def collect(self) -> list[Found]:
        """Found of every text."""
        history, done, symbols = self.history, self.done, self.tables.symbols
        shape = (len(self.lost), max((parents.shape[1] for _, parents, _ in history), default=1))
        log_p, last, rank = (part.cpu().numpy() for part in (done.log_p, done.round, done.rank))
        every = np.arange(len(self.lost))[:, None]
        indices = [done.said.cpu().numpy()]
        for round_ in range(len(history) - 1, -1, -1):
            texts, parents, says = (part.cpu().numpy() for part in history[round_])
            parent_of, said_by = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
            parent_of[texts, : parents.shape[1]] = parents
            said_by[texts, : parents.shape[1]] = says
            took_part = last >= round_
            indices.append(np.where(took_part, said_by[every, rank], 0))
            rank = np.where(took_part, parent_of[every, rank], rank)
        chosen = np.stack(indices[::-1], axis=2).tolist()  # [texts, k, rounds] indices of symbols
        paths = [
            [[symbol for index in path for symbol in symbols[index]] for path in of_text]
            for of_text in chosen
        ]
        rows = zip(paths, log_p.tolist(), self.lost.tolist(), strict=True)
        return [self.goal.found(*row) for row in rows]


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
    before, run = (pad(ids, (0, size - ids.shape[2])) for ids in (old.run, run))
    grown = _Beams(
        log_p,
        torch.where(waits, old.state, tables.next_states[old.state, column]),
        slot,
        torch.where(waits[:, :, None], before, run),
        torch.where(waits, old.waiting, 1 + count + closes * glue_size),
    )
    return grown, tables.says[old.state, column].masked_fill(waits, 0)
