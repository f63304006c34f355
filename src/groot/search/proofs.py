"""What certificates cost: texts proven at each width, and the searches it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groot.search.found import Found


@dataclass(frozen=True, slots=True)
class Proofs:
    """The certificates of one call of `label_search`.

    Args:
        texts: number of texts.
        proven: share of them in [0, 1] whose results are the true top k.
        by_width: (width, share proven with at most this width) for each width at which a search
            was the last of a text, ascending.
        searches: searches per text, 1.0 where none was repeated.
        relative_width: prefixes kept over all searches, relative to one search of each text at the
            first width: about what the proof cost in time.
    """

    texts: int
    proven: float
    by_width: tuple[tuple[int, float], ...]
    searches: float
    relative_width: float


def proofs(found: Sequence[Found]) -> Proofs:
    """Count the certificates of search results.

    Args:
        found: the results of one call of `label_search`.

    >>> one, two = Found((), (), True, 9), Found((), (), True, 36)
    >>> proofs([one, one, one, two])
    Proofs(texts=4, proven=1.0, by_width=((9, 0.75), (36, 1.0)), searches=1.25, relative_width=2.0)
    """
    n = len(found)
    if n == 0:
        return Proofs(0, 1.0, (), 1.0, 1.0)
    widths = sorted({one.width for one in found})
    by_width = tuple(
        (width, sum(one.exact and one.width <= width for one in found) / n) for width in widths
    )
    # a text whose last search had a width was searched at every smaller one before
    counts = [sum(one.width >= width for one in found) for width in widths]
    kept = sum(width * count for width, count in zip(widths, counts, strict=True))
    return Proofs(
        texts=n,
        proven=sum(one.exact for one in found) / n,
        by_width=by_width,
        searches=sum(counts) / n,
        relative_width=kept / (widths[0] * n),
    )
