"""Which gold span met which predicted span, and what was wrong between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from groot.outputs.items import label_of
from groot.types import Span

ErrorKind = Literal["right", "label", "boundary", "both", "missing", "spurious"]

# The row and the column of the confusion for spans that met nothing.
NONE = "none"


class Match(NamedTuple):
    """A gold span with the predicted span it met; one of the two is None if it met nothing."""

    gold: Span | None
    predicted: Span | None

    @property
    def kind(self) -> ErrorKind:
        """What is wrong: nothing, the label, the boundary, both, or one side is absent.

        >>> Match(Span(0, 4, "artist"), Span(0, 9, "artist")).kind
        'boundary'
        """
        if self.gold is None:
            return "spurious"
        if self.predicted is None:
            return "missing"
        is_place = self.gold.start == self.predicted.start and self.gold.end == self.predicted.end
        if self.gold.label == self.predicted.label:
            return "right" if is_place else "boundary"
        return "label" if is_place else "both"


def match_spans(gold: Sequence[Span], predicted: Sequence[Span] | None) -> list[Match]:
    """Pair gold and predicted spans one to one, in order of place.

    Equal spans first, then spans of the same place, then the pairs that share most characters,
    leftmost first; the rest meets nothing. A malformed prediction (None) says no span. Of matches
    that start together, those with a gold span come first.

    >>> [match.kind for match in match_spans([Span(0, 4, "a")], [Span(2, 4, "a"), Span(5, 7, "b")])]
    ['boundary', 'spurious']
    """
    given = list(predicted or ())
    pairs = [
        (closeness(wanted, span), i, j)
        for i, wanted in enumerate(gold)
        for j, span in enumerate(given)
        if max(wanted.start, span.start) < min(wanted.end, span.end)
    ]
    partner_of: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in partner_of and j not in taken:
            partner_of[i] = j
            taken.add(j)
    matches = [
        Match(wanted, given[partner_of[i]] if i in partner_of else None)
        for i, wanted in enumerate(gold)
    ]
    matches += [Match(None, span) for j, span in enumerate(given) if j not in taken]
    return sorted(matches, key=_place)


def closeness(gold: Span, predicted: Span) -> tuple[bool, bool, int]:
    """Sorts the closer pair first, of pairs that overlap.

    >>> closeness(Span(0, 4, "a"), Span(0, 4, "b")) < closeness(Span(0, 4, "a"), Span(0, 3, "a"))
    True
    """
    is_place = gold.start == predicted.start and gold.end == predicted.end
    shared = min(gold.end, predicted.end) - max(gold.start, predicted.start)
    return not is_place, gold.label != predicted.label if is_place else False, -shared


def _place(match: Match) -> int:
    return min(span.start for span in match if span is not None)


def count_kinds(matches: Iterable[Match]) -> dict[ErrorKind, int]:
    """How many matches are of each kind; kinds that do not occur are 0.

    >>> count_kinds([Match(Span(0, 4, "a"), None)])["missing"]
    1
    """
    kinds = Counter(match.kind for match in matches)
    order: tuple[ErrorKind, ...] = (
        "right", "label", "boundary", "both", "missing", "spurious",
    )  # fmt: skip
    return {kind: kinds[kind] for kind in order}


def confusion(matches: Iterable[Match]) -> dict[tuple[str, str], int]:
    """Number of matches by (gold label, predicted label); "none" where a side is absent.

    Spans that met with another boundary but the same label are on the diagonal: the confusion is
    about labels. A label of the data that is itself called "none" is shown as "'none'".

    >>> confusion([Match(Span(0, 4, "a"), Span(0, 4, "b")), Match(None, Span(6, 8, "b"))])
    {('a', 'b'): 1, ('none', 'b'): 1}
    """
    return dict(Counter((_side(match.gold), _side(match.predicted)) for match in matches))


def class_confusion(
    gold: Sequence[str], predicted: Sequence[str] | None
) -> dict[tuple[str, str], int]:
    """Number of (gold class, predicted class) in one example; "none" where a side is absent.

    What was mistaken for what is known only where one class is missing and one is spurious; with
    more of them, each is set against "none".

    >>> class_confusion(("flight", "fare"), ("flight", "meal"))
    {('flight', 'flight'): 1, ('fare', 'meal'): 1}
    >>> class_confusion(("flight",), None)
    {('flight', 'none'): 1}
    """
    given = list(dict.fromkeys(predicted or ()))
    pairs = [(_shown(name), _shown(name)) for name in gold if name in given]
    missing = [_shown(name) for name in gold if name not in given]
    spurious = [_shown(name) for name in given if name not in gold]
    if len(missing) == len(spurious) == 1:
        pairs.append((missing[0], spurious[0]))
    else:
        pairs += [(name, NONE) for name in missing] + [(NONE, name) for name in spurious]
    return dict(Counter(pairs))


def _side(span: Span | None) -> str:
    return NONE if span is None else _shown(label_of(span))


def _shown(label: str) -> str:
    return repr(label) if label == NONE else label
