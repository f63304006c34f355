"""What was proven, and by how wide a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groot.search.found import Found


@dataclass(frozen=True, slots=True)
class Width:
    """Shares in [0, 1] of the texts that were proven by searches of at most this width.

    Args:
        width: prefixes kept.
        searched: by the searches alone.
        followed: with what the last of them dropped followed up.
    """

    width: int
    searched: float
    followed: float


@dataclass(frozen=True, slots=True)
class Proofs:
    """The certificates of a set of texts.

    Args:
        texts: number of texts, or of windows of long ones.
        proven: how many of them have the true top k.
        widths: at which a search was the last of a text, ascending.
    """

    texts: int
    proven: int
    widths: tuple[Width, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "texts": self.texts,
            "proven": self.proven,
            "by_width": [
                {"width": row.width, "searched": row.searched, "followed": row.followed}
                for row in self.widths
            ],
        }

    def line(self) -> str:
        """In words.

        >>> proofs([Found((), (), True, 6), Found((), (), True, 6, followed=2)]).line()
        'proven: 2 of 2 texts; 50.0 % at width 6 (followed up: 100.0 %)'
        """
        parts = []
        for row in self.widths:
            more = f" (followed up: {_percent(row.followed)})"
            shown = more if row.followed > row.searched else ""
            parts.append(f"{_percent(row.searched)} at width {row.width}{shown}")
        return f"proven: {self.proven} of {self.texts} texts; {', '.join(parts)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def proofs(results: Sequence[Found]) -> Proofs:
    """Count the certificates of search results.

    Args:
        results: of calls of `label_search` that began at one width.

    >>> proven, open_ = Found((), (), True, 9), Found((), (), False, 36)
    >>> proofs([proven, proven, proven, open_]).widths[-1]
    Width(width=36, searched=0.75, followed=0.75)
    """
    n = len(results)
    widths = []
    for width in sorted({result.width for result in results}):
        before = sum(result.exact and result.width < width for result in results)
        here = [result for result in results if result.exact and result.width == width]
        alone = sum(result.followed == 0 for result in here)
        widths.append(Width(width, (before + alone) / n, (before + len(here)) / n))
    return Proofs(n, sum(result.exact for result in results), tuple(widths))
