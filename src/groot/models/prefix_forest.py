"""The targets of a batch as prefix trees: what two candidates of a text share is there once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]

# Pairs of places, padding included, that go through attention at once: what stays in a cache.
CHUNK_PAIRS = 1 << 16


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which places of some trees look at which: each at the prefixes of its own, itself included.

    Args:
        place: [n] where each place that looks lies in the padded [b, width].
        width: such places of the largest tree.
        seen: [P] where each pair lies in the padded and flattened [b, width, chunk.width].
        distance: [P] tokens between the two.
    """

    place: Tensor
    width: int
    seen: Tensor
    distance: Tensor


@dataclass(frozen=True, slots=True)
class Chunk:
    """Trees that go through attention together, padded to the largest.

    Args:
        texts: [b] the inputs that they belong to.
        place: [n] where each node lies in the padded [b, width].
        width: nodes of the largest tree.
        pairs: of the nodes that look at others, see `PrefixForest.chunks`.
    """

    texts: Tensor
    place: Tensor
    width: int
    pairs: Pairs


class PrefixForest:
    """The prefix trees of N targets of B inputs.

    A node is a prefix, named by its last token; the hidden state at a node predicts what follows
    the prefix. Nodes of one tree stand together, and trees of like size next to each other.

    Args:
        rows: [N] which input each target belongs to.
        tokens: [N, T] target ids, padded with anything.
        positions: [N, D] places in tokens whose probability is asked for.
        is_asked: [N, D] True for real ones.
        shares: False gives each target a tree of its own, to measure what sharing saves.

    Attributes:
        tokens: [M] last token of each node; -1 for the empty prefix.
        asked: [Q] the nodes whose hidden states are asked for, ascending.
        place: [N, D] which of the asked nodes stands before each choice; 0 where there is none.

    >>> forest = PrefixForest(torch.tensor([0, 0]), torch.tensor([[5, 6, 7], [5, 8, 7]]),
    ...                       torch.tensor([[0, 2], [0, 2]]), torch.ones(2, 2, dtype=torch.bool))
    >>> forest.tokens.tolist(), forest.asked.tolist(), forest.place.tolist()
    ([-1, 5, 6, 8], [0, 2, 3], [[0, 1], [0, 2]])
    """

    def __init__(
        self,
        rows: Tensor,
        tokens: Tensor,
        positions: Tensor,
        is_asked: Tensor,
        *,
        shares: bool = True,
    ) -> None:
        self.device = tokens.device
        wanted, at = is_asked.cpu().numpy(), positions.cpu().numpy()
        deepest = np.where(wanted, at, -1).max(axis=1, initial=-1)  # [N]
        length = int(deepest.max(initial=-1)) + 1  # of the longest path from the empty prefix
        inputs = tokens.cpu().numpy()[:, : max(length - 1, 0)]
        texts = rows.cpu().numpy()
        trees = texts if shares else np.arange(len(texts))
        nodes = _numbered(texts, trees, inputs, deepest, length)  # [N, length], -1 for none
        n_nodes = int(nodes.max(initial=-1)) + 1
        row, depth = np.nonzero(nodes >= 0)
        through = np.zeros(n_nodes, dtype=np.int64)  # [M] a target that begins with the node
        through[nodes[row, depth]] = row
        self._depth = np.zeros(n_nodes, dtype=np.int64)
        self._depth[nodes[row, depth]] = depth
        self._paths = nodes[through]  # [M, length] the nodes from the empty prefix to each node
        self._texts = texts[through]
        self._trees = trees[through]

        is_node_asked = np.zeros(n_nodes, dtype=bool)
        place = np.zeros(at.shape, dtype=np.int64)
        if n_nodes:
            chosen = np.take_along_axis(nodes, np.where(wanted, at, 0), axis=1)
            is_node_asked[chosen[wanted]] = True
            place = np.where(wanted, (np.cumsum(is_node_asked) - 1)[chosen], 0)
        self._asked = np.nonzero(is_node_asked)[0]
        last = np.full(n_nodes, -1, dtype=np.int64)
        behind = self._depth > 0
        last[behind] = inputs[through[behind], self._depth[behind] - 1]
        self.tokens = self._tensor(last)
        self.asked = self._tensor(self._asked)
        self.place = self._tensor(place)

    def chunks(self, *, asked: bool) -> Iterator[Chunk]:
        """The trees, a few at a time, in the order of their nodes.

        Args:
            asked: only the nodes that are asked for look at others; else all do.
        """
        first_nodes = np.nonzero(np.diff(self._trees, prepend=-1))[0]  # [trees]
        ends = np.append(first_nodes[1:], len(self._trees))
        start = 0
        while start < len(first_nodes):
            stop, widest = start, 0
            while stop < len(first_nodes):
                widest = max(widest, int(ends[stop] - first_nodes[stop]))
                if stop > start and (stop + 1 - start) * widest**2 > CHUNK_PAIRS:
                    break
                stop += 1
            first, end = int(first_nodes[start]), int(ends[stop - 1])
            nodes = np.arange(first, end)
            tree, local, width = _padding(self._trees[nodes])
            looking = nodes
            if asked:
                bounds = np.searchsorted(self._asked, [first, end])
                looking = self._asked[bounds[0] : bounds[1]]
            yield Chunk(
                self._tensor(self._texts[first_nodes[start:stop]]),
                self._tensor(tree * width + local),
                width,
                self._pairs(looking, first, local, width),
            )
            start = stop

    def _pairs(self, looking: Ints, first: int, local: Ints, width: int) -> Pairs:
        tree, inside, n_looking = _padding(self._trees[looking])
        number, level = np.nonzero(self._paths[looking] >= 0)
        number, level = _up_to(self._depth[looking], number, level)
        other = local[self._paths[looking[number], level] - first]
        place = tree * n_looking + inside
        return Pairs(
            self._tensor(place),
            n_looking,
            self._tensor(place[number] * width + other),
            self._tensor(self._depth[looking[number]] - level),
        )

    def _tensor(self, values: Ints) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)


def _up_to(depth: Ints, number: Ints, level: Ints) -> tuple[Ints, Ints]:
    """The pairs (place, level of its target's path) that are not below the place itself."""
    is_seen = level <= depth[number]
    return number[is_seen], level[is_seen]


def _padding(trees: Ints) -> tuple[Ints, Ints, int]:
    """Of nodes of neighbouring trees: which tree, which place in it, and the largest tree's size.

    >>> _padding(np.array([4, 4, 7]))
    (array([0, 0, 1]), array([0, 1, 0]), 2)
    """
    starts = np.nonzero(np.diff(trees, prepend=-1))[0]
    sizes = np.diff(np.append(starts, len(trees)))
    tree = np.repeat(np.arange(len(sizes)), sizes)
    return tree, np.arange(len(trees)) - starts[tree], int(sizes.max())


def _numbered(texts: Ints, trees: Ints, inputs: Ints, deepest: Ints, length: int) -> Ints:
    """[N, length] the node of each beginning of each target, by its length; -1 for none.

    Targets are sorted, so that those with a common beginning are neighbours; a beginning that the
    neighbour does not have is a new node.
    """
    n = len(texts)
    if n == 0 or length == 0:
        return np.full((n, length), -1, dtype=np.int64)
    levels = np.arange(length)
    is_node = levels[None, :] <= deepest[:, None]  # [N, length]
    words = np.where(is_node[:, 1:], inputs, -1)
    largest = np.bincount(trees, weights=is_node.sum(1))[trees]  # targets of like trees together
    keys = np.concatenate([largest[:, None], trees[:, None], words], axis=1).astype(">i4")
    keys = np.ascontiguousarray(keys)
    order = np.argsort(keys.view([("", f"V{keys.itemsize * keys.shape[1]}")])[:, 0], kind="stable")
    keys, is_node = keys[order], is_node[order]
    differs = np.ones((n, length), dtype=bool)
    differs[1:] = np.logical_or.accumulate(keys[1:, 1:] != keys[:-1, 1:], axis=1)
    is_new = differs & is_node
    number = np.where(is_new, np.cumsum(is_new).reshape(is_new.shape) - 1, -1)
    sorted_nodes = np.where(is_node, np.maximum.accumulate(number, axis=0), -1)
    nodes = np.empty_like(sorted_nodes)
    nodes[order] = sorted_nodes
    return nodes
