"""Long texts: overlapping windows of words, spans merged, nothing lost.

Each word belongs to the *core* of exactly one window; a span is taken from the window whose core
holds the span's first word, so that every span is seen with context on both sides and is said once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from groot.targets.words import word_range
from groot.types import Example, Gold, Span


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of an example's words as an example of its own.

    Args:
        example: the window; its text is a slice of the whole text.
        offset: where the window's text begins in the whole text, in code points.
        core_start: offset in the whole text from which on spans are taken from this window.
        core_end: offset in the whole text up to which they are.
    """

    example: Example
    offset: int
    core_start: int
    core_end: int


def whole(example: Example) -> Window:
    """The one window of an example that is not cut."""
    return Window(example, 0, 0, len(example.text) + 1)


def windows(example: Example, *, max_words: int, overlap: int) -> list[Window]:
    """Cut an example into windows of at most max_words words, neighbours sharing `overlap` words.

    Gold spans go to each window that holds them whole.

    Raises:
        ValueError: if overlap is not less than max_words.

    >>> text = "a b c d e"
    >>> long = Example(text, tuple(text.split()), (0, 2, 4, 6, 8))
    >>> [w.example.text for w in windows(long, max_words=3, overlap=1)]
    ['a b c', 'c d e']
    """
    if not 0 <= overlap < max_words:
        raise ValueError(
            f"overlap={overlap} must be at least 0 and less than max_words={max_words}"
        )
    n_words = len(example.words)
    if n_words <= max_words:
        return [whole(example)]
    stride = max_words - overlap
    firsts = [*range(0, n_words - max_words, stride), n_words - max_words]
    ends = [first + max_words for first in firsts]
    # the border between two windows lies in the middle of what they share
    borders = [(nxt + end + 1) // 2 for nxt, end in zip(firsts[1:], ends[:-1], strict=True)]
    core_firsts = [0, *borders]
    cut = []
    for index, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        start = example.word_starts[first]
        stop = example.word_starts[end - 1] + len(example.words[end - 1])
        spans = None
        if example.spans is not None:
            spans = tuple(
                dataclasses.replace(s, start=s.start - start, end=s.end - start)
                for s in example.spans
                if start <= s.start and s.end <= stop
            )
        piece = dataclasses.replace(
            example,
            text=example.text[start:stop],
            words=example.words[first:end],
            word_starts=tuple(at - start for at in example.word_starts[first:end]),
            spans=spans,
            id=f"{example.id}#{index}",
        )
        core_start = 0 if index == 0 else example.word_starts[core_firsts[index]]
        is_last = index == len(firsts) - 1
        core_end = len(example.text) + 1 if is_last else example.word_starts[core_firsts[index + 1]]
        cut.append(Window(piece, start, core_start, core_end))
    return cut


def merge(example: Example, cut: Sequence[Window], outputs: Sequence[Gold]) -> tuple[Span, ...]:
    """The spans of the whole text from those of its windows.

    A span is taken from the window whose core holds its start; where two windows disagree
    at a border so that their spans would overlap, the left one stays.
    """
    merged: list[Span] = []
    for window, spans in zip(cut, outputs, strict=True):
        for span in spans:
            if not isinstance(span, Span):
                continue
            start, end = span.start + window.offset, span.end + window.offset
            if not window.core_start <= start < window.core_end:
                continue
            if merged and start < merged[-1].end:
                continue
            merged.append(
                dataclasses.replace(span, start=start, end=end, text=example.text[start:end])
            )
    return tuple(merged)


def lost_spans(example: Example, cut: Sequence[Window]) -> list[Span]:
    """The gold spans on word boundaries that no window can say whole: longer than the overlap."""
    lost = []
    for span in example.spans or ():
        if word_range(example, span) is None:
            continue
        home = next(w for w in cut if w.core_start <= span.start < w.core_end)
        if span.end > home.offset + len(home.example.text):
            lost.append(span)
    return lost
