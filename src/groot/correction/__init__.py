"""Correction: what a candidate would be with some, or all, of its errors mended by the gold."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from groot.correction.classes import correct_classes
from groot.correction.mend import KINDS, Correction, CorrectionKind
from groot.correction.spans import correct_spans
from groot.correction.text import correct_text
from groot.outputs.items import gold_task
from groot.registry import Registry
from groot.types import Candidate, Example

CORRECTORS: Registry[Callable[..., list[Correction]]] = Registry(
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
        rng: draws the order in which the chain mends; the same state gives the same corrections.
        kinds: "single" mends each error by itself, "all_but_one" all errors but each one in turn,
            "chain" a random chain of corrections from the candidate to the gold.
        limit: the most corrections wanted; the gold stays, the others are drawn. None is all.

    >>> from groot.types import Span
    >>> example = Example("play nina", ("play", "nina"), (0, 5), spans=(Span(5, 9, "artist"),))
    >>> wrong = Candidate("", (Span(5, 9, "song"),))
    >>> [correction.note for correction in correct(example, wrong, rng=random.Random(0))]
    ['mend 5:9 song -> 5:9 artist']
    """
    task = gold_task(example)
    if task is None:
        return []
    return CORRECTORS[task](example, candidate, rng=rng, kinds=kinds, limit=limit)


__all__ = ["CORRECTORS", "KINDS", "Correction", "CorrectionKind", "correct"]
