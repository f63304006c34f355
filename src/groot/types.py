"""The words of groot as data: examples, spans, candidates. Plain Python, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Task = Literal["spans", "classes", "text"]
Source = Literal["search", "sample", "corrected", "gold", "file"]


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of a text.

    Args:
        start: offset of the first character, in code points.
        end: offset behind the last character, in code points.
        label: the label's name.
        text: the slice `text[start:end]` of the text that the span belongs to.
        probability: of this span under the model, in [0, 1]; None where no model was asked.

    Two spans are equal when start, end and label are: text and probability follow from elsewhere.

    >>> Span(5, 9, "artist", "nina") == Span(5, 9, "artist")
    True
    """

    start: int
    end: int
    label: str
    text: str = field(default="", compare=False)
    probability: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Example:
    """One input with its gold.

    Args:
        text: the input text, exactly as the user gave it.
        words: the words that labels attach to, left to right; none overlap.
        word_starts: offset of each word in text, in code points, so that
            `text[start:start + len(word)] == word`.
        spans: gold spans in order of start, not overlapping; None where there is no such gold.
        classes: gold classes; None where there is no such gold.
        reference: gold text; None where there is no such gold.
        id: the user's id, or one made from the place in the file.
        source: "path:line" of the example.
        columns: every other column that came with it, by name.
    """

    text: str
    words: tuple[str, ...] = ()
    word_starts: tuple[int, ...] = ()
    spans: tuple[Span, ...] | None = None
    classes: tuple[str, ...] | None = None
    reference: str | None = None
    id: str = ""
    source: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gold(self) -> Gold | None:
        """The gold of whichever task the example has, spans first."""
        if self.spans is not None:
            return self.spans
        if self.classes is not None:
            return self.classes
        return self.reference


# What a candidate decodes to, and what a gold is: spans, classes or a text.
Gold = tuple[Span, ...] | tuple[str, ...] | str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible target of an example.

    Args:
        target: what the model writes, as text.
        output: what the target says: spans, classes or a text; None where the target is
            malformed, that is, does not fit the label format.
        log_p: log-probability of the whole target in nats, end included; None if not scored.
        reward: higher is better; None is missing, never 0.
        source: how it came about.

    >>> Candidate("<s0> O", ()).is_malformed
    False
    """

    target: str
    output: Gold | None
    log_p: float | None = None
    reward: float | None = None
    source: Source = "search"

    @property
    def is_malformed(self) -> bool:
        return self.output is None

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans it says; () for a malformed candidate or another task."""
        if isinstance(self.output, str) or self.output is None:
            return ()
        return tuple(item for item in self.output if isinstance(item, Span))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it says; () for a malformed candidate or another task."""
        if isinstance(self.output, str) or self.output is None:
            return ()
        return tuple(item for item in self.output if isinstance(item, str))

    @property
    def text(self) -> str:
        """What it says as text: the text itself, or the target of a labelling."""
        return self.output if isinstance(self.output, str) else self.target
