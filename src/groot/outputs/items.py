"""What an output says: its items, their labels, and how many of them are right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from groot.types import Candidate, Example, Gold, Span, Task

# One thing that an output says: a span, or a class.
Item = Span | str
# An item as a plain value, which hashes and compares many times faster than a Span.
ItemKey = tuple[int, int, str] | str

# The field of an Example that holds the gold of a task, in the order in which gold is looked for.
GOLD_FIELDS: dict[Task, str] = {"spans": "spans", "classes": "classes", "text": "reference"}


def items_of(output: Gold | None) -> tuple[Item, ...]:
    """The spans or classes of an output, as often as it says them; none of a text or of None.

    >>> items_of(("buy", "sell")), items_of("a text"), items_of(None)
    (('buy', 'sell'), (), ())
    """
    return output if isinstance(output, tuple) else ()


def label_of(item: Item) -> str:
    """The label of a span; a class is its own label.

    >>> label_of(Span(0, 4, "artist")), label_of("buy")
    ('artist', 'buy')
    """
    return item if isinstance(item, str) else item.label


def key_of(item: Item) -> ItemKey:
    """The plain value by which items are the same: place and label of a span, or the class.

    >>> key_of(Span(0, 4, "artist", probability=0.5)), key_of("buy")
    ((0, 4, 'artist'), 'buy')
    """
    return item if isinstance(item, str) else (item.start, item.end, item.label)


def plain(output: Gold | None) -> Any:
    """An output as JSON has it: spans as objects, classes as a list; text and None as they are.

    >>> plain((Span(0, 4, "artist", "nina"),))
    [{'start': 0, 'end': 4, 'label': 'artist', 'text': 'nina'}]
    """
    if output is None or isinstance(output, str):
        return output
    return [
        item
        if isinstance(item, str)
        else {"start": item.start, "end": item.end, "label": item.label, "text": item.text}
        for item in output
    ]


def gold_task(example: Example) -> Task | None:
    """The task of the gold that `example.gold` gives, spans first; None without gold.

    >>> gold_task(Example("hi", classes=("greet",)))
    'classes'
    """
    return next((task for task in GOLD_FIELDS if gold_of(example, task) is not None), None)


def gold_of(example: Example, task: Task) -> Gold | None:
    """The example's gold for a task; None where it has none."""
    gold: Gold | None = getattr(example, GOLD_FIELDS[task])
    return gold


def task_of(examples: Iterable[Example], candidates: Iterable[Sequence[Candidate]]) -> Task:
    """What the candidates say: text, classes or spans; where they say nothing, what the gold is.

    >>> task_of([], [[Candidate("flight", ("flight",))]])
    'classes'
    """
    for output in (candidate.output for ranked in candidates for candidate in ranked):
        if isinstance(output, str):
            return "text"
        if output:
            return "classes" if isinstance(output[0], str) else "spans"
    return next((task for task in map(gold_task, examples) if task is not None), "spans")


def is_exact(gold: Gold, predicted: Gold | None) -> bool:
    """Whether a prediction says just the gold; the order of spans or classes does not matter.

    >>> is_exact(("a", "b"), ("b", "a")), is_exact((), None)
    (True, False)
    """
    if predicted is None or isinstance(gold, str) or isinstance(predicted, str):
        return gold == predicted
    return len(gold) == len(predicted) and set(gold) == set(predicted)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many predictions were right, wrong and missing; counts of many examples add up.

    >>> sum([Counts(1, 0, 2), Counts(3, 1, 0)], start=Counts())
    Counts(true_positives=4, false_positives=1, false_negatives=2)
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(left + right for left, right in zip(self, other, strict=True)))

    def __iter__(self) -> Iterator[int]:
        """In the order of the last axis of an array of counts."""
        yield self.true_positives
        yield self.false_positives
        yield self.false_negatives


def count_items(gold: Iterable[Item], predicted: Sequence[Item] | None) -> Counts:
    """Counts of one example; a span is right where place and label are those of a gold span.

    Nothing is dropped: a repeated item is right once and wrong from then on, and a malformed
    prediction (None) predicts nothing and so misses all the gold. With one class a text, micro
    precision, recall and F1 all equal accuracy, malformed output apart.

    >>> gold = (Span(0, 4, "artist"), Span(5, 9, "album"))
    >>> count_items(gold, (Span(0, 4, "artist"), Span(5, 9, "artist")))
    Counts(true_positives=1, false_positives=1, false_negatives=1)
    >>> count_items(("flight",), None)
    Counts(true_positives=0, false_positives=0, false_negatives=1)
    """
    wanted = set(gold)
    if not predicted:
        return Counts(0, 0, len(wanted))
    right = len(wanted.intersection(predicted))
    return Counts(right, len(predicted) - right, len(wanted) - right)


def count_by_label(gold: Gold | None, predicted: Gold | None) -> dict[str, Counts]:
    """Counts of one example by the labels that gold or prediction names, sorted.

    None for a text, or without gold.

    >>> count_by_label(("flight",), None)
    {'flight': Counts(true_positives=0, false_positives=0, false_negatives=1)}
    """
    if gold is None or isinstance(gold, str) or isinstance(predicted, str):
        return {}
    wanted, given = items_of(gold), items_of(predicted)
    return {
        label: count_items(
            [item for item in wanted if label_of(item) == label],
            [item for item in given if label_of(item) == label],
        )
        for label in sorted({label_of(item) for item in (*wanted, *given)})
    }
