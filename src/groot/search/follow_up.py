"""What a beam search dropped, followed up until the top k are proven.

The targets that begin with a dropped prefix are one guess at how it goes on, and those that leave
this guess in some slot. One pass over the guess tells its log_p, and that of every prefix that
leaves it by one choice. A prefix that is not above the k-th best target is done with, as log_p only
falls; the others are followed up in the next pass. Once none is left, the k best are the true ones.
That takes a few passes over a few prefixes, where a wider search takes a step for every slot.

Source: Lawler, A Procedure for Computing the K Best Solutions (1972), for the partition; Meister et
al., Best-First Beam Search (2020), for the bound.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from groot.search.batch import Batch
from groot.search.found import Found, SlotStep

DROPPED = 8  # prefixes dropped in a slot that a search notes, the best ones
# by measurement: with more prefixes of a text than this, or after so many passes, a wider search is
# faster
MORE = 2  # than were kept
PASSES = 3
ROWS = 256  # prefixes in a pass


@dataclass(frozen=True, slots=True)
class _Prefixes:
    """Prefixes [N] of texts.

    Args:
        text: which text each belongs to.
        size: its choices.
        columns: [N, S] the choices; behind them, and behind the text's last slot, anything.
        log_p: of each.
    """

    text: np.ndarray
    size: np.ndarray
    columns: np.ndarray
    log_p: np.ndarray

    def __getitem__(self, chosen: np.ndarray | slice) -> _Prefixes:
        return _Prefixes(
            self.text[chosen], self.size[chosen], self.columns[chosen], self.log_p[chosen]
        )

    def __len__(self) -> int:
        return len(self.text)


class FollowUp:
    """Proves, or corrects, what a search over the allowed tokens found.

    Args:
        batch: the texts, of a grammar whose state follows from the last token alone.
        searches: what was found of each, by a search that noted what it dropped.
        steps: of that search, slot by slot.
        n_proven: targets that are to be proven.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        searches: Sequence[Found],
        steps: Sequence[SlotStep],
        n_proven: int,
    ) -> None:
        assert batch.tables.open_behind is not None
        self.batch, self.tables, self.open_behind = batch, batch.tables, batch.tables.open_behind
        self.is_open = (self.open_behind == 0).cpu().numpy()
        self.n_slots, self.searches, self.n_proven = np.array(batch.n_slots), searches, n_proven
        self.n_kept = [step.n_kept for step in steps]
        self.is_all = [step.is_all for step in steps]
        self.log_p = [step.log_p.cpu().numpy() for step in steps]
        self.parents = [step.parents.cpu().numpy() for step in steps]
        self.columns = [step.columns.cpu().numpy() for step in steps]
        # of each text, best first
        self.best = [list(zip(result.log_p, result.paths, strict=True)) for result in searches]
        self.bounds = np.array([self._bound(text) for text in range(len(searches))])
        self.followed = np.zeros(len(searches), dtype=np.int64)

    def _bound(self, text: int) -> float:
        """Of the last target to be proven; what is not above it needs no looking at."""
        best = self.best[text]
        return best[self.n_proven - 1][0] if len(best) >= self.n_proven else -math.inf

    def run(self) -> list[Found]:
        """Of each text; those that are proven already are handed back as they are."""
        lacking = np.array([not result.exact for result in self.searches])
        # nothing that was dropped without a note is above this
        is_given_up = self._unknown() > self.bounds
        todo = self._dropped(np.flatnonzero(lacking & ~is_given_up))
        for _ in range(PASSES):
            many = np.bincount(todo.text, minlength=len(self.searches)) > max(self.n_kept) + MORE
            is_given_up |= many
            todo = todo[~many[todo.text]]
            if not len(todo):
                break
            todo = self._follow(todo)
        is_given_up[todo.text] = True
        is_proven = lacking & ~is_given_up
        return [
            self._result(text) if is_proven[text] else result
            for text, result in enumerate(self.searches)
        ]

    def _result(self, text: int) -> Found:
        log_p, paths = zip(*self.best[text], strict=True)
        return dataclasses.replace(
            self.searches[text],
            paths=paths,
            log_p=log_p,
            exact=True,
            followed=int(self.followed[text]),
        )

    def _unknown(self) -> np.ndarray:
        """[B] no prefix that was dropped without a note is above this."""
        unknown = np.full(len(self.searches), -math.inf)
        for log_p, is_all in zip(self.log_p, self.is_all, strict=True):
            if not is_all:
                of_slot = unknown[: len(log_p)]
                np.maximum(of_slot, log_p[:, -1], out=of_slot)
        return unknown

    def _dropped(self, texts: np.ndarray) -> _Prefixes:
        """The dropped prefixes of some texts that are above the bound."""
        owners, sizes, ranks, log_p = [], [], [], []
        for slot, values in enumerate(self.log_p):
            present = texts[texts < len(values)]
            dropped = values[present, self.n_kept[slot] :]
            rows, places = np.nonzero(dropped > self.bounds[present, None])
            owners.append(present[rows])
            sizes.append(np.full(len(rows), slot + 1))
            ranks.append(places + self.n_kept[slot])
            log_p.append(dropped[rows, places])
        text, size, rank = map(np.concatenate, (owners, sizes, ranks))
        columns = np.zeros((len(text), len(self.log_p)), dtype=np.int64)
        for slot in range(len(self.log_p) - 1, -1, -1):
            there = np.flatnonzero(size > slot)
            place = text[there], rank[there]
            columns[there, slot] = self.columns[slot][place]
            rank[there] = self.parents[slot][place]
        return _Prefixes(text, size, columns, np.concatenate(log_p))

    def _follow(self, prefixes: _Prefixes) -> _Prefixes:
        """Look at whole guesses; the prefixes that leave them and are above the bound."""
        np.add.at(self.followed, prefixes.text, 1)
        is_whole = prefixes.size == self.n_slots[prefixes.text]
        self._note(prefixes[is_whole], prefixes.log_p[is_whole])
        prefixes = prefixes[~is_whole]
        prefixes = prefixes[prefixes.log_p > self.bounds[prefixes.text]]
        prefixes = prefixes[np.argsort(prefixes.text, kind="stable")]
        more = [prefixes[:0]]
        for first in range(0, len(prefixes), ROWS):
            part = prefixes[first : first + ROWS]
            self._guess(part)
            more.append(self._pass(part))
        parts = zip(*((p.text, p.size, p.columns, p.log_p) for p in more), strict=True)
        left = _Prefixes(*map(np.concatenate, parts))
        return left[left.log_p > self.bounds[left.text]]

    def _guess(self, prefixes: _Prefixes) -> None:
        """Write behind each prefix the choices that the search liked best, as far as allowed."""
        lengths, columns = self.n_slots[prefixes.text], prefixes.columns
        every = np.arange(len(prefixes))
        for slot in range(int(prefixes.size.min()), int(lengths.max())):
            rows = every[(prefixes.size <= slot) & (slot < lengths)]
            liked = self.columns[slot][prefixes.text[rows]]  # [n, W]
            is_open = self.is_open[columns[rows, slot - 1]]
            fits = np.take_along_axis(is_open, liked, axis=1)
            best = np.take_along_axis(liked, fits.argmax(1)[:, None], axis=1)[:, 0]
            columns[rows, slot] = np.where(fits.any(1), best, is_open.argmax(1))

    def _pass(self, guesses: _Prefixes) -> _Prefixes:
        """The prefixes that leave these guesses by one choice; notes the guesses themselves."""
        lengths = self.n_slots[guesses.text]
        first, last = int(guesses.size.min()), int(lengths.max())
        batch, device = self.batch, self.batch.device
        template, places = self.tables.layout(batch.glue[:last])
        columns = torch.from_numpy(guesses.columns[:, :last]).to(device)
        tokens = template.expand(len(guesses), -1).clone()
        tokens[:, places[:-1]] = self.tables.choice_ids[columns[:, :-1]]
        rows = torch.from_numpy(guesses.text).to(device)
        _, hidden = batch.model.begin(
            batch.memory, rows, tokens, lexicon=batch.lexicon, at=places[first:]
        )
        logits = batch.model.logits(hidden, self.tables.choice_ids).float()
        logits = logits + self.open_behind[columns[:, first - 1 : -1]]
        following = logits.log_softmax(-1).cpu().numpy()  # [N, slots, A]
        choices = guesses.columns[:, first:last, None]
        slots = np.arange(first, last)
        is_guess = (slots >= guesses.size[:, None]) & (slots < lengths[:, None])
        taken = np.where(is_guess, np.take_along_axis(following, choices, axis=2)[:, :, 0], 0.0)
        behind = guesses.log_p[:, None] + taken.cumsum(1)
        self._note(guesses, behind[:, -1])
        before = np.concatenate([guesses.log_p[:, None], behind[:, :-1]], axis=1)
        leaving = np.where(is_guess[:, :, None], before[:, :, None] + following, -math.inf)
        np.put_along_axis(leaving, choices, -math.inf, axis=2)
        row, slot, column = np.nonzero(leaving > self.bounds[guesses.text, None, None])
        left = guesses.columns[row]
        left[np.arange(len(row)), slot + first] = column
        return _Prefixes(guesses.text[row], slot + first + 1, left, leaving[row, slot, column])

    def _note(self, guesses: _Prefixes, log_p: np.ndarray) -> None:
        """Take in whole targets with their log_p [N]."""
        for row in np.flatnonzero(log_p > self.bounds[guesses.text]):
            text = int(guesses.text[row])
            path = tuple(self.tables.names[guesses.columns[row, : self.n_slots[text]]])
            best = self.best[text]
            best.append((float(log_p[row]), path))
            best.sort(key=lambda target: -target[0])
            del best[max(self.n_proven, len(self.searches[text].paths)) :]
            self.bounds[text] = self._bound(text)
