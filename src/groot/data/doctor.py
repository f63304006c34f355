"""What a labeler's owner must know about the data before training: counts, faults, lost gold."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from groot.data.findings import (
    Finding,
    changed_findings,
    doubt_findings,
    gold_findings,
    gold_of,
    labels_of,
    length_findings,
    lost_findings,
    percent,
    places_of,
    repeated_findings,
    row_findings,
    several,
    text_of,
)
from groot.data.lost_gold import LostGold, lost_gold
from groot.data.result import ReadResult, Splits
from groot.types import Example


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
        return f"{several(n['error'], 'error')}, {several(n['warning'], 'warning')}."

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
        findings += doubt_findings(name, result)
        findings += row_findings(name, result)
        findings += gold_findings(name, result)
        findings += lost_findings(name, counts[name].gold, lost[name])
        findings += changed_findings(name, result)
        findings += repeated_findings(name, result.examples)
        if max_words is not None:
            findings += length_findings(
                name, result.examples, max_words, lambda x: len(x.words), "words"
            )
        if n_tokens is not None and max_tokens is not None:
            findings += length_findings(name, result.examples, max_tokens, n_tokens, "tokens")
    findings += _shared_texts(results)
    findings += _schemes(results)
    findings += _labels(results, counts, min_examples)
    if splits.is_dev_cut:
        message = f"dev was cut from train: every tenth example, {len(splits.dev.examples)} in all"
        findings.append(Finding("info", "dev cut from train", message, len(splits.dev.examples)))
    order = {"error": 0, "warning": 1, "info": 2}
    return Diagnosis(counts, tuple(sorted(findings, key=lambda finding: order[finding.level])))


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


def _shared_texts(results: dict[str, ReadResult]) -> Iterable[Finding]:
    names = list(results)
    golds = {
        name: {text_of(example): example for example in results[name].examples} for name in names
    }
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = [x for x in results[second].examples if text_of(x) in golds[first]]
            if not shared:
                continue
            torn = [x for x in shared if gold_of(golds[first][text_of(x)]) != gold_of(x)]
            message = (
                f"{several(len(shared), 'text')} of {second} "
                f"({percent(len(shared) / len(results[second].examples))}) also in {first}"
                + (f", {len(torn):,} of them with another gold" if torn else "")
                + "; scores on them measure memory"
            )
            what = "duplicates across splits"
            yield Finding("warning", what, message, len(shared), places_of(shared))


def _schemes(results: dict[str, ReadResult]) -> Iterable[Finding]:
    schemes = {name: result.scheme for name, result in results.items() if result.scheme}
    if len(set(schemes.values())) > 1:
        listed = ", ".join(f"{name} {scheme}" for name, scheme in schemes.items())
        message = f"the splits seem to use different tag schemes: {listed}; set it with scheme=..."
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
            yield Finding("warning", "labels unseen in train", message, len(new), places_of(where))
        if unseen := set(known) - set(counts[name].labels):
            message = f"{_names(unseen)} in train, but never in {name}: not measured there"
            yield Finding("info", f"labels unseen in {name}", message, len(unseen))
    if rare := {label for label, n in known.items() if n < min_examples}:
        listed = ", ".join(
            f"{label} {known[label]}" for label in sorted(rare, key=known.__getitem__)
        )
        where = [x for x in results["train"].examples if not rare.isdisjoint(labels_of(x))]
        message = f"{several(len(rare), 'label')} with fewer than {min_examples} in train: {listed}"
        yield Finding("warning", "rare labels", message, len(rare), places_of(where))
    spellings: dict[str, set[str]] = {}
    for label in chain.from_iterable(split.labels for split in counts.values()):
        spellings.setdefault(label.strip().casefold(), set()).add(label)
    for same in spellings.values():
        if len(same) > 1:
            message = f"{_names(same)} differ in nothing but case or white space: one label or two?"
            yield Finding("warning", "labels spelt alike", message, len(same))


def _names(labels: Iterable[str]) -> str:
    named = sorted(labels)
    return f"label{'' if len(named) == 1 else 's'} {', '.join(named)}"
