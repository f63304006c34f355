"""The report of a reward model: accuracy of pairs by length, and whether its chances hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groot.report.guides import Drawn
from groot.report.svg import AFTER, BEFORE, MUTED, drawing

RESULTS_FILE = "results.json"
SIDES = (("held_out", "held out", AFTER, "D"), ("train", "train", BEFORE, "o"))


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
        for side, name, colour, marker in SIDES:
            rows = [row for row in results[side]["by_tenth"] if row["accuracy"] is not None]
            shares = [row["share"] for row in rows]
            right = [row["accuracy"] for row in rows]
            plot.axes.plot(shares, right, color=colour, marker=marker, label=name)
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
        for side, name, colour, marker in SIDES:
            curve = results[side]["calibration"]
            there = [
                (chance, won)
                for chance, won in zip(curve["probability"], curve["share_won"], strict=True)
                if chance is not None and won is not None
            ]
            plot.axes.plot(
                [chance for chance, _ in there],
                [won for _, won in there],
                color=colour,
                marker=marker,
                label=name,
            )
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
