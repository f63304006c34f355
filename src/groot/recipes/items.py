"""What a model is trained on: windows of examples with gold targets, varied anew in each pass.

Every variation is drawn from a generator that is made for (seed, pass, index), so that a run that
was killed and continued sees the very same inputs.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from groot.targets.format import word_range
from groot.targets.grammar import EncodedTarget, Symbol
from groot.targets.windows import lost_spans
from groot.types import Example, Span
from groot.writer.labeler import Labeler


@dataclass(frozen=True, slots=True)
class Item:
    """One training input.

    Args:
        example: a window of at most window_words words; gold holds only what a target can say.
        target: its gold target.
    """

    example: Example
    target: EncodedTarget


def training_items(labeler: Labeler, examples: Sequence[Example]) -> tuple[list[Item], list[str]]:
    """The items of examples, and a line on each gold that no target can say.

    A span that cannot be said is left out of its example's target; an example of classes that
    cannot be said is left out whole. Both are named in the second result, never dropped in silence.
    """
    items: list[Item] = []
    missed: list[str] = []
    for example in examples:
        cut = labeler.windows(example)
        missed += [
            f"{example.source}: span {span.start}:{span.end} {span.label!r} fits in no window"
            for span in lost_spans(example, cut)
        ]
        for window in cut:
            piece = window.example
            gold = piece.gold
            if gold is None:
                missed.append(f"{example.source}: no gold")
                continue
            if piece.spans is not None:
                gold, reasons = producible(labeler, piece)
                missed += [f"{example.source}: {reason}" for reason in reasons]
                piece = dataclasses.replace(piece, spans=gold)
            target = labeler.codec.encode(piece, gold)
            if target is None:
                missed.append(f"{example.source}: {gold!r} is not a known class")
                continue
            items.append(Item(piece, target))
    return items, missed


def producible(labeler: Labeler, example: Example) -> tuple[tuple[Span, ...], list[str]]:
    """The gold spans that a target can say, and a reason for each that none can."""
    kept: list[Span] = []
    reasons: list[str] = []
    for span in example.spans or ():
        if labeler.form.path(example, (*kept, span)) is None:
            reasons.append(f"span {span.start}:{span.end} {span.label!r} cannot be written")
        else:
            kept.append(span)
    return tuple(kept), reasons


class Variation:
    """Varies an item's input and gold so that a small model cannot learn it by heart.

    Args:
        items: the training set; its gold spans are the stock that mentions are swapped with.
        word_dropout: share of the words that are hidden behind the unknown token.
        mention_swap: share of the gold spans whose words are replaced by those of another
            training span of the same label.
        word_blend: share of the words of swapped mentions that are blended with a word of another
            mention of the label: the beginning of the one, the end of the other. So there are
            always words that were never seen, and context must be read.
        word_cuts: share of the words that are cut at a random place before they are spelled, so
            that rare spellings of frequent words are learnt too.

    Source: Dai and Adel, An Analysis of Simple Data Augmentation for Named Entity Recognition
    (2020), mention replacement.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        word_dropout: float = 0.0,
        mention_swap: float = 0.0,
        word_blend: float = 0.0,
        word_cuts: float = 0.0,
    ) -> None:
        self.word_dropout = word_dropout
        self.mention_swap = mention_swap
        self.word_blend = word_blend
        self.word_cuts = word_cuts
        stock: dict[str, dict[tuple[str, ...], None]] = {}
        for item in items:
            for span in item.example.spans or ():
                words = word_range(item.example, span)
                if words is not None:
                    mention = item.example.words[slice(*words)]
                    stock.setdefault(span.label, {})[mention] = None
        self._stock = {label: list(mentions) for label, mentions in stock.items()}

    def swap_mentions(self, example: Example, rng: random.Random, max_words: int) -> Example:
        """The example with some mentions swapped; unchanged where it would grow too long."""
        words: list[str] = []
        spans: list[tuple[int, int, str]] = []
        done = 0
        for span in example.spans or ():
            at = word_range(example, span)
            assert at is not None  # items hold spans on word boundaries only
            words += example.words[done : at[0]]
            mention = example.words[slice(*at)]
            if rng.random() < self.mention_swap:
                mention = self._other_mention(span.label, rng)
            spans.append((len(words), len(words) + len(mention), span.label))
            words += mention
            done = at[1]
        words += example.words[done:]
        if len(words) > max_words:
            return example
        varied = example_of_words(words, spans)
        return dataclasses.replace(  # of the rest, a user's reward may read any column
            example,
            text=varied.text,
            words=varied.words,
            word_starts=varied.word_starts,
            spans=varied.spans,
        )

    def _other_mention(self, label: str, rng: random.Random) -> tuple[str, ...]:
        stock = self._stock[label]
        mention = rng.choice(stock)
        if not self.word_blend:
            return mention
        return tuple(
            blend(word, rng.choice(rng.choice(stock))) if rng.random() < self.word_blend else word
            for word in mention
        )

    def input_ids(self, labeler: Labeler, example: Example, rng: random.Random) -> list[int]:
        """Token ids of the input with words hidden or cut at random."""
        codec, unknown = labeler.codec, labeler.model.tokenizer.unk_token_id
        ids: list[int] = []
        for piece in labeler.form.input_pieces(example):
            if isinstance(piece, Symbol):
                ids += codec.symbol_ids(piece)
            elif unknown is not None and rng.random() < self.word_dropout:
                ids.append(unknown)
            elif len(piece) > 1 and rng.random() < self.word_cuts:
                ids += codec.cut_word_ids(piece, rng.randrange(1, len(piece)))
            else:
                ids += codec.word_ids(piece)
        return [*ids, *codec.tail]

    def example(self, labeler: Labeler, item: Item, rng: random.Random) -> Example:
        """The item's example with some of its mentions swapped."""
        if not self.mention_swap or not item.example.spans:
            return item.example
        varied = self.swap_mentions(item.example, rng, labeler.window_words)
        return varied if labeler.codec.encode(varied, varied.spans or ()) else item.example

    def fixed_input_ids(self, labeler: Labeler, example: Example, seed: int) -> list[int]:
        """`input_ids` with the same words hidden each time, by the example's id."""
        return self.input_ids(labeler, example, random.Random(f"{seed}:{example.id}:input"))

    def __call__(
        self, labeler: Labeler, item: Item, rng: random.Random
    ) -> tuple[list[int], EncodedTarget]:
        """Input ids and target of an item, varied."""
        example = self.example(labeler, item, rng)
        target = item.target
        if example is not item.example:
            encoded = labeler.codec.encode(example, example.spans or ())
            assert encoded is not None  # example() saw to it
            target = encoded
        return self.input_ids(labeler, example, rng), target


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
