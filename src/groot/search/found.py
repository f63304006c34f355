"""What a search hands back, and the ways to it: histories of choices, probabilities of tokens."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from groot.models.step import StepModel

# logits of the whole vocabulary that are held at a time
LOGITS_AT_A_TIME = 16_000_000


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
    said = np.zeros((*ranks.shape, len(says)), dtype=np.int64)
    texts = np.arange(len(ranks))[:, None]
    for round_ in range(len(says) - 1, -1, -1):
        said[:, :, round_] = says[round_][texts, ranks]
        ranks = parents[round_][texts, ranks]
    return said


def vocabulary_log_p(
    model: StepModel, hidden: Tensor, choice_ids: Tensor, forced: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities over the whole vocabulary, of which only those asked for are kept.

    Args:
        hidden: [N, m, d].
        choice_ids: [A] tokens asked for behind the last of m.
        forced: [N, m] the token that follows each of m.

    Returns:
        [N, A] of the choices behind the last, and [N, m] of the forced ones.
    """
    n, m, _ = hidden.shape
    flat, targets = hidden.reshape(n * m, -1), forced.reshape(-1)
    sums, taken, size = [], [], n * m
    start = 0
    while start < n * m:
        logits = model.logits(flat[start : start + size]).float()
        if start == 0 and logits.shape[1] * len(logits) > LOGITS_AT_A_TIME:
            size = max(1, LOGITS_AT_A_TIME // logits.shape[1])
            logits = logits[:size]
        part = targets[start : start + size]
        sums.append(logits.logsumexp(1))
        taken.append(logits.gather(1, part[:, None])[:, 0])
        start += size
    norm = torch.cat(sums).view(n, m)
    choices = model.logits(hidden[:, -1], choice_ids).float() - norm[:, -1:]
    return choices, torch.cat(taken).view(n, m) - norm


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


def united(one: Found, other: Found) -> Found:
    """The targets that either search found."""
    log_p = dict(zip(other.paths, other.log_p, strict=True))
    log_p |= dict(zip(one.paths, one.log_p, strict=True))
    best = sorted(log_p.items(), key=lambda pair: -pair[1])
    paths, values = zip(*best, strict=True) if best else ((), ())
    return dataclasses.replace(one, paths=tuple(paths), log_p=tuple(values), scores=None)


def without_targets(one: Found) -> Found:
    """The certificate alone, which is short."""
    return dataclasses.replace(one, paths=(), log_p=(), scores=None)


def by_score(one: Found) -> Found:
    """What a guided search found, with its scores for log-probabilities."""
    return dataclasses.replace(one, log_p=one.scores or one.log_p)
