"""Sentinel+Tag with simplified inside: every word has its own slot, nothing can be invented.

    input   <s0> play <s1> nina <s2> simone          gold  nina simone = artist
    target  <s0> O <s1> artist <s2> I

A label opens a span at its word, `I` continues the span to its left, `O` is outside. `I` may not
follow `O` or come first: the grammar forbids it. Two neighbouring spans of one label stay two: the
second opens anew.

Source: Raman et al., Transforming Sequence Tagging Into A Seq2Seq Task (2022), "Sentinel+Tag" with
"simplified inside"; what we changed: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Self

from groot.targets.format import label_symbols
from groot.targets.grammar import END, Choice, SlotGrammar, Symbol
from groot.targets.windows import Window, merge, windows
from groot.targets.words import word_range
from groot.types import Example, Gold, Span, Task

OUTSIDE = Symbol("O")
INSIDE = Symbol("I")
_AFTER_OUTSIDE, _AFTER_SPAN = 0, 1


@lru_cache(maxsize=4096)
def sentinel(index: int) -> Symbol:
    """The symbol of the slot of word `index`."""
    return Symbol(f"<s{index}>")


class SentinelTags:
    """The default label format for spans.

    Args:
        labels: label names, in a fixed order.

    decode(encode(example, spans), example) == spans for all spans on word boundaries that do not
    overlap.

    >>> from groot.types import Example, Span
    >>> example = Example("play nina simone", ("play", "nina", "simone"), (0, 5, 10))
    >>> form = SentinelTags(("artist",))
    >>> form.encode(example, (Span(5, 16, "artist"),))
    '<s0> O <s1> artist <s2> I'
    >>> form.decode("<s0> O <s1> artist <s2> I", example)
    (Span(start=5, end=16, label='artist', text='nina simone', probability=None),)
    >>> form.decode("<s0> O <s1> O <s2> I", example) is None
    True
    """

    name: ClassVar[str] = "sentinel_tags"
    task: ClassVar[Task] = "spans"

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._symbols = label_symbols(self.labels, reserved=(OUTSIDE, INSIDE, END))
        self._names = {symbol: name for name, symbol in self._symbols.items()}
        opening = tuple(Choice(s, _AFTER_SPAN, True) for s in self._symbols.values())
        outside = Choice(OUTSIDE, _AFTER_OUTSIDE, True)
        inside = Choice(INSIDE, _AFTER_SPAN, True)
        self.grammar = SlotGrammar(((outside, *opening), (outside, inside, *opening)))

    @classmethod
    def takes(cls, examples: Sequence[Example]) -> Self | None:
        """For examples with spans; labels in alphabetical order."""
        if all(example.spans is None for example in examples):
            return None
        return cls(sorted({span.label for example in examples for span in example.spans or ()}))

    def slots(self, example: Example) -> int:
        """Number of slots of the target: one per word."""
        return len(example.words)

    def glue(self, slot: int, n_slots: int) -> tuple[Symbol, ...]:
        """What is forced before `slot`; behind the last one, the end."""
        return (sentinel(slot),) if slot < n_slots else (Symbol(END),)

    def input_pieces(self, example: Example) -> list[str]:
        """The model's input: a sentinel before each word."""
        pieces: list[str] = []
        for index, word in enumerate(example.words):
            pieces += (sentinel(index), word)
        return pieces

    def sentinels(self, max_words: int) -> list[Symbol]:
        """One for each word."""
        return [sentinel(index) for index in range(max_words)]

    def windows(self, example: Example, *, max_words: int, overlap: int) -> list[Window]:
        """Overlapping windows of at most max_words words, see `windows`."""
        return windows(example, max_words=max_words, overlap=overlap)

    def merge(
        self, example: Example, cut: Sequence[Window], outputs: Sequence[Gold]
    ) -> tuple[Span, ...]:
        """The spans of the whole text, each said once, see `merge`."""
        return merge(example, cut, outputs)

    def path(self, example: Example, gold: Gold) -> tuple[Symbol, ...] | None:
        """The choices that say `gold`; None where no target can say it."""
        tags = [OUTSIDE] * len(example.words)
        for span in gold:
            if not isinstance(span, Span) or span.label not in self._symbols:
                return None
            words = word_range(example, span)
            if words is None or any(tags[index] != OUTSIDE for index in range(*words)):
                return None
            tags[words[0]] = self._symbols[span.label]
            tags[words[0] + 1 : words[1]] = [INSIDE] * (words[1] - words[0] - 1)
        return tuple(tags)

    def output(self, example: Example, path: Sequence[str]) -> tuple[Span, ...] | None:
        """The spans that a path of choices says; None where the path is malformed."""
        if not self.grammar.walk(path, len(example.words)):
            return None
        spans: list[Span] = []
        opened: tuple[int, str] | None = None
        for index, symbol in enumerate((*path, OUTSIDE)):
            if symbol == INSIDE:
                continue
            if opened is not None:
                first, name = opened
                start = example.word_starts[first]
                end = example.word_starts[index - 1] + len(example.words[index - 1])
                spans.append(Span(start, end, name, example.text[start:end]))
            opened = None if symbol == OUTSIDE else (index, self._names[Symbol(symbol)])
        return tuple(spans)

    def encode(self, example: Example, gold: Gold) -> str | None:
        """The target as text; None where no target can say the gold."""
        path = self.path(example, gold)
        return None if path is None else self.text(path)

    def text(self, path: Sequence[str]) -> str:
        """The target of a path as text."""
        return " ".join(f"{sentinel(index)} {symbol}" for index, symbol in enumerate(path))

    def decode(self, target: str, example: Example) -> tuple[Span, ...] | None:
        """The spans that a text says; None where it does not fit the words: never raises.

        None is fair to every reward: a reward counts it as an output with no span right, which is
        the least that a well-formed output can get, so that writing junk never pays.
        """
        parts = target.split()
        sentinels = [sentinel(index) for index in range(len(example.words))]
        if len(parts) != 2 * len(sentinels) or parts[0::2] != sentinels:
            return None
        return self.output(example, parts[1::2])
