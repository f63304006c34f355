"""Correction: what a candidate would be with some, or all, of its errors mended by the gold."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from groot.correction.classes import correct_classes
from groot.correction.mend import KINDS, Correction, CorrectionKind, MendingPlan
from groot.correction.spans import correct_spans
from groot.correction.text import correct_text
from groot.outputs.items import gold_task
from groot.registry import Registry
from groot.types import Candidate, Example

CORRECTORS: Registry[Callable[[Example, Candidate, MendingPlan], list[Correction]]] = Registry(
    "corrector",
    {"spans": correct_spans, "classes": correct_classes, "text": correct_text},
)


def correct(
    example: Example,
    candidate: Candidate,
    *,
    rng: random.Random,
    kinds: Collection[CorrectionKind] = KINDS,
    limit: int | None = None,
) -> list[Correction]:
    """Corrections of one candidate, for whichever gold the example has, spans first.

    Each differs from the candidate and from the others; none where the candidate has no errors or
    the example no gold. The last is the gold itself, where "chain" is among the kinds.

    Args:
        example: with its gold.
        candidate: of the example; a malformed one has one correction, the gold.
        rng, kinds, limit: see `MendingPlan`.

    >>> from groot.types import Span
    >>> example = Example("play nina", ("play", "nina"), (0, 5), spans=(Span(5, 9, "artist"),))
    >>> wrong = Candidate("", (Span(5, 9, "song"),))
    >>> [correction.note for correction in correct(example, wrong, rng=random.Random(0))]
    ['mend 5:9 song -> 5:9 artist']
    """
    task = gold_task(example)
    if task is None:
        return []
    return CORRECTORS[task](example, candidate, MendingPlan(rng, kinds, limit))


__all__ = ["CORRECTORS", "KINDS", "Correction", "CorrectionKind", "MendingPlan", "correct"]
