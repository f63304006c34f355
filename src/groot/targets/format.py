"""What every target format of labels offers, and the small things that formats share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from groot.targets.grammar import SlotGrammar, Symbol, is_sentinel
from groot.types import Example, Gold, Task

if TYPE_CHECKING:
    from groot.targets.windows import Window


class LabelFormat(Protocol):
    """Encodes gold to a target and decodes it back; says what may follow a prefix.

    `decode(encode(example, gold), example) == gold` for every gold that a target can say.
    """

    name: ClassVar[str]
    task: ClassVar[Task]
    labels: tuple[str, ...]
    grammar: SlotGrammar

    def __init__(self, labels: Sequence[str]) -> None: ...

    @classmethod
    def takes(cls, examples: Sequence[Example]) -> Self | None:
        """The format with the labels of training examples; None where it is not for them.

        Training asks the formats in the order of their table and takes the first that answers.
        """

    def slots(self, example: Example) -> int:
        """Number of slots of the target."""

    def glue(self, slot: int, n_slots: int) -> tuple[Symbol, ...]:
        """Symbols forced before a slot; behind the last one, those that end the target."""

    def input_pieces(self, example: Example) -> list[str]:
        """Words (str) and symbols (Symbol) of the model's input."""

    def sentinels(self, max_words: int) -> list[Symbol]:
        """Symbols, beside those of the grammar, that targets of inputs of max_words words hold."""

    def windows(self, example: Example, *, max_words: int, overlap: int) -> list[Window]:
        """The windows that an example is searched and learnt in; one where it is never cut."""

    def merge(self, example: Example, cut: Sequence[Window], outputs: Sequence[Gold]) -> Gold:
        """The output of an example from those of its windows."""

    def path(self, example: Example, gold: Gold) -> tuple[Symbol, ...] | None:
        """The choices that say the gold; None where no target can."""

    def output(self, example: Example, path: Sequence[str]) -> Gold | None:
        """What a path says; None where it is malformed."""

    def text(self, path: Sequence[str]) -> str:
        """The target of a path as text."""

    def encode(self, example: Example, gold: Gold) -> str | None:
        """The target that says the gold, as text; None where no target can."""

    def decode(self, target: str, example: Example) -> Gold | None:
        """What a target says; None where it is malformed; never raises."""


def label_symbols(labels: Sequence[str], *, reserved: Sequence[str] = ()) -> dict[str, Symbol]:
    """One symbol per label, without white space, all different and none of the reserved ones.

    >>> label_symbols(["first name", "O"], reserved=["O"])
    {'first name': 'first_name', 'O': 'O_'}
    """
    symbols: dict[str, Symbol] = {}
    taken = set(reserved)
    for label in labels:
        symbol = re.sub(r"\s", "_", label) or "_"
        while symbol in taken or is_sentinel(symbol):
            symbol += "_"
        taken.add(symbol)
        symbols[label] = Symbol(symbol)
    return symbols
