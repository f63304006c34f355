"""Beam search for one text in a few passes: the next beams are guessed, and checked all at once.

For a handful of prefixes, a model spends most of a step on reading its weights. So the prefixes of
several steps go through in one pass, as a tree in which each token sees its own prefix alone. Which
prefixes beam search will keep is guessed: a choice depends little on choices far before it, so a
prefix that never went through is thought to go on like the likeliest one that did, of its length
and with the same last choice. Beam search runs on what is known and what is guessed; the first
prefixes that it only guessed about go through; it goes on from where the first guess was. In the
end there is none: the result is that of one pass per step.

Source: the Jacobi iteration of `greedy_search`, for many beams at once; the mask that makes a tree
of a row of tokens is that of Miao et al., SpecInfer (2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from groot.search.batch import Batch
from groot.search.found import Found, Goal, trace

TOKENS_A_PASS = 64  # by measurement: on a processor, fewer take hardly less time


@dataclass(frozen=True, slots=True)
class _Step:
    """Prefixes kept before a slot, best first.

    Args:
        nodes: [b] of the tree; none behind the last slot.
        log_p: [b].
        lost: the highest log_p that was dropped so far.
        parents, columns: [b] which prefix of the step before each continues, and with what.
    """

    nodes: np.ndarray
    log_p: np.ndarray
    lost: float
    parents: np.ndarray
    columns: np.ndarray


class _Tree:
    """Prefixes as nodes; what may follow each is known if it went through the model, else guessed.

    Args:
        text: one, of a grammar whose state follows from the last token alone; the model `grows`.
    """

    def __init__(self, text: Batch) -> None:
        tables, glue = text.tables, text.glue
        assert tables.open_behind is not None
        self.model, self.choice_ids = text.model, tables.choice_ids
        self.blocked = tables.open_behind.cpu()
        template, ends = tables.layout(glue)
        # a prefix of n choices ends in token stops[n] of its target, the start token counted
        self.stops = ends.cpu().numpy()
        self.template = np.concatenate([[0], template.cpu().numpy()])
        slots, choices = len(glue), tables.n_columns
        size = 2 * slots + TOKENS_A_PASS
        self.count = slots
        self.depth = np.zeros(size, dtype=np.int64)  # choices in it
        self.column = np.zeros(size, dtype=np.int64)  # of the last choice
        self.child = np.full((size, choices), -1)
        self.is_known = np.zeros(size, dtype=bool)
        self.log_p = np.zeros((size, choices), dtype=np.float32)
        self.begins = np.eye(size, dtype=bool)  # [node, node]: whether the second begins the first
        # [depth, column]: the known node that others with this column are guessed to be like
        self.like = np.full((slots, choices + 1), -1)
        # the first nodes are a chain, the same choice in every slot
        chain, first = np.arange(slots), tables.first_column
        self.depth[:slots] = chain
        self.column[:slots] = first
        self.column[0] = choices
        self.child[chain[:-1], first] = chain[1:]
        self.begins[:slots, :slots] = np.tri(slots, dtype=bool)
        self.owners = np.repeat(chain, np.diff(self.stops, prepend=-1))  # of tokens gone through
        self.places = np.arange(self.stops[-1] + 1)  # in their targets
        tokens = template.clone()
        tokens[ends[:-1]] = self.choice_ids[first]
        rows = torch.zeros(1, dtype=torch.long, device=text.device)
        self.decoding, hidden = self.model.begin(
            text.memory, rows, tokens[None], lexicon=text.lexicon, at=ends
        )
        self.chain_logits = self._learn(chain, hidden)

    def _learn(self, nodes: np.ndarray, hidden: Tensor) -> Tensor:
        """Keep what the model says behind nodes: hidden states [1, n, d]; logits [n, A]."""
        logits = self.model.logits(hidden[0], self.choice_ids).float().cpu()
        columns = self.column[nodes]
        self.log_p[nodes] = (logits + self.blocked[columns]).log_softmax(-1).numpy()
        self.is_known[nodes] = True
        self.like[self.depth[nodes][::-1], columns[::-1]] = nodes[::-1]
        return logits

    def ask(self, nodes: np.ndarray) -> None:
        """One pass over nodes, those that begin others among them, the likeliest first."""
        depths = self.depth[nodes]
        spans = [np.arange(self.stops[d - 1], self.stops[d]) + 1 for d in depths]
        places, sizes = np.concatenate(spans), [len(span) for span in spans]
        ends = np.cumsum(sizes)
        tokens = self.template[places]
        tokens[ends - sizes] = self.choice_ids.cpu().numpy()[self.column[nodes]]
        fresh = np.repeat(nodes, sizes)
        self.owners = np.concatenate([self.owners, fresh])
        self.places = np.concatenate([self.places, places])
        device = self.model.device
        hidden = self.decoding.grow(
            torch.from_numpy(tokens[None]).to(device),
            torch.from_numpy(self.places).to(device),
            torch.from_numpy(self.begins[fresh[:, None], self.owners]).to(device),
            at=torch.from_numpy(ends - 1).to(device),
        )
        self._learn(nodes, hidden)

    def children(self, parents: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The nodes [n] one choice longer; there will be such nodes if there are none yet."""
        nodes: np.ndarray = self.child[parents, columns]
        missing = nodes < 0
        if missing.any():
            parents, columns = parents[missing], columns[missing]
            fresh = np.arange(self.count, self.count + len(parents))
            self.count += len(fresh)
            while self.count > len(self.depth):
                self._make_room()
            self.depth[fresh], self.column[fresh] = self.depth[parents] + 1, columns
            self.begins[fresh] |= self.begins[parents]
            self.child[parents, columns] = nodes[missing] = fresh
        return nodes

    def _make_room(self) -> None:
        """For twice as many nodes."""
        size = len(self.depth)
        for name in ("depth", "column", "child", "is_known", "log_p"):
            old = getattr(self, name)
            empty = np.full_like(old, -1) if name == "child" else np.zeros_like(old)
            setattr(self, name, np.concatenate([old, empty]))
        begins = np.eye(2 * size, dtype=bool)
        begins[:size, :size] = self.begins
        self.begins = begins

    def following(self, nodes: np.ndarray) -> np.ndarray:
        """[n, A] log_p of each choice behind nodes of one length."""
        known = self.is_known[nodes]
        if known.all():
            return self.log_p[nodes]
        depths, columns = self.depth[nodes], self.column[nodes]
        models = np.where(known, nodes, self.like[depths, columns])
        log_p = self.log_p[models]
        strange = np.flatnonzero(models < 0)
        if len(strange):
            logits = self.chain_logits[depths[strange]] + self.blocked[columns[strange]]
            log_p[strange] = logits.log_softmax(-1).numpy()
        return log_p


def tree_search(text: Batch, goal: Goal) -> Found:
    """Search the top k targets of one text, over the allowed tokens.

    Args:
        text: one, of a grammar whose state follows from the last token alone; the model `grows`.
    """
    tree, slots = _Tree(text), len(text.glue)
    start, none = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    steps = [_Step(start, np.zeros(1, dtype=np.float32), -math.inf, none, none)]
    while asked := _look_ahead(tree, steps, slots, goal.width):
        tree.ask(np.concatenate(asked))
    *_, last = steps
    path_ids = trace(
        [step.parents[None] for step in steps[1:]],
        [step.columns[None] for step in steps[1:]],
        np.arange(min(goal.k, len(last.log_p)))[None],
    )
    paths = text.tables.names[path_ids[0]].tolist()
    return goal.found(paths, last.log_p[: goal.k].tolist(), last.lost)


def _look_ahead(tree: _Tree, steps: list[_Step], slots: int, width: int) -> list[np.ndarray]:
    """Go on as far as no step rests on a guess, and add those steps; then on guesses.

    Returns:
        the nodes that were guessed about, step by step, as many as go through in a pass; none if
        the search has ended.
    """
    asked: list[np.ndarray] = []
    step, room = steps[-1], TOKENS_A_PASS
    for slot in range(len(steps) - 1, slots):
        unknown = step.nodes[~tree.is_known[step.nodes]]
        if len(unknown):
            size = int(tree.stops[slot] - tree.stops[slot - 1])
            room = room if asked else max(room, size * len(unknown))
            asked.append(unknown[: room // size])
            room -= size * len(unknown)
            if room <= 0:
                break
        step = _next_step(tree, step, width, is_last=slot + 1 == slots)
        if not asked:
            steps.append(step)
    return asked


def _next_step(tree: _Tree, step: _Step, width: int, *, is_last: bool) -> _Step:
    """The best continuations of a step, by what is known and guessed."""
    following = tree.following(step.nodes)
    total = (step.log_p[:, None] + following).ravel()
    order = np.argsort(-total, kind="stable")[: width + 1]
    order = order[: np.count_nonzero(total[order] > -math.inf)]
    lost = step.lost
    if len(order) > width:
        lost = max(lost, float(total[order[width]]))
        order = order[:width]
    parents, columns = np.divmod(order, following.shape[1])
    nodes = order[:0] if is_last else tree.children(step.nodes[parents], columns)
    return _Step(nodes, total[order], lost, parents, columns)
