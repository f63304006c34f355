"""A text with the spans of a candidate marked in it, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from groot.evaluation.errors import ErrorKind, Match, match_spans
from groot.types import Span

# A stretch of unmarked text longer than this is shortened in its middle.
LONGEST_PLAIN = 160

# A sign beside each kind, so that colour is never the only carrier.
SIGNS: dict[ErrorKind, str] = {
    "right": "",
    "label": "≠",
    "boundary": "↔",
    "both": "≠↔",
    "missing": "−",
    "spurious": "+",
}
WORDS: dict[ErrorKind, str] = {
    "right": "right",
    "label": "wrong label",
    "boundary": "wrong boundary",
    "both": "wrong label and boundary",
    "missing": "missing",
    "spurious": "spurious",
}


@dataclass(frozen=True)
class Piece:
    """A stretch of text with at most one mark.

    Args:
        text: the stretch.
        kind: what the mark says; plain for none.
        label: of the span.
        note: what the gold says instead, where that differs.
    """

    text: str
    kind: ErrorKind | Literal["plain"] = "plain"
    label: str = ""
    note: str = ""

    @property
    def sign(self) -> str:
        return "" if self.kind == "plain" else SIGNS[self.kind]

    @property
    def words(self) -> str:
        return "" if self.kind == "plain" else WORDS[self.kind]


def mark(
    text: str, gold: Sequence[Span] | None, predicted: Sequence[Span] | None
) -> tuple[list[Piece], list[Piece]]:
    """The text in pieces, and the marks that had no room because they overlap others.

    Without gold every predicted span is shown as right, that is, without a sign.

    >>> pieces, _ = mark("play nina simone", [Span(5, 16, "artist")], [Span(5, 9, "artist")])
    >>> [(piece.text, piece.kind, piece.note) for piece in pieces]
    [('play ', 'plain', ''), ('nina', 'boundary', 'gold: “nina simone”'), (' simone', 'plain', '')]
    """
    matches = (
        [Match(span, span) for span in predicted or ()]
        if gold is None
        else match_spans(gold, predicted)
    )
    # A predicted span comes before a missed gold one that it overlaps: that goes to the leftovers.
    placed: list[tuple[int, int, Piece]] = []
    leftovers: list[Piece] = []
    for match in sorted(matches, key=lambda match: match.predicted is None):
        span = match.predicted or match.gold
        assert span is not None  # a Match has at least one side
        start, end = max(0, span.start), min(len(text), span.end)
        piece = Piece(text[start:end], match.kind, span.label, _note(match, text))
        if start >= end or any(start < e and s < end for s, e, _ in placed):
            leftovers.append(piece)
        else:
            placed.append((start, end, piece))
    pieces: list[Piece] = []
    done = 0
    for start, end, piece in sorted(placed, key=lambda place: place[0]):
        pieces += [Piece(text[done:start])] if done < start else []
        pieces.append(piece)
        done = end
    pieces += [Piece(text[done:])] if done < len(text) else []
    return [_shortened(piece) for piece in pieces], leftovers


def loose(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Piece]:
    """The marks without a text around them: of a text that is not known any more.

    >>> [(piece.text, piece.kind) for piece in loose([], [Span(0, 4, "artist", "nina")])]
    [('nina', 'spurious')]
    """
    pieces = []
    for match in match_spans(gold, predicted):
        span = match.predicted or match.gold
        if span is not None:
            place = span.text or f"{span.start} to {span.end}"
            pieces.append(Piece(place, match.kind, span.label))
    return pieces


def _note(match: Match, text: str) -> str:
    gold = match.gold
    if gold is None or match.predicted is None:
        return ""
    place = f"“{text[gold.start : gold.end]}”"
    return {"label": f"gold: {gold.label}", "boundary": f"gold: {place}"}.get(
        match.kind, "" if match.kind == "right" else f"gold: {gold.label} {place}"
    )


def _shortened(piece: Piece) -> Piece:
    if piece.kind != "plain" or len(piece.text) <= LONGEST_PLAIN:
        return piece
    side = LONGEST_PLAIN // 2
    left_out = len(piece.text) - 2 * side
    middle = f" … {left_out} characters … "
    return replace(piece, text=piece.text[:side] + middle + piece.text[-side:])
