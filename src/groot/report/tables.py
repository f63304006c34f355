"""The tables of the report as plain rows: what a template needs, nothing computed in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groot.evaluation.comparison import CHOOSING_SPLIT
from groot.evaluation.errors import class_confusion, confusion, count_kinds, match_spans
from groot.report.inputs import Run, Stage
from groot.report.marks import WORDS

SIGNIFICANT = 0.05
UNDEFINED = "—"


def number(value: float | None, places: int = 3) -> str:
    """A number as a table prints it; undefined is a dash.

    >>> number(0.73456), number(None), number(12)
    ('0.735', '—', '12')
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{value}" if isinstance(value, int) else f"{value:.{places}f}"


def signed(value: float | None, places: int = 3) -> str:
    """A difference with its sign.

    >>> signed(0.012), signed(-0.012), signed(0.0001)
    ('+0.012', '−0.012', '±0.000')
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    sign = "±" if round(value, places) == 0 else "+" if value > 0 else "−"
    return f"{sign}{abs(value):.{places}f}"


def interval(ends: Sequence[float] | None) -> str:
    """Both ends; "" where there is no interval.

    >>> interval([0.71, 0.7561]), interval(None)
    ('0.710 to 0.756', '')
    """
    return "" if not ends else f"{number(float(ends[0]))} to {number(float(ends[1]))}"


def p_value(value: float | None) -> str:
    """A p-value with as many digits as mean something.

    >>> p_value(0.0002), p_value(0.0314), p_value(None)
    ('p < 0.001', 'p = 0.031', 'p undefined')
    """
    if value is None:
        return "p undefined"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def duration(seconds: float | None) -> str:
    """How long, for a person.

    >>> duration(42), duration(754), duration(None)
    ('42 s', '13 min', '—')
    """
    if seconds is None:
        return UNDEFINED
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True)
class Change:
    """One number before and after, with its paired test."""

    name: str
    before: float | None
    after: float | None
    difference: float | None
    ends: tuple[float, float] | None
    p: float | None
    is_tested: bool = True

    @property
    def verdict(self) -> str:
        """rose, fell, no clear change; or not tested, on a set that chose the weights."""
        if not self.is_tested:
            return "not tested"
        if self.p is None or self.difference is None or self.p >= SIGNIFICANT:
            return "no clear change"
        return "rose" if self.difference > 0 else "fell"


def changes(run: Run, *, with_mbr: bool = False) -> list[Change]:
    """Optimised against fitted, for each number that was tested.

    Args:
        with_mbr: compare the two with MBR on both sides, where the run has tested that.
    """
    paired = run.results.get("paired_mbr" if with_mbr else "paired") or {}
    before = run.stages.get("fit_mbr") if with_mbr else run.before
    after = run.stages.get("optimised_mbr") if with_mbr else run.after
    if before is None or after is None:
        return []
    metric = after.numbers.get("metric_name") or "metric"
    k = run.results.get("k", "k")
    names = {
        "metric": _capital(metric),
        "reward_rank_1": "Reward at rank 1",
        "reward_top_k_mean": f"Mean reward of the top {k}",
        "f1": "F1",
    }
    is_tested = run.results.get("split") != CHOOSING_SPLIT
    shown = []
    for key, name in names.items():
        difference = paired.get(key) or {}
        if difference.get("difference") is None:
            continue
        low, high = difference.get("low"), difference.get("high")
        ends = None if low is None or high is None else (float(low), float(high))
        shown.append(
            Change(
                name,
                _paired_value(before, key),
                _paired_value(after, key),
                difference["difference"],
                ends if is_tested else None,
                difference.get("p_value") if is_tested else None,
                is_tested,
            )
        )
    if metric == "micro F1":  # the same number twice
        shown = [change for change in shown if change.name != "F1"]
    return shown


def _paired_value(stage: Stage, key: str) -> float | None:
    reward = stage.numbers.get("reward") or {}
    by_rank = reward.get("by_rank") or [None]
    return {
        "reward_rank_1": by_rank[0],
        "reward_top_k_mean": reward.get("mean_top_k"),
        "metric": stage.numbers.get("metric"),
        "f1": stage.numbers.get("f1"),
    }[key]


@dataclass(frozen=True)
class Cell:
    """A number with its interval; `is_best` where no other column of its row is better."""

    value: float | None
    ends: Sequence[float] | None = None
    is_best: bool = False


@dataclass(frozen=True)
class HeadlineRow:
    """A row of the before/after table."""

    name: str
    cells: Sequence[Cell]
    note: str = ""


def headline(run: Run) -> list[HeadlineRow]:
    """The numbers of every stage. Numbers that no stage has are left out."""
    stages = list(run.stages.values())
    k = run.results.get("k", "k")
    metric = next((stage.numbers.get("metric_name") for stage in stages), None) or "metric"
    wanted: list[tuple[str, tuple[str, ...], str]] = [
        ("Reward at rank 1", ("reward", "by_rank", "0"), ""),
        (f"Mean reward of the top {k}", ("reward", "mean_top_k"), ""),
        (f"Oracle at {k}", ("reward", "oracle"), f"best reward among the top {k}"),
        (_capital(metric), ("metric",), "the reward over the whole set"),
        ("Precision", ("precision",), ""),
        ("Recall", ("recall",), ""),
        ("F1", ("f1",), ""),
        ("Macro F1", ("macro", "f1"), "mean over labels"),
        ("Exact match", ("exact",), "share of texts with no error"),
        ("Malformed", ("malformed",), "rank 1 outputs that say nothing legal"),
        ("Reciprocal rank of the best", ("reciprocal_rank",), ""),
        ("Kendall’s tau", ("kendall_tau",), "order by model against order by reward"),
        ("Calibration error", ("calibration_error",), "lower is better"),
        (
            "Calibration error of chance",
            ("calibration_error_of_chance", "high"),
            "above it are true probabilities in 5 of 100 data sets",
        ),
    ]
    lower_is_better = {"malformed", "calibration_error"}
    rows = []
    for name, path, note in wanted:
        values = [_at(stage.numbers, path) for stage in stages]
        if all(value is None for value in values) or (metric == "micro F1" and name == "F1"):
            continue
        there = [value for value in values if value is not None]
        best = min(there) if path[0] in lower_is_better else max(there)
        is_told = len(there) > 1 and min(there) < max(there) and path[-1] != "high"
        cells = [
            Cell(value, _at(stage.numbers.get("intervals", {}), path), is_told and value == best)
            for stage, value in zip(stages, values, strict=True)
        ]
        rows.append(HeadlineRow(name, cells, note))
    return rows


def duplicates(run: Run) -> dict[str, Any] | None:
    """The numbers of the last stage without texts that training has seen; None without any."""
    counted: dict[str, Any] | None = run.last.numbers.get("duplicates")
    return counted if counted and counted["texts"] else None


def _at(numbers: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path of keys and list places; None where the path ends early."""
    value: Any = numbers
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


@dataclass(frozen=True)
class LabelRow:
    """One label: how often it is gold, and its numbers at the first and the last stage."""

    label: str
    gold: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]

    @property
    def change(self) -> float | None:
        """Of F1; None where there is one stage only, or F1 is undefined."""
        old = self.before.get("f1") if self.before else None
        new = self.after.get("f1")
        return None if old is None or new is None else new - old


def per_label(run: Run) -> list[LabelRow]:
    """Labels by how often they are gold, the most frequent first."""
    after = run.last.numbers.get("per_label") or {}
    before = run.before.numbers.get("per_label") or {} if run.before and run.after else {}
    nothing = {"gold": 0, "predicted": 0, "right": 0}
    rows = [
        LabelRow(
            label,
            (after.get(label) or before.get(label) or nothing)["gold"],
            before.get(label, nothing) if before else None,
            after.get(label, nothing),
        )
        for label in {*after, *before}
    ]
    return sorted(rows, key=lambda row: (-row.gold, row.label))


def error_kinds(run: Run) -> list[tuple[str, list[int]]]:
    """How many rank 1 spans are right or wrong in which way, for each stage with records."""
    columns = [
        count_kinds(
            match
            for example, ranked in zip(stage.examples, stage.candidates, strict=True)
            if example.spans is not None
            for match in match_spans(example.spans, ranked[0].spans if ranked else None)
        )
        for stage in stages_with_records(run)
        if stage.measurement is not None and stage.measurement.task == "spans"
    ]
    if not columns:
        return []
    return [(WORDS[kind], [column[kind] for column in columns]) for kind in columns[0]]


def stages_with_records(run: Run) -> list[Stage]:
    """The stages that can be looked into example by example."""
    return [stage for stage in run.stages.values() if stage.measurement is not None]


def confusion_of(stage: Stage | None) -> dict[tuple[str, str], int]:
    """The confusion of rank 1, of spans or of classes; empty for a text or without records."""
    cells: Counter[tuple[str, str]] = Counter()
    if stage is None or stage.measurement is None:
        return {}
    for example, ranked in zip(stage.examples, stage.candidates, strict=True):
        first = ranked[0] if ranked else None
        if stage.measurement.task == "spans" and example.spans is not None:
            cells.update(confusion(match_spans(example.spans, first.spans if first else None)))
        elif stage.measurement.task == "classes" and example.classes is not None:
            cells.update(class_confusion(example.classes, first.classes if first else None))
    return dict(cells)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
