"""The form that every reward has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from groot.types import Candidate, Example


class NativeReward(Protocol):
    """One number for each candidate of an example, in their order; None is missing.

    A reward may also have a `metric` (its form over a whole set, see `CorpusMetric`) and a
    `pairwise(candidates)` that returns, as [K, K], the reward of each candidate (column) if
    another one (row) were the gold, nan where that is missing: choosing by expected reward is then
    much faster. It may return None for candidates that it cannot do that for.
    """

    def __call__(self, example: Example, candidates: Sequence[Candidate], /) -> list[float | None]:
        """The rewards."""
