"""Spans that overlap or have several parts: made flat, as a labeler gives each word one label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from groot.data.settings import Overlap
from groot.types import Span

# start and end of each part of a span
Parts = Sequence[tuple[int, int]]


def overlapping(spans: Sequence[Span]) -> tuple[Span, Span] | None:
    """The first two neighbours that overlap, of spans in order of start; None where none do."""
    for before, after in pairwise(spans):
        if after.start < before.end:
            return before, after
    return None


def flatten(spans: Iterable[Span], overlap: Overlap) -> tuple[Span, ...]:
    """Those spans that are kept, in order of start; none of them overlap.

    Args:
        spans: in any order.
        overlap: "outermost" keeps a span before those inside it, and the earlier of two that
            cross; "innermost" keeps a span that holds no other before those that do; "longest"
            keeps the longer of any two. Equal spans with two labels: the label first in the
            alphabet.

    >>> nested = [Span(0, 9, "org"), Span(0, 4, "city"), Span(12, 15, "date")]
    >>> [span.label for span in flatten(nested, "innermost")]
    ['city', 'date']
    """
    ordered = sorted(spans, key=lambda span: (span.start, -span.end, span.label))
    if overlap == "outermost":
        ranked = ordered
    else:
        sign = 1 if overlap == "innermost" else -1
        ranked = sorted(ordered, key=lambda span: sign * (span.end - span.start))
    kept: list[Span] = []
    for span in ranked:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept, key=lambda span: span.start))


def one_part(parts: Parts, overlap: Overlap) -> tuple[int, int]:
    """One stretch for a span of several: from first to last, or its longest part.

    >>> one_part([(0, 4), (10, 16)], "outermost"), one_part([(0, 4), (10, 16)], "longest")
    ((0, 16), (10, 16))
    """
    if overlap == "outermost":
        return min(start for start, _ in parts), max(end for _, end in parts)
    return max(parts, key=lambda part: part[1] - part[0])
