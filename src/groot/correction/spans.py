"""Correcting spans: an error region at a time gets the gold's spans."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from groot.correction.mend import KINDS, Correction, Kind, corrections
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


def error_regions(gold: Sequence[Span], said: Sequence[Span]) -> list[Region]:
    """Connected components of overlapping wrong and missing spans, left to right.

    >>> gold = (Span(0, 4, "artist"), Span(10, 14, "song"))
    >>> said = (Span(2, 6, "artist"), Span(10, 14, "song"))
    >>> [str(region) for region in error_regions(gold, said)]
    ['2:6 artist -> 0:4 artist']
    """
    key_of = {(span.start, span.end, span.label): span for span in said}
    gold_of = {(span.start, span.end, span.label): span for span in gold}
    errors = [(key, span, True) for key, span in key_of.items() if key not in gold_of]
    errors += [(key, span, False) for key, span in gold_of.items() if key not in key_of]
    errors.sort(key=lambda error: error[0])
    regions: list[tuple[list[Span], list[Span]]] = []
    reach = -1
    for _, span, is_wrong in errors:
        if span.start >= reach:
            regions.append(([], []))
        regions[-1][0 if is_wrong else 1].append(span)
        reach = max(reach, span.end)
    return [Region(tuple(wrong), tuple(missing)) for wrong, missing in regions]


def correct_spans(
    example: Example,
    candidate: Candidate,
    *,
    rng: random.Random,
    kinds: Collection[Kind] = KINDS,
    limit: int | None = None,
) -> list[Correction]:
    """Corrections of a candidate that says spans; see `correct`.

    Mending a region puts the gold's spans there and keeps the rest, so the F-beta of a chain
    never falls from one link to the next. Spans that a candidate from outside should not have
    (repeated, overlapping another, off the word boundaries) are in no correction.
    """
    if example.spans is None:
        return []
    gold = tuple(sorted(example.spans, key=_place))
    if candidate.output is None:
        return [Correction(gold, "malformed: replaced by the gold")]
    said = well_formed(example, candidate.spans, gold)
    regions = error_regions(gold, said)
    gold_places = {_place(span) for span in gold}
    right = [span for span in said if _place(span) in gold_places]

    def mend(mended: frozenset[int]) -> tuple[Span, ...]:
        spans = list(right)
        for number, region in enumerate(regions):
            spans += region.missing if number in mended else region.wrong
        spans.sort(key=_place)
        return tuple(spans)

    found = corrections(
        regions,
        mend=mend,
        describe=str,
        candidate=candidate.spans,
        rng=rng,
        kinds=kinds,
        limit=limit,
    )
    if not regions and candidate.spans != gold:
        return [Correction(gold, "spans put in order")]
    return found


def well_formed(example: Example, said: Sequence[Span], gold: Sequence[Span]) -> tuple[Span, ...]:
    """The spans of a candidate that a label format can write, in order of place.

    Kept are spans of the gold, and others that lie on word boundaries and overlap no kept one.
    """
    starts, ends = _edges(example.words, example.word_starts)
    gold_places = {_place(span) for span in gold}
    order = sorted({_place(span): span for span in said}.values(), key=_place)
    right = [span for span in order if _place(span) in gold_places]
    kept = list(right)
    reach = 0
    for span in order:
        is_right = _place(span) in gold_places
        on_words = not example.words or (span.start in starts and span.end in ends)
        is_free = span.start >= reach and not any(
            span.start < other.end and other.start < span.end for other in right
        )
        if is_right:
            reach = max(reach, span.end)
        elif on_words and is_free and span.start < span.end:
            kept.append(span)
            reach = span.end
    return tuple(sorted(kept, key=_place))


@lru_cache(maxsize=64)  # the candidates of an example come one after the other
def _edges(
    words: tuple[str, ...], word_starts: tuple[int, ...]
) -> tuple[frozenset[int], frozenset[int]]:
    """Offsets at which a word starts, and at which one ends."""
    ends = (start + len(word) for start, word in zip(word_starts, words, strict=True))
    return frozenset(word_starts), frozenset(ends)


def _place(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label
