"""Gold spans that labels on words cannot say, and what their offsets look like."""

from __future__ import annotations

from dataclasses import dataclass, field

from groot.data.offsets import utf16_places
from groot.data.result import ReadResult
from groot.types import Example, Span

OFF_WORDS = "not on word boundaries"
OVERLAPPING = "in texts whose spans overlap"
DISCONTINUOUS = "in texts with spans of several parts"
UNREADABLE = "in texts that cannot be used"

# share of all spans that must look wrong in the same way before a convention is blamed
_SUSPICIOUS_SHARE = 0.3
_SUSPICIOUS_COUNT = 5


@dataclass(slots=True)
class LostGold:
    """Gold spans out of reach: how many for each reason, and where.

    Args:
        hints: conventions of the offsets that would explain many of them.
    """

    counts: dict[str, int] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    hints: list[str] = field(default_factory=list)


def lost_gold(result: ReadResult) -> LostGold:
    """Look for the spans of a set that no tags on its words can say."""
    counts = dict.fromkeys((OFF_WORDS, OVERLAPPING, DISCONTINUOUS, UNREADABLE), 0)
    places: list[str] = []
    n_spans = n_inclusive = n_utf16 = n_from_one = 0
    for example in result.examples:
        n_spans += len(example.spans or ())
        off = off_words(example)
        if off:
            counts[OFF_WORDS] += len(off)
            places.append(example.source)
            starts, ends = _edges(example)
            n_inclusive += sum(span.start in starts and span.end + 1 in ends for span in off)
            n_from_one += sum(span.start - 1 in starts and span.end - 1 in ends for span in off)
            units = utf16_places(example.text)
            n_utf16 += sum(
                units.get(span.start) in starts and units.get(span.end) in ends for span in off
            )
    kinds = {"overlap": OVERLAPPING, "discontinuous": DISCONTINUOUS}
    for problem in result.problems:
        if problem.n_spans:
            counts[kinds.get(problem.kind, UNREADABLE)] += problem.n_spans
            places.append(problem.source)
    for note in result.notes:
        if note.kind == "overlap":
            counts[OVERLAPPING] += note.n_spans
            places.append(note.source)
    hints = []
    if n_inclusive >= max(_SUSPICIOUS_COUNT, _SUSPICIOUS_SHARE * n_spans):
        hints.append(
            f"{n_inclusive:,} of {n_spans:,} spans end one character before a word does; if the "
            "end is the last character itself, read with ends='inclusive'"
        )
    elif n_from_one >= max(_SUSPICIOUS_COUNT, _SUSPICIOUS_SHARE * n_spans):
        hints.append(
            f"{n_from_one:,} of {n_spans:,} spans are on words if offsets count from 1, where the"
            " first character is 0; take 1 from both"
        )
    elif n_utf16 >= max(_SUSPICIOUS_COUNT, 0.5 * counts[OFF_WORDS]):
        hints.append(
            f"{n_utf16:,} of the {counts[OFF_WORDS]:,} spans off word boundaries are on them if "
            "offsets count UTF-16 units; then read with offset_unit='utf16'"
        )
    return LostGold(counts, tuple(dict.fromkeys(places)), hints)


def off_words(example: Example) -> list[Span]:
    """The gold spans of an example that do not begin and end with words."""
    starts, ends = _edges(example)
    spans = example.spans or ()
    return [span for span in spans if span.start not in starts or span.end not in ends]


def _edges(example: Example) -> tuple[set[int], set[int]]:
    words = zip(example.word_starts, example.words, strict=True)
    return set(example.word_starts), {start + len(word) for start, word in words}
