"""Correcting spans: an error region at a time gets the gold's spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from groot.correction.mend import Correction, MendingPlan, corrections
from groot.outputs.items import key_of
from groot.types import Candidate, Example, Span


@dataclass(frozen=True, slots=True)
class Region:
    """Errors that touch each other and are mended together.

    Args:
        wrong: spans of the candidate that the gold does not have.
        missing: spans of the gold that the candidate does not have.
    """

    wrong: tuple[Span, ...]
    missing: tuple[Span, ...]

    def __str__(self) -> str:
        wrong = " ".join(f"{span.start}:{span.end} {span.label}" for span in self.wrong)
        missing = " ".join(f"{span.start}:{span.end} {span.label}" for span in self.missing)
        if not missing:
            return f"drop {wrong}"
        return f"{wrong} -> {missing}" if wrong else f"add {missing}"


def error_regions(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Region]:
    """Connected components of overlapping wrong and missing spans, left to right.

    Spans that only touch, one ending where the next one starts, are errors of their own.

    >>> gold = (Span(0, 4, "artist"), Span(10, 14, "song"))
    >>> predicted = (Span(2, 6, "artist"), Span(10, 14, "song"))
    >>> [str(region) for region in error_regions(gold, predicted)]
    ['2:6 artist -> 0:4 artist']
    """
    right = set(gold).intersection(predicted)
    errors = [(span, True) for span in dict.fromkeys(predicted) if span not in right]
    errors += [(span, False) for span in dict.fromkeys(gold) if span not in right]
    errors.sort(key=lambda error: key_of(error[0]))
    regions: list[tuple[list[Span], list[Span]]] = []
    reach = -1
    for span, is_wrong in errors:
        if span.start >= reach:
            regions.append(([], []))
        regions[-1][0 if is_wrong else 1].append(span)
        reach = max(reach, span.end)
    return [Region(tuple(wrong), tuple(missing)) for wrong, missing in regions]


def correct_spans(example: Example, candidate: Candidate, plan: MendingPlan) -> list[Correction]:
    """Corrections of a candidate that says spans; see `correct`.

    Mending a region puts the gold's spans there and keeps the rest, so the F-beta of a chain
    never falls from one link to the next. Spans that a candidate from outside should not have
    (repeated, overlapping another, off the word boundaries) are in no correction.
    """
    if example.spans is None:
        return []
    gold = tuple(sorted(example.spans, key=key_of))
    if candidate.output is None:
        return [Correction(gold, "malformed: replaced by the gold")]
    predicted = well_formed(example, candidate.spans, gold)
    regions = error_regions(gold, predicted)
    right = set(gold).intersection(predicted)

    def mend(mended: frozenset[int]) -> tuple[Span, ...]:
        spans = list(right)
        for number, region in enumerate(regions):
            spans += region.missing if number in mended else region.wrong
        return tuple(sorted(spans, key=key_of))

    if not regions and candidate.spans != gold:
        return [Correction(gold, "spans put in order")]
    return corrections(
        regions,
        mend=mend,
        describe=str,
        plan=plan,
    )


def well_formed(
    example: Example, predicted: Sequence[Span], gold: Sequence[Span]
) -> tuple[Span, ...]:
    """The spans of a candidate that a label format can write, in order of place.

    Kept are spans of the gold, and others that lie on word boundaries and overlap no kept one.
    """
    starts, ends = _edges(example.words, example.word_starts)
    kept = list(set(gold).intersection(predicted))
    for span in sorted(set(predicted).difference(gold), key=key_of):
        is_on_words = not example.words or (span.start in starts and span.end in ends)
        is_free = not any(span.start < other.end and other.start < span.end for other in kept)
        if is_on_words and is_free and span.start < span.end:
            kept.append(span)
    return tuple(sorted(kept, key=key_of))


@lru_cache(maxsize=64)  # the candidates of an example come one after the other
def _edges(
    words: tuple[str, ...], word_starts: tuple[int, ...]
) -> tuple[frozenset[int], frozenset[int]]:
    """Offsets at which a word starts, and at which one ends."""
    ends = (start + len(word) for start, word in zip(word_starts, words, strict=True))
    return frozenset(word_starts), frozenset(ends)
