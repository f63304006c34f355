"""Rewards of 1 where everything is right: exact match and class accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groot.outputs.items import items_of, key_of
from groot.types import Candidate, Example, Gold


@dataclass(frozen=True)
class Exact:
    """1.0 where all spans (classes, or the text) equal the gold, else 0.0; malformed is 0.0.

    The order of spans and classes does not matter, and neither does white space at the ends of a
    text. With one class per example this is accuracy, with several it is subset accuracy.
    Missing where the example has no gold.

    Args:
        of: "gold" compares whichever gold the example has, spans first; "classes" compares
            classes even where the example has spans too.

    >>> example = Example("play jazz", classes=("music", "play"))
    >>> Exact()(example, [Candidate("", ("play", "music")), Candidate("", None)])
    [1.0, 0.0]
    """

    of: Literal["gold", "classes"] = "gold"

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        gold = example.classes if self.of == "classes" else example.gold
        if gold is None:
            return [None] * len(candidates)
        wanted = _comparable(gold)
        return [
            float(candidate.output is not None and _comparable(candidate.output) == wanted)
            for candidate in candidates
        ]

    def pairwise(self, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """[K, K] reward of the candidate of each column if the one of the row were gold.

        nan, missing, where classes are wanted and the candidates say spans or text.
        """
        if self.of == "classes" and any(
            candidate.spans or isinstance(candidate.output, str) for candidate in candidates
        ):
            return np.full((len(candidates), len(candidates)), np.nan)
        number: dict[Hashable, int] = {}
        outputs = [candidate.output for candidate in candidates]
        given = np.array(
            [
                -1 if output is None else number.setdefault(_comparable(output), len(number))
                for output in outputs
            ],
            dtype=int,
        )
        is_legal = given >= 0
        return ((given[:, None] == given[None, :]) & is_legal[None, :]).astype(float)


def _comparable(output: Gold) -> Hashable:
    if isinstance(output, str):
        return output.strip()
    return frozenset(Counter(map(key_of, items_of(output))).items())
