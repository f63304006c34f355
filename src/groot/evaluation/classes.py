"""The counts of span evaluation for classes: one class, or several, for a whole text."""

from __future__ import annotations

from collections.abc import Sequence

from groot.evaluation.spans import Counts


def count_classes(gold: Sequence[str], predicted: Sequence[str] | None) -> Counts:
    """Counts of one example; order does not matter, a repeated class is right only once.

    With one class a text, micro precision, recall and F1 all equal accuracy, malformed output
    apart: that says nothing (None) and so only misses.

    >>> count_classes(("flight", "airfare"), ("airfare", "meal"))
    Counts(true_positives=1, false_positives=1, false_negatives=1)
    >>> count_classes(("flight",), None)
    Counts(true_positives=0, false_positives=0, false_negatives=1)
    """
    wanted = set(gold)
    if not predicted:
        return Counts(0, 0, len(wanted))
    right = len(wanted.intersection(predicted))
    return Counts(right, len(predicted) - right, len(wanted) - right)


def count_by_class(gold: Sequence[str], predicted: Sequence[str] | None) -> dict[str, Counts]:
    """Counts of one example for each class that its gold or its prediction names, sorted.

    >>> count_by_class(("flight",), ("meal",))["meal"]
    Counts(true_positives=0, false_positives=1, false_negatives=0)
    """
    said = tuple(predicted or ())
    return {
        name: count_classes(
            [one for one in gold if one == name], [one for one in said if one == name]
        )
        for name in sorted({*gold, *said})
    }
