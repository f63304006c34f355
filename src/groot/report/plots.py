"""The plots of the report. Each returns inline SVG, or "" where there is nothing to draw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from groot.evaluation import calibration
from groot.evaluation.errors import NONE
from groot.report.inputs import Stage
from groot.report.svg import AFTER, BEFORE, GRID, INK, MUTED, PAPER, WRONG, drawing

# Before and after differ in colour and marker, MBR in the dashes: readable in grey too.
LOOKS: dict[str, dict[str, Any]] = {
    "fit": {"color": BEFORE, "marker": "o"},
    "fit_mbr": {"color": BEFORE, "marker": "o", "linestyle": (0, (3, 2)), "markerfacecolor": PAPER},
    "optimised": {"color": AFTER, "marker": "D"},
    "optimised_mbr": {
        "color": AFTER,
        "marker": "D",
        "linestyle": (0, (3, 2)),
        "markerfacecolor": PAPER,
    },
}
MOST_LABELS = 18  # in the confusion; the rest is drawn as one
MOST_POINTS = 240  # of a learning curve
LONGEST_LABEL = 28
OTHER = "(other labels)"


def reward_by_rank(stages: Sequence[Stage]) -> str:
    """Mean reward at each rank, with 95 % intervals for the stages without MBR."""
    drawn = [(stage, stage.numbers.get("reward", {}).get("by_rank") or []) for stage in stages]
    if not any(value is not None for _, values in drawn for value in values):
        return ""
    with drawing("rank") as plot:
        for stage, values in drawn:
            ranks = [rank for rank, value in enumerate(values, 1) if value is not None]
            means = [value for value in values if value is not None]
            ends = stage.numbers.get("intervals", {}).get("reward", {}).get("by_rank") or []
            if "mbr" not in stage.key:
                whole = [(rank, ends[rank - 1]) for rank in ranks if rank <= len(ends)]
                shown = [(rank, *pair) for rank, pair in whole if pair]
                if shown:
                    at, low, high = zip(*shown, strict=True)
                    plot.axes.vlines(at, low, high, color=LOOKS[stage.key]["color"], linewidth=1)
            plot.axes.plot(ranks, means, label=stage.name, **LOOKS[stage.key])
        plot.axes.set_xlabel("rank")
        plot.axes.set_ylabel("mean reward")
        plot.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plot.axes.legend()
    return plot.svg


def precision_recall(stages: Sequence[Stage]) -> str:
    """Precision against recall as spans below a probability are dropped; rank 1 as a point."""
    curves = [(stage, _curve_of(stage)) for stage in stages if "mbr" not in stage.key]
    if not any(curve.precision for _, curve in curves):
        return ""
    points = [
        (recall, precision)
        for stage, _ in curves
        if (recall := stage.numbers.get("recall")) is not None
        and (precision := stage.numbers.get("precision")) is not None
    ] or [(1.0, 1.0)]
    # The part around what is predicted: below it the curves only fall.
    left = max(0.0, math.floor(10 * min(recall for recall, _ in points) - 3.5) / 10)
    low = max(0.0, math.floor(10 * min(precision for _, precision in points) - 2.5) / 10)
    with drawing("pr") as plot:
        for stage, curve in curves:
            look = {**LOOKS[stage.key], "marker": ""}
            plot.axes.plot(curve.recall, curve.precision, label=stage.name, **look)
        for (stage, _), point in zip(curves, points, strict=False):
            plot.axes.plot(*point, **{**LOOKS[stage.key], "linestyle": ""}, markersize=7)
        plot.axes.set(xlabel="recall", ylabel="precision", xlim=(left, 1.01), ylim=(low, 1.01))
        plot.axes.grid(False)
        _iso_f1(plot.axes, left)
        plot.axes.legend(loc="lower left")
    return plot.svg


def _curve_of(stage: Stage) -> calibration.PrecisionRecallCurve:
    measured = stage.measurement
    if measured is None:
        return calibration.PrecisionRecallCurve([], [], [])
    n_gold = int(measured.counts[..., [0, 2]].sum())
    return calibration.precision_recall(measured.items[:, 0], measured.items[:, 1], n_gold=n_gold)


def _iso_f1(axes: Axes, left: float) -> None:
    """Faint lines of equal F1, named where they leave the plot at the top."""
    for f1 in (0.5, 0.6, 0.7, 0.8, 0.9):
        top = f1 / (2 - f1)  # recall at precision 1
        recall = np.linspace(top, 1.0, 80)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color=GRID, linewidth=0.9, zorder=0)
        if top >= left:
            axes.annotate(
                f"F1 {f1:g}",
                (top, 1.01),
                xytext=(0, 2),
                textcoords="offset points",
                color=MUTED,
                fontsize=7,
                ha="center",
                va="bottom",
            )


def reliability(stages: Sequence[Stage], *, of: str) -> str:
    """Share right against probability, of whole rank 1 candidates or of single spans."""
    curves = []
    for stage in stages:
        measured = stage.measurement
        if measured is None or "mbr" in stage.key:
            continue
        if of == "candidates":
            there = ~np.isnan(measured.probability) & ~np.isnan(measured.exact)
            p, right = measured.probability[there], measured.exact[there]
        else:
            p, right = measured.items[:, 0], measured.items[:, 1]
        curve = calibration.reliability_curve(p, right)
        if curve.probability:
            curves.append((stage, curve))
    if not curves:
        return ""
    with drawing(f"reliability-{of}") as plot:
        plot.axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for stage, curve in curves:
            total = sum(curve.n_in_bin)
            sizes = [8 + 110 * size / total for size in curve.n_in_bin]
            look = {**LOOKS[stage.key], "marker": ""}
            plot.axes.plot(curve.probability, curve.share_right, label=stage.name, **look)
            plot.axes.scatter(
                curve.probability,
                curve.share_right,
                s=sizes,
                color=look["color"],
                marker=LOOKS[stage.key]["marker"],
            )
        plot.axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        plot.axes.set(xlabel="probability", ylabel="share right")
        plot.axes.legend(loc="upper left")
    return plot.svg


def learning_curve(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    *,
    label: str,
    along: str = "step",
) -> str:
    """Logged numbers against the step; dense curves are thinned to their running means."""
    lines = [(key, *_points(rows, key)) for key in keys]
    lines = [line for line in lines if len(line[1]) > 1]
    if not lines:
        return ""
    looks: list[dict[str, Any]] = [
        {"color": AFTER, "marker": "D"},
        {"color": BEFORE, "marker": "o"},
        {"color": WRONG, "marker": "s"},
        {"color": INK, "marker": "^"},
    ]
    with drawing(name, width=3.5, height=2.6) as plot:
        for (key, steps, values), look in zip(lines, looks, strict=False):
            steps, values, is_thinned = _thinned(steps, values)
            marker = "" if is_thinned or len(steps) > 30 else look["marker"]
            plot.axes.plot(
                steps,
                values,
                label=_short(key.removeprefix("eval_")),
                color=look["color"],
                marker=marker,
            )
        plot.axes.set(xlabel=along, ylabel=label)
        plot.axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if len(lines) > 1:
            plot.axes.legend()
    return plot.svg


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    pairs = [(row.get("step"), row.get(key)) for row in rows]
    there = [(step, value) for step, value in pairs if _is_number(step) and _is_number(value)]
    return [step for step, _ in there], [value for _, value in there]  # type: ignore[misc]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _thinned(
    steps: Sequence[float], values: Sequence[float]
) -> tuple[list[float], list[float], bool]:
    """Means of runs of neighbours, at most MOST_POINTS of them."""
    size = math.ceil(len(steps) / MOST_POINTS)
    if size == 1:
        return list(steps), list(values), False
    starts = range(0, len(steps), size)
    mean = [float(np.mean(values[start : start + size])) for start in starts]
    return [float(np.mean(steps[start : start + size])) for start in starts], mean, True


def confusion(cells: Mapping[tuple[str, str], int], *, name: str) -> str:
    """Gold labels by predicted ones; shade is the share of the row, numbers are counts."""
    if not cells:
        return ""
    cells, labels = _most_confused(cells)
    rows = [label for label in labels if any((label, other) in cells for other in labels)]
    columns = [label for label in labels if any((other, label) in cells for other in labels)]
    totals: Counter[str] = Counter()
    for (gold, _), count in cells.items():
        totals[gold] += count
    names = {label: _short(label) for label in labels}
    longest = max(map(len, names.values()))
    height = 0.7 + 0.05 * longest + 0.27 * len(rows)
    width = 0.7 + 0.085 * longest + 0.42 * len(columns)
    with drawing(name, width=width, height=height, rem_at_least=5 * width) as plot:
        for (gold, predicted), count in cells.items():
            x, y = columns.index(predicted), rows.index(gold)
            share = count / totals[gold]
            colour = AFTER if gold == predicted else WRONG
            box = Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, color=colour, linewidth=0)
            box.set_alpha(0.08 + 0.67 * math.sqrt(share))
            plot.axes.add_patch(box)
            plot.axes.text(x, y, str(count), ha="center", va="center", fontsize=7.5)
        plot.axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        plot.axes.set_xticks(
            range(len(columns)),
            [names[label] for label in columns],
            rotation=45,
            ha="right",
            color=INK,
        )
        plot.axes.set_yticks(range(len(rows)), [names[label] for label in rows], color=INK)
        plot.axes.set(xlabel="predicted", ylabel="gold")
        plot.axes.grid(False)
        plot.axes.spines[:].set_visible(False)
    return plot.svg


def _short(label: str) -> str:
    """A label that fits beside a plot, on one line."""
    line = " ".join(label.split())
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"


def _most_confused(
    cells: Mapping[tuple[str, str], int],
) -> tuple[dict[tuple[str, str], int], list[str]]:
    """The labels with most errors; the others are added up under OTHER. "none" comes last."""
    wrong: Counter[str] = Counter()
    for (gold, predicted), count in cells.items():
        for label in {gold, predicted} - {NONE}:
            wrong[label] += count if gold != predicted else 0
    kept = sorted(label for label, _ in wrong.most_common(MOST_LABELS))

    def shown(label: str) -> str:
        return label if label == NONE or label in kept else OTHER

    merged: Counter[tuple[str, str]] = Counter()
    for (gold, predicted), count in cells.items():
        merged[shown(gold), shown(predicted)] += count
    return dict(merged), [*kept, *([OTHER] if len(wrong) > len(kept) else []), NONE]
