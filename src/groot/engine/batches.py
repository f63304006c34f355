"""Which examples a step sees, and what its randomness is: functions of counters, not of history.

Nothing here keeps a position. A run that is killed after step 700 and started again asks for step
701 and gets what the unbroken run would have got, on any number of processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from groot.errors import ShapeError

POOL_BATCHES = 50  # sorting by length happens inside pools of this many batches


class BatchOrder:
    """The examples of each step, every example exactly once in an epoch.

    Args:
        n_examples: size of the training set, > 0.
        batch_size: examples of a step over all processes, > 0; the last batch of an epoch has
            what is left.
        seed: another seed, another order.
        lengths: one number per example; given, examples of like length share a batch, so that
            less is spent on padding: shuffled, sorted inside pools of 50 batches, cut into
            batches, batches shuffled.

    >>> order = BatchOrder(5, batch_size=2, seed=1)
    >>> [order(step) for step in (1, 2, 3)]
    [[4, 0], [1, 2], [3]]
    >>> order.steps_per_epoch, order.epoch_of(3), order.epoch_of(4)
    (3, 0, 1)
    """

    def __init__(
        self, n_examples: int, *, batch_size: int, seed: int, lengths: Sequence[int] | None = None
    ) -> None:
        if n_examples < 1 or batch_size < 1:
            raise ShapeError(f"{n_examples} examples in batches of {batch_size}: both must be > 0.")
        if lengths is not None and len(lengths) != n_examples:
            raise ShapeError(f"{len(lengths)} lengths for {n_examples} examples.")
        self.n_examples = n_examples
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = -(-n_examples // batch_size)
        self._lengths = None if lengths is None else np.asarray(lengths)
        self._latest: tuple[int, list[list[int]]] | None = None  # only saves time

    def __call__(self, step: int) -> list[int]:
        """The indices of the examples of a step; steps count from 1."""
        epoch = self.epoch_of(step)
        if self._latest is None or self._latest[0] != epoch:
            self._latest = (epoch, self.batches(epoch))
        return list(self._latest[1][(step - 1) % self.steps_per_epoch])

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that a step belongs to."""
        if step < 1:
            raise ShapeError(f"step {step}: steps count from 1.")
        return (step - 1) // self.steps_per_epoch

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(self.n_examples)
        if self._lengths is None:
            return self._cut(order)
        pool = POOL_BATCHES * self.batch_size
        batches: list[list[int]] = []
        for start in range(0, self.n_examples, pool):
            members = order[start : start + pool]
            batches += self._cut(members[np.argsort(self._lengths[members], kind="stable")])
        return [batches[place] for place in random.permutation(len(batches))]

    def _cut(self, order: np.ndarray) -> list[list[int]]:
        starts = range(0, len(order), self.batch_size)
        return [order[start : start + self.batch_size].tolist() for start in starts]


def step_seed(seed: int, stage: str, step: int, process: int = 0) -> int:
    """The seed of all randomness that a step draws in order: dropout, sampling. In [0, 2**63).

    >>> step_seed(1, "fit", 7) == step_seed(1, "fit", 7) != step_seed(1, "optimise", 7)
    True
    """
    digest = hashlib.sha256(f"{seed}/{stage}/{step}/{process}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def share_of_process(indices: Sequence[int], process: int, n_processes: int) -> list[int]:
    """The part of a step's examples that one process works on; shares differ by at most one.

    >>> [share_of_process([4, 5, 6, 7, 8], process, 2) for process in (0, 1)]
    [[4, 5], [6, 7, 8]]
    """
    start = len(indices) * process // n_processes
    stop = len(indices) * (process + 1) // n_processes
    return list(indices[start:stop])
