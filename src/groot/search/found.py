"""What a search hands back, and the ways to it: what is asked of it, histories of choices."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search for one text.

    Args:
        paths: the targets as symbols chosen, best first, at most k.
        log_p: of each, in nats.
        exact: True where these, or as many of them as were to be proven, are proven to be the top.
        width: number of prefixes that were kept.
        scores: what puts them in order where a guide does, best first; None where log_p does.
        followed: number of dropped prefixes that were followed up for the proof.
    """

    paths: tuple[tuple[str, ...], ...]
    log_p: tuple[float, ...]
    exact: bool
    width: int
    scores: tuple[float, ...] | None = None
    followed: int = 0


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of one search.

    Args:
        k: targets wanted of each text.
        n_proven: the first so many of them are to be proven, 1 to k.
        width: prefixes kept.
    """

    k: int
    n_proven: int
    width: int

    def found(self, paths: Iterable[Iterable[str]], log_p: Iterable[float], lost: float) -> Found:
        """The result for one text.

        Args:
            paths: targets, best first.
            log_p: of each; those of -inf come last and are none.
            lost: the highest log_p of the prefixes that were dropped; -inf where none was.
        """
        values = tuple(value for value in log_p if value > -math.inf)
        targets = tuple(tuple(path) for path, _ in zip(paths, values, strict=False))
        return Found(targets, values, is_proven(values, self.n_proven, lost), self.width)


@dataclass(frozen=True, slots=True)
class SlotStep:
    """The best prefixes behind a slot, of the texts that have it: the first ones of a batch.

    Args:
        n_kept: how many of them were kept.
        log_p: [B, W] best first, those kept before those dropped.
        parents: [B, W] which kept prefix of the slot before each continues.
        columns: [B, W] with what.
        is_all: whether there were no more.
    """

    n_kept: int
    log_p: Tensor
    parents: Tensor
    columns: Tensor
    is_all: bool


def is_proven(log_p: Sequence[float], k: int, lost: float) -> bool:
    """Whether the first k are the top k: nothing was lost, or nothing above the k-th of them.

    >>> [is_proven([-1.0, -2.0], k, lost) for k, lost in [(2, -2.5), (2, -1.5), (1, -1.5)]]
    [True, False, True]
    """
    return lost == -math.inf or (len(log_p) >= k and lost <= log_p[k - 1])


def trace(
    parents: Sequence[np.ndarray], says: Sequence[np.ndarray], ranks: np.ndarray
) -> np.ndarray:
    """What the targets that end at `ranks` said in each round.

    Args:
        parents: per round [B, W] which kept prefix each prefix continues.
        says: per round [B, W] what it says there.
        ranks: [B, K] places among the prefixes of the last round.

    Returns:
        [B, K, rounds]
    """
    steps = np.zeros((*ranks.shape, len(says)), dtype=np.int64)
    texts = np.arange(len(ranks))[:, None]
    for round_ in range(len(says) - 1, -1, -1):
        steps[:, :, round_] = says[round_][texts, ranks]
        ranks = parents[round_][texts, ranks]
    return steps


def best_sums(lists: Sequence[Sequence[float]], k: int) -> list[tuple[tuple[int, ...], float]]:
    """The k best ways to take one number from each descending list, by their sum.

    >>> best_sums([[0.0, -1.0], [0.0, -3.0]], 3)
    [((0, 0), 0.0), ((1, 0), -1.0), ((0, 1), -3.0)]
    """
    if not all(lists):
        return []
    first = (0,) * len(lists)
    heap = [(-sum(numbers[0] for numbers in lists), first)]
    seen = {first}
    best: list[tuple[tuple[int, ...], float]] = []
    while heap and len(best) < k:
        cost, ranks = heapq.heappop(heap)
        best.append((ranks, -cost))
        for place, rank in enumerate(ranks):
            if rank + 1 < len(lists[place]):
                following = (*ranks[:place], rank + 1, *ranks[place + 1 :])
                if following not in seen:
                    seen.add(following)
                    change = lists[place][rank] - lists[place][rank + 1]
                    heapq.heappush(heap, (cost + change, following))
    return best


def united(first: Found, second: Found) -> Found:
    """The targets that either search found, with the certificate of the first."""
    log_p = dict(zip(second.paths, second.log_p, strict=True))
    log_p |= dict(zip(first.paths, first.log_p, strict=True))
    best = sorted(log_p.items(), key=lambda pair: -pair[1])
    paths, values = zip(*best, strict=True) if best else ((), ())
    return dataclasses.replace(first, paths=tuple(paths), log_p=tuple(values), scores=None)


def without_targets(found: Found) -> Found:
    """The certificate alone, which is short."""
    return dataclasses.replace(found, paths=(), log_p=(), scores=None)
