"""What classes that were read say against the reading: texts for labels, several labels in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from groot.types import Example

_SEPARATORS = ("|", ";", ",", "#")
# examples from which on, and share of them above which, labels of their own are suspicious
_MIN_EXAMPLES, _MAX_OWN_SHARE = 20, 0.5


def class_doubts(examples: Sequence[Example]) -> Iterator[str]:
    """Doubts about the classes of a set, each with the setting that decides.

    >>> rows = [Example(f"text {i}", classes=(name,), id=str(i))
    ...         for i, name in enumerate(["a|b", "a", "b|c", "c"])]
    >>> [doubt.partition(":")[0] for doubt in class_doubts(rows)]
    ["labels such as 'a|b' look like several in one"]
    """
    counts = Counter(name for example in examples for name in example.classes or ())
    n_own = sum(n for n in counts.values() if n == 1)
    if len(examples) >= _MIN_EXAMPLES and n_own > _MAX_OWN_SHARE * len(examples):
        yield (
            f"{n_own:,} of {len(examples):,} examples have a label that no other has: if these are"
            " texts, set task=text, or name the columns or fields of the text and the label"
        )
        return
    for mark in _SEPARATORS:
        parts = {label: [part.strip() for part in label.split(mark)] for label in counts}
        n_labels = Counter(part for pieces in parts.values() for part in set(pieces))
        several = [
            label
            for label, pieces in parts.items()
            if len(pieces) > 1 and all(part and n_labels[part] > 1 for part in pieces)
        ]
        if several:
            first = min(several)
            yield (
                f"labels such as {first!r:.40} look like several in one: if they are, set"
                f" class_separator={mark!r}"
            )
            return
