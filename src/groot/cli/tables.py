"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from groot.cli.console import harmless
from groot.cli.progress import clock
from groot.evaluation.comparison import CHOOSING_SPLIT, measured_on
from groot.recipes.plan import Plan

if TYPE_CHECKING:
    from groot.data.doctor import Diagnosis, SplitCounts

# The stages of results.json, in the order of the table.
STAGES = {
    "fit": "fitted",
    "fit_mbr": "fitted + MBR",
    "optimised": "optimised",
    "optimised_mbr": "optimised + MBR",
}
PAIRED = {
    "reward_rank_1": "reward at rank 1",
    "reward_top_k_mean": "mean reward of the top k",
    "metric": "metric",
    "f1": "F1",
}


def new_table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    return table


def number(value: float | None, *, digits: int = 3) -> str:
    """A number of a table; a missing one is a dash.

    >>> number(0.73251), number(None), number(12)
    ('0.733', '-', '12')
    """
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def interval(ends: Any) -> str:
    """A 95 % interval.

    >>> interval([0.65, 0.75])
    '0.650 to 0.750'
    """
    return f"{number(ends[0])} to {number(ends[1])}" if ends else "-"


def with_interval(value: float | None, ends: Any) -> str:
    """A number with its 95 % interval where there is one.

    >>> with_interval(0.7, [0.65, 0.75])
    '0.700 [0.650, 0.750]'
    """
    if value is None or not ends:
        return number(value)
    return f"{number(value)} [{number(ends[0])}, {number(ends[1])}]"


def results_table(results: Mapping[str, Any]) -> Table:
    """Before and after: one column per stage of results.json."""
    stages = [name for name in STAGES if name in results]
    columns = [results[name] for name in stages]
    k = results["k"]
    table = new_table(
        f"{measured_on(results['split'])}, reward {harmless(results['reward'])}",
        "",
        *(STAGES[name] for name in stages),
    )

    def add(title: str, *path: str | int, show: Callable[[Any], str] = number) -> None:
        """A row of what stands at a path in each column; none where it stands nowhere."""
        values = [_at(numbers, path) for numbers in columns]
        if any(value is not None for value in values):
            table.add_row(title, *map(show, values))

    for title, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
        add(title, name)
    add(columns[0].get("metric_name") or "metric", "metric")
    add("  95 % interval", "intervals", "metric", show=interval)
    add("exact", "exact")
    add("malformed", "malformed")
    for rank in range(k):
        add(f"reward at rank {rank + 1}", "reward", "by_rank", rank)
    add(f"  mean of the top {k}", "reward", "mean_top_k")
    add(f"  best of the top {k}", "reward", "oracle")
    add("calibration error", "calibration_error")
    add("  of chance", "calibration_error_of_chance", show=of_chance)
    if any(_at(numbers, ("duplicates", "texts")) for numbers in columns):
        add("texts that stand in train too", "duplicates", "texts")
        add("  F1 without them", "duplicates", "without", "f1")
        add("  reward at rank 1 without them", "duplicates", "without", "reward_rank_1")
    add("share proven", "proofs", show=_share_proven)
    return table


def of_chance(chance: Mapping[str, float] | None) -> str:
    """The calibration error that true probabilities have by accident: its mean and upper end.

    >>> of_chance({"mean": 0.0312, "high": 0.05})
    '0.031, up to 0.050'
    """
    return f"{number(chance['mean'])}, up to {number(chance['high'])}" if chance else "-"


def _share_proven(proofs: Mapping[str, Any] | None) -> str:
    return number(proofs["proven"] / proofs["texts"]) if proofs else "-"


def _at(numbers: Any, path: Sequence[str | int]) -> Any:
    """The value at a path of keys and places; None where the path ends early."""
    for step in path:
        try:
            numbers = numbers[step]
        except (KeyError, IndexError, TypeError):
            return None
    return numbers


def paired_table(results: Mapping[str, Any], *, title: str = "optimised - fitted") -> Table:
    """Differences with their intervals and p-values; without these of a set that chose weights."""
    is_tested = results.get("split") != CHOOSING_SPLIT
    note = "paired" if is_tested else f"on {measured_on(CHOOSING_SPLIT)}: not tested"
    columns = ("difference [95 %]", "p-value") if is_tested else ("difference",)
    table = new_table(f"{title}, {note}", "", *columns)
    for name, shown in PAIRED.items():
        paired = results["paired"].get(name)
        if paired is None or paired["difference"] is None:
            continue
        if is_tested:
            ends = [paired["low"], paired["high"]]
            p_value = number(paired["p_value"], digits=4)
            table.add_row(shown, with_interval(paired["difference"], ends), p_value)
        else:
            table.add_row(shown, number(paired["difference"]))
    return table


def measurement_tables(measured: Mapping[str, Any], *, title: str) -> list[Table]:
    """The tables of one measurement: all labels, each label, each rank."""
    intervals = measured.get("intervals", {})
    printed = [measured.get("scheme"), measured.get("mode")]
    scores = new_table(", ".join(harmless(word) for word in [title, *printed] if word), "", "value")
    for name in ("precision", "recall", "f1", "metric", "exact"):
        shown = measured.get("metric_name") if name == "metric" else name
        if name in measured and shown:
            scores.add_row(shown, with_interval(measured[name], intervals.get(name)))
    for name in ("calibration_error", "reciprocal_rank", "kendall_tau", "malformed"):
        if name in measured:
            scores.add_row(name.replace("_", " "), number(measured[name]))
        if name == "calibration_error":
            chance = of_chance(measured.get("calibration_error_of_chance"))
            scores.add_row("  of chance", chance)
    labels = new_table("by label", "label", "precision", "recall", "F1 [95 %]", "gold")
    for label, numbers in measured.get("per_label", {}).items():
        labels.add_row(
            Text(harmless(label)),
            number(numbers["precision"]),
            number(numbers["recall"]),
            with_interval(numbers["f1"], numbers.get("intervals", {}).get("f1")),
            number(numbers["gold"]),
        )
    ranks = new_table("reward by rank", "rank", "mean reward")
    for rank, value in enumerate(measured["reward"]["by_rank"], start=1):
        ranks.add_row(str(rank), number(value))
    ranks.add_row("mean of all", number(measured["reward"]["mean_top_k"]))
    ranks.add_row("best of all", number(measured["reward"]["oracle"]))
    return [scores, labels, ranks] if measured.get("per_label") else [scores, ranks]


def plan_table(plan: Plan) -> Table:
    """What a run would do and cost."""
    table = new_table("plan; nothing was written", "", "amount", "time")
    table.columns[1].justify, table.columns[1].no_wrap = "left", False
    for name, count in plan.examples.items():
        table.add_row(f"{name} examples", str(count), "")
    for name, fact in plan.facts.items():
        table.add_row(Text(harmless(name)), Text(harmless(fact)), "")
    for stage in plan.stages:
        about = "unknown" if stage.seconds is None else f"about {clock(stage.seconds)}"
        table.add_row(f"{stage.name}: {stage.note}", f"{stage.steps} steps at most", about)
    table.add_row("weights", f"{plan.parameters:,}", "")
    table.add_row("rewards to compute", f"{plan.reward_calls:,} at most", "")
    table.add_row("memory", f"about {mebibytes(plan.memory_bytes)}", "")
    table.add_row("disk", f"about {mebibytes(plan.disk_bytes)}", "")
    total = "unknown" if plan.seconds is None else f"about {clock(plan.seconds)}"
    table.add_row("all", "", total)
    return table


def mebibytes(count: int) -> str:
    """Bytes in MiB.

    >>> mebibytes(5_000_000)
    '4.8 MiB'
    """
    return f"{count / 2**20:,.1f} MiB"


def diagnosis_tables(diagnosis: Diagnosis, *, shown_places: int) -> list[Table]:
    """What doctor found: each split, each label, each finding with its first places."""
    splits = diagnosis.splits
    rows = new_table("splits", "", *splits)
    shown: dict[str, Callable[[SplitCounts], str]] = {
        "rows": lambda split: str(split.rows),
        "cannot be used": lambda split: str(split.rows - split.examples),
        "tag scheme": lambda split: split.scheme or "-",
        "gold spans": lambda split: str(split.gold),
        "out of the model's reach": lambda split: str(sum(split.lost.counts.values())),
        "words: shortest": lambda split: number(split.n_words["min"], digits=0),
        "words: median": lambda split: number(split.n_words["median"], digits=0),
        "words: longest": lambda split: number(split.n_words["max"], digits=0),
    }
    for title, value in shown.items():
        rows.add_row(title, *(value(split) for split in splits.values()))
    labels = new_table("labels", "label", *splits)
    for label in dict.fromkeys(label for split in splits.values() for label in split.labels):
        counts = (str(split.labels.get(label, 0)) for split in splits.values())
        labels.add_row(Text(harmless(label)), *counts)
    findings = Table(title="findings", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("level", "what", "where"):
        findings.add_column(column, overflow="fold")
    for finding in diagnosis.findings:
        places = [
            *finding.examples[:shown_places],
            *(["..."] if finding.examples[shown_places:] else []),
        ]
        findings.add_row(
            finding.level, Text(harmless(finding.message)), Text(harmless("\n".join(places)))
        )
    return [rows, labels, findings] if diagnosis.findings else [rows, labels]
