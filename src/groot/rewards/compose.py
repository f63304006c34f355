"""Rewards put together: a weighted sum that is scored for many examples at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from groot.engine.marks import mark_of_json
from groot.errors import ConfigError, ShapeError
from groot.evaluation.corpus_metrics import CorpusMetric
from groot.outputs.items import gold_task
from groot.rewards.native import NativeReward
from groot.types import Candidate, Example

# Rewards of many examples: one list for each example, one number for each of its candidates.
Rewards = list[list[float | None]]


class Part(Protocol):
    """One reward of a sum."""

    name: str
    mark: str

    def score(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        """Rewards of the candidates of each example."""

    def of_nothing(self, examples: Sequence[Example]) -> list[float | None]:
        """Reward of each example's candidate that says nothing, see `says_nothing`."""

    def counts(self) -> dict[str, int]:
        """How many values were asked for so far, and how many are missing, by reason."""


class OwnPart:
    """A reward of groot's table: a fast pure function that needs no worker process."""

    def __init__(self, name: str, native: NativeReward, mark: str = "") -> None:
        self.name = name
        self.native = native
        self.mark = mark or name
        self._asked = 0
        self._missing = 0

    def score(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        """Rewards of the candidates of each example."""
        rewards = self._rewards(examples, candidates)
        self._asked += sum(map(len, rewards))
        self._missing += sum(value is None for row in rewards for value in row)
        return rewards

    def of_nothing(self, examples: Sequence[Example]) -> list[float | None]:
        """Reward of each example's candidate that says nothing."""
        nothing = [[says_nothing(example)] for example in examples]
        return [value for row in self._rewards(examples, nothing) for value in row]

    def _rewards(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        return [
            self.native(example, ranked)
            for example, ranked in zip(examples, candidates, strict=True)
        ]

    def counts(self) -> dict[str, int]:
        """How many values were asked for so far, and how many are missing, by reason."""
        return {"asked": self._asked, "none": self._missing}


@dataclass(frozen=True)
class Scores:
    """Rewards with what they are made of.

    Args:
        total: the weighted sums, one list for each example.
        parts: the values of each part by its name, before weights.
    """

    total: Rewards
    parts: dict[str, Rewards]


class Reward:
    """A weighted sum of rewards; what `parse_rewards` returns.

    A value is missing (None) where any of its parts is missing. A malformed candidate never gets
    more than a legal one that says nothing would get, whatever the functions say: that bound is
    of the example alone, not of the candidates beside it. Where the bound is missing, so is the
    reward of the malformed candidate.

    Args:
        parts: the rewards to add up.
        weights: a finite number for each part.
        close: called once when the reward is no longer needed; ends worker processes.

    Close it, or use it in a `with`, where a function of the user's own is among the parts.
    """

    def __init__(
        self, parts: Sequence[Part], weights: Sequence[float] | None = None, *, close: Any = None
    ) -> None:
        self.parts = tuple(parts)
        self.weights = tuple(1.0 for _ in parts) if weights is None else tuple(map(float, weights))
        self._close = close
        if not self.parts or len(self.parts) != len(self.weights):
            raise ConfigError(
                f"{len(self.weights)} reward weights for {len(self.parts)} rewards. "
                "Give at least one reward, and a weight for each or for none."
            )
        if not all(map(math.isfinite, self.weights)):
            raise ConfigError(f"Reward weights must be finite numbers, not {self.weights}.")

    @property
    def name(self) -> str:
        """The specs again, as one may type them: "f0.5", or "f0.5=0.8 exact=0.2"."""
        if self.weights == (1.0,):
            return self.parts[0].name
        return " ".join(
            f"{part.name}={weight:g}" for part, weight in zip(self.parts, self.weights, strict=True)
        )

    @property
    def metric(self) -> CorpusMetric | None:
        """The form over a whole set, from summed counts; None where that is the mean reward."""
        if len(self.parts) != 1 or self.weights[0] <= 0:
            return None
        metric: CorpusMetric | None = getattr(
            getattr(self.parts[0], "native", None), "metric", None
        )
        return metric

    def score(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        """Reward of every candidate of every example; None is missing.

        >>> from groot.rewards import parse_rewards
        >>> example = Example("hi", reference="ho")
        >>> parse_rewards(["exact"]).score([example], [[Candidate("ho", "ho")]])
        [[1.0]]
        """
        return self.score_parts(examples, candidates).total

    def score_parts(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Scores:
        """The same with the value of every part, for logs."""
        if len(examples) != len(candidates):
            raise ShapeError(
                f"{len(examples)} examples but candidates for {len(candidates)}. "
                "Give one list of candidates for each example, empty where there are none."
            )
        by_part = [part.score(examples, candidates) for part in self.parts]
        total = [self._sums([rows[b] for rows in by_part]) for b in range(len(examples))]
        self._bound_malformed(total, examples, candidates)
        names = [part.name for part in self.parts]
        return Scores(total, dict(zip(names, by_part, strict=True)))

    def pairwise(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] reward of each candidate (column) if another (row) were gold; None if unknown.

        Counted from what the candidates say, without a call for each pair. nan is missing. A part
        without such a form, such as a function of the user's own, makes it None: then `score` with
        replaced gold does it.
        """
        natives = [getattr(part, "native", None) for part in self.parts]
        if not all(hasattr(native, "pairwise") for native in natives):
            return None
        is_text = any(isinstance(candidate.output, str) for candidate in candidates)
        with_nothing = [*candidates, Candidate("", "" if is_text else ())]
        total = np.zeros((len(with_nothing), len(with_nothing)))
        for native, weight in zip(natives, self.weights, strict=True):
            values = native.pairwise(with_nothing)  # type: ignore[union-attr]
            if values is None:
                return None
            total += weight * values
        rewards, bounds = total[:-1, :-1], total[:-1, -1:]
        is_malformed = np.array([candidate.is_malformed for candidate in candidates], dtype=bool)
        return np.where(is_malformed, np.minimum(rewards, bounds), rewards)

    @property
    def mark(self) -> str:
        """SHA-256 over what the parts are made of and their weights.

        Of a function of the user's own: its code and the user's own files that it imports.
        """
        return mark_of_json([part.mark for part in self.parts] + list(self.weights))

    def counts(self) -> dict[str, dict[str, int]]:
        """For each part, how many values were asked for so far and how many are missing, and why.

        Reasons: none (the function said None), nan, and for functions that failed under the policy
        "skip" raised, hung, crashed, infinite.
        """
        return {part.name: part.counts() for part in self.parts}

    def unknown_labels(self, labels: Iterable[str]) -> list[str]:
        """A line for each label that a cost table prices and the data does not have."""
        known = list(labels)
        natives = [getattr(part, "native", None) for part in self.parts]
        tables = [native for native in natives if hasattr(native, "unknown_labels")]
        return [line for table in tables for line in table.unknown_labels(known)]  # type: ignore[union-attr]

    def close(self) -> None:
        """End the worker processes; may be called twice."""
        if self._close is not None:
            self._close()

    def __enter__(self) -> Reward:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _sums(self, rows: Sequence[Sequence[float | None]]) -> list[float | None]:
        """The weighted sums of the parts' rewards of the candidates of one example."""
        sums: list[float | None] = []
        for values in zip(*rows, strict=True):
            known = [value for value in values if value is not None]
            is_missing = len(known) < len(values)
            weighted = (weight * value for weight, value in zip(self.weights, known, strict=False))
            sums.append(None if is_missing else math.fsum(weighted))
        return sums

    def _bound_malformed(
        self,
        total: Rewards,
        examples: Sequence[Example],
        candidates: Sequence[Sequence[Candidate]],
    ) -> None:
        """Lower the sums of malformed candidates to that of saying nothing, in place."""
        places = [
            b
            for b, ranked in enumerate(candidates)
            if any(candidate.is_malformed for candidate in ranked)
        ]
        if not places:
            return
        asked = [examples[b] for b in places]
        of_nothing = [part.of_nothing(asked) for part in self.parts]
        for number, b in enumerate(places):
            (bound,) = self._sums([[values[number]] for values in of_nothing])
            total[b] = [
                _least(value, bound) if candidate.is_malformed else value
                for value, candidate in zip(total[b], candidates[b], strict=True)
            ]


def says_nothing(example: Example) -> Candidate:
    """The legal candidate that says nothing: no span, no class, or an empty text.

    >>> says_nothing(Example("hi", classes=("greet",))).output
    ()
    """
    return Candidate("", "" if gold_task(example) in (None, "text") else ())


def _least(value: float | None, bound: float | None) -> float | None:
    return None if value is None or bound is None else min(value, bound)
