"""Class targets: the name of the one class, or of all that apply in the order of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from groot.targets.format import label_symbols
from groot.targets.grammar import END, Choice, SlotGrammar, Symbol
from groot.targets.windows import Window, whole
from groot.types import Example, Gold, Task

NOTHING_MORE = Symbol(".")


class SingleClass:
    """Exactly one class a text; the target is its label.

    >>> SingleClass(("buy", "sell")).decode("sell", Example("please sell"))
    ('sell',)
    """

    name: ClassVar[str] = "single_class"
    task: ClassVar[Task] = "classes"

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._symbols = label_symbols(self.labels, reserved=(NOTHING_MORE, END))
        self._names = {symbol: name for name, symbol in self._symbols.items()}
        self.grammar = self._grammar()

    def _grammar(self) -> SlotGrammar:
        return SlotGrammar((tuple(Choice(s, 0, True) for s in self._symbols.values()),))

    @classmethod
    def takes(cls, examples: Sequence[Example]) -> Self | None:
        """For examples of exactly one class each; labels in alphabetical order."""
        if any(len(example.classes or ()) != 1 for example in examples):
            return None
        return cls(_names(examples))

    def slots(self, example: Example) -> int:
        """One slot."""
        return 1

    def glue(self, slot: int, n_slots: int) -> tuple[Symbol, ...]:
        """Nothing before the slot, the end behind it."""
        return (Symbol(END),) if slot == n_slots else ()

    def input_pieces(self, example: Example) -> list[str]:
        """The words of the text."""
        return list(example.words)

    def sentinels(self, max_words: int) -> list[Symbol]:
        """None."""
        return []

    def windows(self, example: Example, *, max_words: int, overlap: int) -> list[Window]:
        """The whole text: a class is of all of it."""
        return [whole(example)]

    def merge(self, example: Example, cut: Sequence[Window], outputs: Sequence[Gold]) -> Gold:
        """The output of the one window."""
        (output,) = outputs
        return output

    def path(self, example: Example, gold: Gold) -> tuple[Symbol, ...] | None:
        """The label's symbol; None where the gold is not exactly one known class."""
        names = [name for name in gold if isinstance(name, str)]
        if len(names) != 1 or names[0] not in self._symbols:
            return None
        return (self._symbols[names[0]],)

    def output(self, example: Example, path: Sequence[str]) -> tuple[str, ...] | None:
        """The classes that a path says; None where it is malformed."""
        if not self.grammar.walk(path, 1):
            return None
        return tuple(self._names[Symbol(symbol)] for symbol in path if symbol != NOTHING_MORE)

    def encode(self, example: Example, gold: Gold) -> str | None:
        """The target as text; None where no target can say the gold."""
        path = self.path(example, gold)
        return None if path is None else self.text(path)

    def text(self, path: Sequence[str]) -> str:
        """The target of a path as text."""
        return " ".join(path)

    def decode(self, target: str, example: Example) -> tuple[str, ...] | None:
        """The classes that a text says; None where it is no target; never raises."""
        return self.output(example, target.split())


class MultiClass(SingleClass):
    """Any number of classes a text, written in the order of the labels and closed by a full stop.

    One order only, so that a set of classes has one target and its log_p is the set's.

    >>> MultiClass(("buy", "sell")).encode(Example("hm"), ("sell", "buy"))
    'buy sell .'
    >>> MultiClass(("buy", "sell")).decode(".", Example("hm"))
    ()
    """

    name: ClassVar[str] = "multi_class"

    @classmethod
    def takes(cls, examples: Sequence[Example]) -> Self | None:
        """For examples of any number of classes; labels in alphabetical order."""
        if all(example.classes is None for example in examples):
            return None
        return cls(_names(examples))

    def _grammar(self) -> SlotGrammar:
        symbols = list(self._symbols.values())
        stop = Choice(NOTHING_MORE, 0, True)
        # state i: labels before i are behind us
        states = range(len(symbols) + 1)
        return SlotGrammar(
            tuple(
                (stop, *(Choice(symbols[j], j + 1, False) for j in range(i, len(symbols))))
                for i in states
            )
        )

    def path(self, example: Example, gold: Gold) -> tuple[Symbol, ...] | None:
        """The symbols of the classes in the order of the labels, and the stop."""
        names = {name for name in gold if isinstance(name, str)}
        if not names <= set(self._symbols):
            return None
        return (*(s for name, s in self._symbols.items() if name in names), NOTHING_MORE)


def _names(examples: Sequence[Example]) -> list[str]:
    return sorted({name for example in examples for name in example.classes or ()})
