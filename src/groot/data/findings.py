"""What is to be said of one set of labelled data: rows, gold, texts, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from groot.data.lost_gold import LostGold
from groot.data.result import Problem, ReadResult
from groot.evaluation.duplicates import text_key
from groot.types import Example, Gold, Span

Level = Literal["error", "warning", "info"]

# places kept for each finding
MAX_PLACES = 100
# share of rows above which rows that cannot be used are an error
_MAX_BAD_SHARE = 0.1
# kinds of notes on rows whose gold was changed to fit, or read in part
_CHANGED = ("overlap", "discontinuous", "not read")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        level: error, warning or info.
        what: its name, the same for every data set: "illegal tags".
        message: what it is, in a sentence, with what to do about it.
        count: how often.
        examples: "path:line" of the first ones.
    """

    level: Level
    what: str
    message: str
    count: int
    examples: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "level": self.level,
            "what": self.what,
            "message": self.message,
            "count": self.count,
            "examples": list(self.examples),
        }


def several(number: int, what: str) -> str:
    """A count with its noun, such as "2 texts"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """A share as text, small ones with a digit that is not 0."""
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.1g} %"


def places_of(items: Iterable[Example | Problem]) -> tuple[str, ...]:
    """Where the first of them stand, each place once."""
    return tuple(dict.fromkeys(item.source for item in items))[:MAX_PLACES]


def labels_of(example: Example) -> list[str]:
    """The labels of an example's gold: one per span, or its classes."""
    if example.spans is not None:
        return [span.label for span in example.spans]
    return list(example.classes or ())


def doubt_findings(name: str, result: ReadResult) -> Iterable[Finding]:
    """What the file could mean besides, each with the setting that decides."""
    for doubt in result.reading.doubts if result.reading else ():
        message = f"{name} was read as {result.reading}: {doubt}"
        yield Finding("warning", "reading", message, 1, (result.where,))


def row_findings(name: str, result: ReadResult) -> Iterable[Finding]:
    """Rows that cannot be used."""
    if not result.problems:
        return
    kinds = Counter(problem.kind for problem in result.problems)
    share = len(result.problems) / result.n_rows
    message = (
        f"{len(result.problems):,} of {several(result.n_rows, 'row')} of {name} cannot be used "
        f"({', '.join(f'{kind}: {n}' for kind, n in kinds.most_common())}). "
        f"First: {result.problems[0]}"
    )
    level: Level = "error" if share > _MAX_BAD_SHARE else "warning"
    places = places_of(result.problems)
    yield Finding(level, "rows that cannot be used", message, len(result.problems), places)


def gold_findings(name: str, result: ReadResult) -> Iterable[Finding]:
    """Examples without gold, without spans, or without a word."""
    bare = [example for example in result.examples if example.gold is None]
    if bare:
        level: Level = "error" if len(bare) == len(result.examples) else "warning"
        message = f"{several(len(bare), 'example')} of {name} without gold"
        yield Finding(level, "no gold", message, len(bare), places_of(bare))
    tagged = [example for example in result.examples if example.spans is not None]
    if tagged and not any(example.spans for example in tagged):
        level = "error" if name == "train" else "warning"
        message = f"no example of {name} has a span: there is nothing to learn or to measure"
        yield Finding(level, "only O", message, len(tagged), places_of(tagged))
    elif empty := [example for example in tagged if not example.spans]:
        message = f"{several(len(empty), 'example')} of {name} without any span"
        yield Finding("info", "without spans", message, len(empty), places_of(empty))
    # an empty prompt asks for any text
    labelled = [example for example in result.examples if not isinstance(example.gold, str)]
    if wordless := [example for example in labelled if not example.words]:
        message = f"{several(len(wordless), 'text')} of {name} without a word"
        yield Finding("warning", "empty texts", message, len(wordless), places_of(wordless))


def lost_findings(name: str, n_gold: int, lost: LostGold) -> Iterable[Finding]:
    """What is to be said of the gold spans that no labelling by words can say."""
    count = sum(lost.counts.values())
    if count:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in lost.counts.items() if n)
        share = count / n_gold
        message = f"the model will miss {percent(share)} of the gold spans of {name}: {reasons}"
        yield Finding("warning", "gold out of reach", message, count, lost.places[:MAX_PLACES])
    for hint in lost.hints:
        yield Finding("error", "offsets", f"{name}: {hint}", count, lost.places[:MAX_PLACES])


def changed_findings(name: str, result: ReadResult) -> Iterable[Finding]:
    """Illegal tags, and gold that was changed to fit."""
    if notes := [note for note in result.notes if note.kind == "illegal tag"]:
        texts = several(len({note.source for note in notes}), "text")
        message = (
            f"{several(len(notes), 'tag')} in {texts} of {name} illegal in the scheme "
            f"{result.scheme}; each is read as if it began or went on with a span. "
            f"First: {notes[0]}"
        )
        yield Finding("warning", "illegal tags", message, len(notes), places_of(notes))
    if notes := [note for note in result.notes if note.kind in _CHANGED]:
        message = f"{several(len(notes), 'text')} of {name} read with a change. First: {notes[0]}"
        yield Finding("warning", "changed gold", message, len(notes), places_of(notes))


def repeated_findings(name: str, examples: Sequence[Example]) -> Iterable[Finding]:
    """Texts that come twice, and those of them with two golds."""
    by_text: dict[str, list[Example]] = {}
    for example in examples:
        by_text.setdefault(text_of(example), []).append(example)
    groups = [group for group in by_text.values() if len(group) > 1]
    if repeated := [example for group in groups for example in group[1:]]:
        message = (
            f"{several(len(repeated), 'text')} of {name} the same as an earlier one, case aside"
        )
        yield Finding("info", "duplicates", message, len(repeated), places_of(repeated))
    torn = [group for group in groups if any(gold_of(x) != gold_of(group[0]) for x in group)]
    if torn:
        message = (
            f"{several(len(torn), 'text')} of {name} with two different golds; "
            f"first: {torn[0][0].text!r:.80}"
        )
        yield Finding("warning", "conflicting gold", message, len(torn), places_of(chain(*torn)))


def length_findings(
    name: str, examples: Sequence[Example], limit: int, length: Callable[[Example], int], unit: str
) -> Iterable[Finding]:
    """Texts that are longer than a limit."""
    long = [(n, example) for example in examples if (n := length(example)) > limit]
    if long:
        message = (
            f"{several(len(long), 'text')} of {name} longer than {limit} {unit} (the longest has "
            f"{max(n for n, _ in long)}): read in several windows"
        )
        places = places_of(example for _, example in long)
        yield Finding("info", f"longer than {limit} {unit}", message, len(long), places)


def text_of(example: Example) -> str:
    """What two examples are the same by; a prompt may have many references, so there both count."""
    text = text_key(" ".join(example.words or (example.text,)))
    return f"{text}\n{example.gold.casefold()}" if isinstance(example.gold, str) else text


def gold_of(example: Example) -> Gold | tuple[tuple[str, str], ...] | None:
    """The gold in a form in which equal texts with equal gold are equal."""
    gold = example.gold
    if isinstance(gold, tuple):
        spans = [item for item in gold if isinstance(item, Span)]
        if spans:  # by their words, as white space may differ
            return tuple((span.label, " ".join(span.text.split()).casefold()) for span in spans)
        return tuple(sorted(str(item) for item in gold))
    return gold
