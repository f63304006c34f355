"""What a candidate says against what the example's gold says, whichever the task is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from groot.evaluation.classes import count_by_class
from groot.evaluation.spans import Counts, count_by_label
from groot.types import Candidate, Example, Gold, Task


def task_of(examples: Iterable[Example], candidates: Iterable[Sequence[Candidate]]) -> Task:
    """What the candidates say: text, classes or spans; where they say nothing, what the gold is.

    >>> task_of([], [[Candidate("flight", ("flight",))]])
    'classes'
    """
    for output in (one.output for ranked in candidates for one in ranked):
        if isinstance(output, str):
            return "text"
        if output:
            return "classes" if isinstance(output[0], str) else "spans"
    for example in examples:
        if example.spans is not None:
            return "spans"
        if example.classes is not None:
            return "classes"
        if example.reference is not None:
            return "text"
    return "spans"


def gold_of(example: Example, task: Task) -> Gold | None:
    """The example's gold for a task; None where it has none."""
    return {"spans": example.spans, "classes": example.classes, "text": example.reference}[task]


def is_exact(gold: Gold, said: Gold | None) -> bool:
    """Whether a prediction says just the gold; the order of spans or classes does not matter.

    >>> is_exact(("a", "b"), ("b", "a")), is_exact((), None)
    (True, False)
    """
    if said is None or isinstance(gold, str) or isinstance(said, str):
        return gold == said
    return len(gold) == len(said) and set(gold) == set(said)


def counts_by_label(gold: Gold | None, said: Gold | None) -> dict[str, Counts]:
    """Counts of one example by label or class; none for a text, or without gold.

    >>> counts_by_label(("flight",), None)
    {'flight': Counts(true_positives=0, false_positives=0, false_negatives=1)}
    """
    if gold is None or isinstance(gold, str) or isinstance(said, str):
        return {}
    spans = [one for one in gold if not isinstance(one, str)]
    names = [one for one in gold if isinstance(one, str)]
    said_spans = [one for one in said or () if not isinstance(one, str)]
    said_names = [one for one in said or () if isinstance(one, str)]
    return {**count_by_label(spans, said_spans), **count_by_class(names, said_names)}
