"""What a labeler's owner must know about the data before training: counts, faults, lost gold."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from groot.data.lost_gold import LostGold, lost_gold
from groot.data.result import Problem, ReadResult, Splits
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


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """The numbers of one split.

    Args:
        rows: examples and problems together.
        examples: rows that are used.
        scheme: of the tags; None where there are none.
        reading: how the file was understood; "" where there was nothing to find out.
        labels: spans or examples of each label, the most frequent first.
        n_words: shortest, median, 95 % and longest length in words.
        gold: gold spans, those in rows that cannot be used included.
        lost: those of them that no labeling by words can say.
    """

    rows: int
    examples: int
    scheme: str | None
    labels: dict[str, int]
    n_words: dict[str, float]
    gold: int
    lost: LostGold
    reading: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "rows": self.rows,
            "examples": self.examples,
            "problems": self.rows - self.examples,
            "scheme": self.scheme,
            "reading": self.reading,
            "labels": self.labels,
            "n_words": self.n_words,
            "gold_spans": self.gold,
            "lost_spans": self.lost.counts,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found, the worst first."""

    splits: dict[str, SplitCounts]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0 clean, 1 warnings, 2 errors."""
        levels = {finding.level for finding in self.findings}
        return 2 if "error" in levels else 1 if "warning" in levels else 0

    @property
    def verdict(self) -> str:
        """One line: how many errors and warnings."""
        n = Counter(finding.level for finding in self.findings)
        if not n["error"] + n["warning"]:
            return "No faults found."
        return f"{_several(n['error'], 'error')}, {_several(n['warning'], 'warning')}."

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "splits": {name: counts.as_json() for name, counts in self.splits.items()},
            "findings": [finding.as_json() for finding in self.findings],
        }


def examine(
    splits: Splits,
    *,
    max_words: int | None = None,
    n_tokens: Callable[[Example], int] | None = None,
    max_tokens: int | None = None,
    min_examples: int = 50,
) -> Diagnosis:
    """Look at the data of a run.

    Args:
        splits: train, dev and test.
        max_words: texts with more words are read in several windows.
        n_tokens: the length of an example for the model.
        max_tokens: the model's limit on it.
        min_examples: labels with fewer in train are reported.
    """
    results = {"train": splits.train}
    if splits.dev.n_rows:
        results["dev"] = splits.dev
    if splits.test is not None:
        results["test"] = splits.test
    lost = {name: lost_gold(result) for name, result in results.items()}
    counts = {name: _counts(result, lost[name]) for name, result in results.items()}
    findings: list[Finding] = []
    for name, result in results.items():
        findings += _doubts(name, result)
        findings += _bad_rows(name, result)
        findings += _gold_of(name, result)
        findings += lost_findings(name, counts[name].gold, lost[name])
        findings += _illegal(name, result)
        findings += _repeated(name, result.examples)
        if max_words is not None:
            findings += _long(name, result.examples, max_words, lambda x: len(x.words), "words")
        if n_tokens is not None and max_tokens is not None:
            findings += _long(name, result.examples, max_tokens, n_tokens, "tokens")
    findings += _shared_texts(results)
    findings += _schemes(results)
    findings += _labels(results, counts, min_examples)
    if splits.is_dev_cut:
        message = f"dev was cut from train: every tenth example, {len(splits.dev.examples)} in all"
        findings.append(Finding("info", "dev cut from train", message, len(splits.dev.examples)))
    order = {"error": 0, "warning": 1, "info": 2}
    return Diagnosis(counts, tuple(sorted(findings, key=lambda finding: order[finding.level])))


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.1g} %"


def _places(items: Iterable[Example | Problem]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.source for item in items))[:MAX_PLACES]


def labels_of(example: Example) -> list[str]:
    """The labels of an example's gold: one per span, or its classes."""
    if example.spans is not None:
        return [span.label for span in example.spans]
    return list(example.classes or ())


def _counts(result: ReadResult, lost: LostGold) -> SplitCounts:
    labels = Counter(chain.from_iterable(map(labels_of, result.examples)))
    lengths = sorted(len(example.words) for example in result.examples)
    n_words = {
        "min": lengths[0],
        "median": statistics.median(lengths),
        "p95": lengths[(len(lengths) - 1) * 95 // 100],
        "max": lengths[-1],
    }
    gold = sum(len(example.spans or ()) for example in result.examples)
    gold += sum(problem.n_spans for problem in result.problems)
    gold += sum(note.n_spans for note in result.notes if note.kind == "overlap")
    return SplitCounts(
        result.n_rows,
        len(result.examples),
        result.scheme,
        dict(labels.most_common()),
        n_words,
        gold,
        lost,
        str(result.reading or ""),
    )


def _doubts(name: str, result: ReadResult) -> Iterable[Finding]:
    """What the file could mean besides, each with the setting that decides."""
    for doubt in result.reading.doubts if result.reading else ():
        message = f"{name} was read as {result.reading}: {doubt}"
        yield Finding("warning", "reading", message, 1, (result.where,))


def _bad_rows(name: str, result: ReadResult) -> Iterable[Finding]:
    if not result.problems:
        return
    kinds = Counter(problem.kind for problem in result.problems)
    share = len(result.problems) / result.n_rows
    message = (
        f"{len(result.problems):,} of {_several(result.n_rows, 'row')} of {name} cannot be used "
        f"({', '.join(f'{kind}: {n}' for kind, n in kinds.most_common())}). "
        f"First: {result.problems[0]}"
    )
    level: Level = "error" if share > _MAX_BAD_SHARE else "warning"
    places = _places(result.problems)
    yield Finding(level, "rows that cannot be used", message, len(result.problems), places)


def _gold_of(name: str, result: ReadResult) -> Iterable[Finding]:
    bare = [example for example in result.examples if example.gold is None]
    if bare:
        level: Level = "error" if len(bare) == len(result.examples) else "warning"
        message = f"{_several(len(bare), 'example')} of {name} without gold"
        yield Finding(level, "no gold", message, len(bare), _places(bare))
    tagged = [example for example in result.examples if example.spans is not None]
    if tagged and not any(example.spans for example in tagged):
        level = "error" if name == "train" else "warning"
        message = f"no example of {name} has a span: there is nothing to learn or to measure"
        yield Finding(level, "only O", message, len(tagged), _places(tagged))
    elif empty := [example for example in tagged if not example.spans]:
        message = f"{_several(len(empty), 'example')} of {name} without any span"
        yield Finding("info", "without spans", message, len(empty), _places(empty))
    # an empty prompt asks for any text
    labelled = [example for example in result.examples if not isinstance(example.gold, str)]
    if wordless := [example for example in labelled if not example.words]:
        message = f"{_several(len(wordless), 'text')} of {name} without a word"
        yield Finding("warning", "empty texts", message, len(wordless), _places(wordless))


def lost_findings(name: str, n_gold: int, lost: LostGold) -> Iterable[Finding]:
    """What is to be said of the gold spans that no labelling by words can say."""
    count = sum(lost.counts.values())
    if count:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in lost.counts.items() if n)
        share = count / n_gold
        message = f"the model will miss {_percent(share)} of the gold spans of {name}: {reasons}"
        yield Finding("warning", "gold out of reach", message, count, lost.places[:MAX_PLACES])
    for hint in lost.hints:
        yield Finding("error", "offsets", f"{name}: {hint}", count, lost.places[:MAX_PLACES])


def _illegal(name: str, result: ReadResult) -> Iterable[Finding]:
    if notes := [note for note in result.notes if note.kind == "illegal tag"]:
        texts = _several(len({note.source for note in notes}), "text")
        message = (
            f"{_several(len(notes), 'tag')} in {texts} of {name} illegal in the scheme "
            f"{result.scheme}; each is read as if it began or went on with a span. "
            f"First: {notes[0]}"
        )
        yield Finding("warning", "illegal tags", message, len(notes), _places(notes))
    if notes := [note for note in result.notes if note.kind in _CHANGED]:
        message = f"{_several(len(notes), 'text')} of {name} read with a change. First: {notes[0]}"
        yield Finding("warning", "changed gold", message, len(notes), _places(notes))


def _key(example: Example) -> str:
    """What two examples are the same by; a prompt may have many references, so there both count."""
    text = text_key(" ".join(example.words or (example.text,)))
    return f"{text}\n{example.gold.casefold()}" if isinstance(example.gold, str) else text


def _said(example: Example) -> Gold | tuple[tuple[str, str], ...] | None:
    """The gold in a form in which equal texts with equal gold are equal."""
    gold = example.gold
    if isinstance(gold, tuple):
        spans = [item for item in gold if isinstance(item, Span)]
        if spans:  # by their words, as white space may differ
            return tuple((span.label, " ".join(span.text.split()).casefold()) for span in spans)
        return tuple(sorted(str(item) for item in gold))
    return gold


def _repeated(name: str, examples: Sequence[Example]) -> Iterable[Finding]:
    by_text: dict[str, list[Example]] = {}
    for example in examples:
        by_text.setdefault(_key(example), []).append(example)
    groups = [group for group in by_text.values() if len(group) > 1]
    if repeated := [example for group in groups for example in group[1:]]:
        message = (
            f"{_several(len(repeated), 'text')} of {name} the same as an earlier one, case aside"
        )
        yield Finding("info", "duplicates", message, len(repeated), _places(repeated))
    torn = [group for group in groups if any(_said(x) != _said(group[0]) for x in group)]
    if torn:
        message = (
            f"{_several(len(torn), 'text')} of {name} with two different golds; "
            f"first: {torn[0][0].text!r:.80}"
        )
        yield Finding("warning", "conflicting gold", message, len(torn), _places(chain(*torn)))


def _shared_texts(results: dict[str, ReadResult]) -> Iterable[Finding]:
    names = list(results)
    golds = {name: {_key(example): example for example in results[name].examples} for name in names}
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = [x for x in results[second].examples if _key(x) in golds[first]]
            if not shared:
                continue
            torn = [x for x in shared if _said(golds[first][_key(x)]) != _said(x)]
            message = (
                f"{_several(len(shared), 'text')} of {second} "
                f"({_percent(len(shared) / len(results[second].examples))}) also in {first}"
                + (f", {len(torn):,} of them with another gold" if torn else "")
                + "; scores on them measure memory"
            )
            what = "duplicates across splits"
            yield Finding("warning", what, message, len(shared), _places(shared))


def _schemes(results: dict[str, ReadResult]) -> Iterable[Finding]:
    schemes = {name: result.scheme for name, result in results.items() if result.scheme}
    if len(set(schemes.values())) > 1:
        said = ", ".join(f"{name} {scheme}" for name, scheme in schemes.items())
        message = f"the splits seem to use different tag schemes: {said}; set it with scheme=..."
        yield Finding("warning", "schemes", message, len(set(schemes.values())))


def _labels(
    results: dict[str, ReadResult], counts: dict[str, SplitCounts], min_examples: int
) -> Iterable[Finding]:
    known = counts["train"].labels
    for name, result in results.items():
        if name == "train":
            continue
        if new := set(counts[name].labels) - set(known):
            where = [x for x in result.examples if not new.isdisjoint(labels_of(x))]
            message = f"{_names(new)} in {name}, but never in train: cannot be learnt"
            yield Finding("warning", "labels unseen in train", message, len(new), _places(where))
        if unseen := set(known) - set(counts[name].labels):
            message = f"{_names(unseen)} in train, but never in {name}: not measured there"
            yield Finding("info", f"labels unseen in {name}", message, len(unseen))
    if rare := {label for label, n in known.items() if n < min_examples}:
        said = ", ".join(f"{label} {known[label]}" for label in sorted(rare, key=known.__getitem__))
        where = [x for x in results["train"].examples if not rare.isdisjoint(labels_of(x))]
        message = f"{_several(len(rare), 'label')} with fewer than {min_examples} in train: {said}"
        yield Finding("warning", "rare labels", message, len(rare), _places(where))
    spellings: dict[str, set[str]] = {}
    for label in chain.from_iterable(split.labels for split in counts.values()):
        spellings.setdefault(label.strip().casefold(), set()).add(label)
    for same in spellings.values():
        if len(same) > 1:
            message = f"{_names(same)} differ in nothing but case or white space: one label or two?"
            yield Finding("warning", "labels spelt alike", message, len(same))


def _names(labels: Iterable[str]) -> str:
    found = sorted(labels)
    return f"label{'' if len(found) == 1 else 's'} {', '.join(found)}"


def _long(
    name: str, examples: Sequence[Example], limit: int, length: Callable[[Example], int], unit: str
) -> Iterable[Finding]:
    long = [(n, example) for example in examples if (n := length(example)) > limit]
    if long:
        message = (
            f"{_several(len(long), 'text')} of {name} longer than {limit} {unit} (the longest has "
            f"{max(n for n, _ in long)}): read in several windows"
        )
        places = _places(example for _, example in long)
        yield Finding("info", f"longer than {limit} {unit}", message, len(long), places)
