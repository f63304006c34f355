"""The report of a reward model: accuracy of pairs by length, and whether its chances hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from groot.report.guides import Drawn
from groot.report.svg import AFTER, BEFORE, MUTED, drawing

RESULTS_FILE = "results.json"
SIDES = (("held_out", "held out", AFTER, "D"), ("train", "train", BEFORE, "o"))
Points = Iterable[tuple[float | None, float | None]]  # x and y, None where undefined


def read_reward_model(folder: Path) -> Mapping[str, Any] | None:
    """The results of groot reward-model in a folder; None where they are of something else."""
    path = folder / RESULTS_FILE
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # who wants the results of a run says what is wrong with them
        return None
    wanted = ("kind", "pairs", "train", "held_out")
    is_one = isinstance(results, dict) and all(name in results for name in wanted)
    return results if is_one and "by_tenth" in results["held_out"] else None


def reward_model_plots(results: Mapping[str, Any]) -> list[Drawn]:
    """Both plots of the page."""
    return [accuracy_by_length(results), reliability_of_pairs(results)]


def accuracy_by_length(results: Mapping[str, Any]) -> Drawn:
    """The share of pairs in the right order at each tenth of the length."""
    with drawing("accuracy-by-length") as plot:
        _plot_sides(plot.axes, results, _accuracies)
        plot.axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
        plot.axes.set(
            xlabel="share of the longer output",
            ylabel="pairs in the right order",
            xlim=(0, 1.03),
            ylim=(0, 1.03),
        )
        plot.axes.legend(loc="lower right")
    return (
        "accuracy-by-length",
        plot.svg,
        "Accuracy by length",
        "Share of pairs whose better output has the higher reward, read up to a tenth of the length"
        " of the longer one; pairs that do not differ there yet are left out. On the dotted line"
        " the reward says nothing.",
    )


def reliability_of_pairs(results: Mapping[str, Any]) -> Drawn:
    """The chance to win that rewards promise against the share that won."""
    with drawing("reliability-pairs") as plot:
        plot.axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
        _plot_sides(plot.axes, results, _shares_won)
        plot.axes.set(
            xlabel="sigmoid of the difference in reward",
            ylabel="share that won",
            xlim=(0, 1),
            ylim=(0, 1.03),
        )
        plot.axes.legend(loc="upper left")
    return (
        "reliability-pairs",
        plot.svg,
        "Calibration",
        "The chance to win that the rewards of whole outputs promise, against the share that won,"
        " each pair seen from both sides.",
    )


def _plot_sides(
    axes: Axes, results: Mapping[str, Any], points_of: Callable[[Mapping[str, Any]], Points]
) -> None:
    """A line for each side of the pairs, through those of its points that are defined."""
    for side, name, colour, marker in SIDES:
        points = [(x, y) for x, y in points_of(results[side]) if x is not None and y is not None]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, color=colour, marker=marker, label=name)


def _accuracies(side: Mapping[str, Any]) -> Points:
    """The share of the longer output that is read, and the accuracy there."""
    return ((row["share"], row["accuracy"]) for row in side["by_tenth"])


def _shares_won(side: Mapping[str, Any]) -> Points:
    """The chance to win that the rewards promise, and the share that won."""
    curve = side["calibration"]
    return zip(curve["probability"], curve["share_won"], strict=True)
