"""What a model is trained on: windows of examples with gold targets, varied anew in each pass.

Every variation is drawn from a generator that is made for (seed, pass, index), so that a run that
was killed and continued sees the very same inputs.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groot.targets.grammar import EncodedTarget
from groot.targets.windows import lost_spans
from groot.targets.words import word_range
from groot.types import Example, Span
from groot.writer.notation import Notation


@dataclass(frozen=True, slots=True)
class Instance:
    """One training input.

    Args:
        example: one window; its gold holds only what a target can say.
        target: its gold target.
    """

    example: Example
    target: EncodedTarget


def training_instances(
    notation: Notation, examples: Sequence[Example]
) -> tuple[list[Instance], list[str]]:
    """The instances of examples, and a line on each gold that no target can say.

    A span that cannot be said is left out of its example's target; an example whose classes or
    text cannot be said is left out whole. Both are named in the second result, never dropped in
    silence.
    """
    instances: list[Instance] = []
    missed: list[str] = []
    for example in examples:
        cut = notation.windows(example)
        missed += [
            f"{example.source}: span {span.start}:{span.end} {span.label!r} fits in no window"
            for span in lost_spans(example, cut)
        ]
        for window in cut:
            piece = window.example
            if piece.spans is not None:
                kept, reasons = writable_spans(notation, piece)
                missed += [f"{example.source}: {reason}" for reason in reasons]
                piece = dataclasses.replace(piece, spans=kept)
            gold = piece.gold
            if gold is None:
                missed.append(f"{example.source}: no gold")
                continue
            target = notation.target(piece, gold)
            if target is None or not notation.can_write(target):
                missed.append(f"{example.source}: {notation.unwritable(piece)}")
                continue
            instances.append(Instance(piece, target))
    return instances, missed


def writable_spans(notation: Notation, example: Example) -> tuple[tuple[Span, ...], list[str]]:
    """The gold spans that a target can say, and a reason for each that none can."""
    kept: list[Span] = []
    reasons: list[str] = []
    for span in example.spans or ():
        if notation.encode(example, (*kept, span)) is None:
            reasons.append(f"span {span.start}:{span.end} {span.label!r} cannot be written")
        else:
            kept.append(span)
    return tuple(kept), reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationRates:
    """How much inputs are varied.

    Args:
        word_dropout: share of the words that are hidden.
        mention_swap: share of the gold spans whose words are replaced by those of another
            training span of the same label.
        word_blend: share of the words of swapped mentions that are blended with a word of another
            mention of the label: the beginning of the one, the end of the other. So there are
            always words that were never seen, and context must be read.
        word_cuts: share of the words that are cut at a random place before they are spelled, so
            that rare spellings of frequent words are learnt too.
    """

    word_dropout: float = 0.0
    mention_swap: float = 0.0
    word_blend: float = 0.0
    word_cuts: float = 0.0


class Variation:
    """Varies an instance's input and gold so that a small model cannot learn it by heart.

    Args:
        notation: of the writer that is trained; where it cannot vary, everything stays as it is.
        instances: the training set; its gold spans are the stock that mentions are swapped with.
        rates: how much.

    Source: Dai and Adel, An Analysis of Simple Data Augmentation for Named Entity Recognition
    (2020), mention replacement.
    """

    def __init__(
        self,
        notation: Notation,
        instances: Sequence[Instance],
        rates: VariationRates | None = None,
    ) -> None:
        self.notation = notation
        self.rates = rates or VariationRates()
        stock: dict[str, dict[tuple[str, ...], None]] = {}
        for instance in instances:
            for span in instance.example.spans or ():
                words = word_range(instance.example, span)
                if words is not None:
                    mention = instance.example.words[slice(*words)]
                    stock.setdefault(span.label, {})[mention] = None
        self._stock = {label: list(mentions) for label, mentions in stock.items()}

    def swap_mentions(self, example: Example, rng: random.Random) -> Example:
        """The example with some mentions swapped; unchanged where it would grow too long."""
        words: list[str] = []
        spans: list[tuple[int, int, str]] = []
        done = 0
        for span in example.spans or ():
            at = word_range(example, span)
            assert at is not None  # instances hold spans on word boundaries only
            words += example.words[done : at[0]]
            mention = example.words[slice(*at)]
            if rng.random() < self.rates.mention_swap:
                mention = self._other_mention(span.label, rng)
            spans.append((len(words), len(words) + len(mention), span.label))
            words += mention
            done = at[1]
        words += example.words[done:]
        swapped = example_of_words(words, spans)
        varied = dataclasses.replace(  # of the rest, a user's reward may read any column
            example,
            text=swapped.text,
            words=swapped.words,
            word_starts=swapped.word_starts,
            spans=swapped.spans,
        )
        return varied if len(self.notation.windows(varied)) == 1 else example

    def _other_mention(self, label: str, rng: random.Random) -> tuple[str, ...]:
        stock, share = self._stock[label], self.rates.word_blend
        mention = rng.choice(stock)
        if not share:
            return mention
        return tuple(
            blend(word, rng.choice(rng.choice(stock))) if rng.random() < share else word
            for word in mention
        )

    def input_ids(self, example: Example, rng: random.Random) -> Sequence[Any]:
        """The model's input with words hidden or cut at random."""
        return self.notation.varied_input_ids(
            example, rng, word_dropout=self.rates.word_dropout, word_cuts=self.rates.word_cuts
        )

    def example(self, instance: Instance, rng: random.Random) -> Example:
        """The instance's example with some of its mentions swapped."""
        if not self.rates.mention_swap or not instance.example.spans:
            return instance.example
        varied = self.swap_mentions(instance.example, rng)
        is_writable = self.notation.target(varied, varied.spans or ()) is not None
        return varied if is_writable else instance.example

    def fixed_input_ids(self, example: Example, seed: int) -> Sequence[Any]:
        """`input_ids` with the same words hidden each time, by the example's id."""
        return self.input_ids(example, random.Random(f"{seed}:{example.id}:input"))

    def __call__(
        self, instance: Instance, rng: random.Random
    ) -> tuple[Sequence[Any], EncodedTarget]:
        """Input and target of an instance, varied."""
        example = self.example(instance, rng)
        target = instance.target
        if example is not instance.example:
            encoded = self.notation.target(example, example.spans or ())
            assert encoded is not None  # example() saw to it
            target = encoded
        return self.input_ids(example, rng), target


def blend(first: str, second: str) -> str:
    """The first half of one word and the second half of another.

    >>> blend("boston", "denver")
    'bosver'
    """
    return first[: (len(first) + 1) // 2] + second[len(second) // 2 :]


def example_of_words(words: Sequence[str], spans: Sequence[tuple[int, int, str]]) -> Example:
    """An example whose text is its words joined by spaces; spans are given by word indices.

    >>> example_of_words(["in", "new", "york"], [(1, 3, "city")]).spans[0].text
    'new york'
    """
    starts: list[int] = []
    at = 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    text = " ".join(words)
    gold: list[Span] = []
    for first, end, label in spans:
        start, stop = starts[first], starts[end - 1] + len(words[end - 1])
        gold.append(Span(start, stop, label, text[start:stop]))
    return Example(text, tuple(words), tuple(starts), spans=tuple(gold))
