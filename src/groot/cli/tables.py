"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from groot.cli.console import harmless
from groot.cli.progress import clock
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
    found = [results[name] for name in stages]
    k = results["k"]
    table = new_table(
        f"{results['split']}, reward {harmless(results['reward'])}",
        "",
        *(STAGES[name] for name in stages),
    )

    def add(title: str, value: Callable[[Mapping[str, Any]], str]) -> None:
        table.add_row(title, *(value(one) for one in found))

    add("precision", lambda one: number(one["precision"]))
    add("recall", lambda one: number(one["recall"]))
    add("F1", lambda one: number(one["f1"]))
    if any(one.get("metric") is not None for one in found):
        add(found[0].get("metric_name") or "metric", lambda one: number(one.get("metric")))
        add("  95 % interval", lambda one: interval(one.get("intervals", {}).get("metric")))
    add("exact", lambda one: number(one["exact"]))
    add("malformed", lambda one: number(one["malformed"]))
    for rank, values in enumerate(zip(*(one["reward"]["by_rank"] for one in found), strict=True)):
        table.add_row(f"reward at rank {rank + 1}", *map(number, values))
    add(f"  mean of the top {k}", lambda one: number(one["reward"]["mean_top_k"]))
    add(f"  best of the top {k}", lambda one: number(one["reward"]["oracle"]))
    add("calibration error", lambda one: number(one["calibration_error"]))
    if all(one.get("proofs") for one in found):
        add("share proven", lambda one: number(one["proofs"]["proven"] / one["proofs"]["texts"]))
    return table


def paired_table(results: Mapping[str, Any], *, title: str = "optimised - fitted") -> Table:
    """Differences with their intervals and p-values."""
    table = new_table(f"{title}, paired", "", "difference [95 %]", "p-value")
    for name, shown in PAIRED.items():
        found = results["paired"].get(name)
        if found is None or found["difference"] is None:
            continue
        table.add_row(
            shown,
            with_interval(found["difference"], [found["low"], found["high"]]),
            number(found["p_value"], digits=4),
        )
    return table


def measurement_tables(found: Mapping[str, Any], *, title: str) -> list[Table]:
    """The tables of one M: all labels, each label, each rank."""
    intervals = found.get("intervals", {})
    printed = [found.get("scheme"), found.get("mode")]
    scores = new_table(", ".join(harmless(word) for word in [title, *printed] if word), "", "value")
    for name in ("precision", "recall", "f1", "metric", "exact"):
        if name in found:
            shown = found.get("metric_name") if name == "metric" else name
            if shown:
                scores.add_row(shown, with_interval(found[name], intervals.get(name)))
    for name in ("calibration_error", "reciprocal_rank", "kendall_tau", "malformed"):
        if name in found:
            scores.add_row(name.replace("_", " "), number(found[name]))
    labels = new_table("by label", "label", "precision", "recall", "F1 [95 %]", "gold")
    for label, one in found.get("per_label", {}).items():
        labels.add_row(
            Text(harmless(label)),
            number(one["precision"]),
            number(one["recall"]),
            with_interval(one["f1"], one.get("intervals", {}).get("f1")),
            number(one["gold"]),
        )
    ranks = new_table("reward by rank", "rank", "mean reward")
    for rank, value in enumerate(found["reward"]["by_rank"], start=1):
        ranks.add_row(str(rank), number(value))
    ranks.add_row("mean of all", number(found["reward"]["mean_top_k"]))
    ranks.add_row("best of all", number(found["reward"]["oracle"]))
    return [scores, labels, ranks] if found.get("per_label") else [scores, ranks]


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


def diagnosis_tables(found: Diagnosis, *, shown_places: int) -> list[Table]:
    """What doctor found: each split, each label, each finding with its first places."""
    splits = found.splits
    rows = new_table("splits", "", *splits)
    shown: dict[str, Callable[[SplitCounts], str]] = {
        "rows": lambda one: str(one.rows),
        "cannot be used": lambda one: str(one.rows - one.examples),
        "tag scheme": lambda one: one.scheme or "-",
        "gold spans": lambda one: str(one.gold),
        "out of the model's reach": lambda one: str(sum(one.lost.counts.values())),
        "words: shortest": lambda one: number(one.n_words["min"], digits=0),
        "words: median": lambda one: number(one.n_words["median"], digits=0),
        "words: longest": lambda one: number(one.n_words["max"], digits=0),
    }
    for title, value in shown.items():
        rows.add_row(title, *(value(one) for one in splits.values()))
    labels = new_table("labels", "label", *splits)
    for label in dict.fromkeys(label for one in splits.values() for label in one.labels):
        counts = (str(one.labels.get(label, 0)) for one in splits.values())
        labels.add_row(Text(harmless(label)), *counts)
    findings = Table(title="findings", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("level", "what", "where"):
        findings.add_column(column, overflow="fold")
    for one in found.findings:
        places = [*one.examples[:shown_places], *(["..."] if one.examples[shown_places:] else [])]
        findings.add_row(one.level, Text(harmless(one.message)), Text(harmless("\n".join(places))))
    return [rows, labels, findings] if found.findings else [rows, labels]
