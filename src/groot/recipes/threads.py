"""How many threads of the processor a run computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from groot.config import Config
from groot.recipes.make_aligned import WORDS
from groot.recipes.make_writer import EMBEDDED_CAUSAL


def threads_of(config: Config) -> int | None:
    """Threads for one operation; None leaves torch's choice, or that of OMP_NUM_THREADS.

    The operations of an embedded model are too small to share: a second thread saves little, waits
    long when the machine has other work, and makes the sums round otherwise, so that the same
    command would train another model on a machine with more cores.

    >>> threads_of(Config(threads=2))
    2
    """
    if config.threads is not None:
        return config.threads
    is_embedded = config.model.name in (None, EMBEDDED_CAUSAL, WORDS)
    return 1 if is_embedded and "OMP_NUM_THREADS" not in os.environ else None


@contextmanager
def compute_threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads, and with those from before when it has ended.

    Args:
        count: threads; None leaves them as they are.

    >>> with compute_threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
