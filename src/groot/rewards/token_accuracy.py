"""The reward of part-of-speech taggers and slot fillers: the share of words labelled right."""

from __future__ import annotations

from collections.abc import Sequence

from groot.errors import RewardError
from groot.types import Candidate, Example, Span


def token_accuracy(example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
    """Share of the words whose tag equals the gold tag; for free text, of words in their place.

    The tag of a word is the label of the span it lies in and whether it begins it, so that
    "one span of two words" and "two spans" differ. Free text is compared word by word from the
    left, and the share is of the longer text. Malformed is 0.0; an example without words is 1.0
    for everything that can be read. Missing where the example has no gold spans or text.

    >>> example = Example("play nina simone", ("play", "nina", "simone"), (0, 5, 10),
    ...                   spans=(Span(5, 16, "artist"),))
    >>> token_accuracy(example, [Candidate("", (Span(5, 9, "artist"),)), Candidate("", None)])
    [0.6666666666666666, 0.0]
    """
    gold = example.gold
    if gold is None:
        return [None] * len(candidates)
    if not isinstance(gold, str) and example.spans is None:
        raise RewardError(
            f"{example.source or example.id}: 'token_accuracy' compares words, and this example "
            "has classes only. Use 'class_accuracy' or 'f1'."
        )
    if isinstance(gold, str):
        wanted: list[object] = list(gold.split())
        return [_share(wanted, candidate.text.split(), candidate) for candidate in candidates]
    wanted = _tags(example, example.spans or ())
    return [_share(wanted, _tags(example, c.spans), c) for c in candidates]


def _share(wanted: list[object], given: Sequence[object], candidate: Candidate) -> float:
    if candidate.output is None:
        return 0.0
    longer = max(len(wanted), len(given))
    # The shorter one's missing words are wrong, so zip may stop there.
    return sum(a == b for a, b in zip(wanted, given, strict=False)) / longer if longer else 1.0


def _tags(example: Example, spans: Sequence[Span]) -> list[object]:
    """For each word (label, begins the span), or None outside; a word belongs to the first span."""
    tags: list[object] = [None] * len(example.words)
    order = sorted(spans, key=lambda span: (span.start, span.end, span.label))
    word = 0
    for span in order:
        begins = True
        while word < len(tags) and example.word_starts[word] < span.end:
            if example.word_starts[word] + len(example.words[word]) > span.start:
                tags[word] = (span.label, begins)
                begins = False
            word += 1
    return tags
