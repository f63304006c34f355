"""The sections of the report on guides: the table of compare-guides, the answers of diagnose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.errors import DataError
from groot.report.svg import AFTER, BEFORE, MUTED, WRONG, drawing

GUIDES_FILE = "guides.json"
DIAGNOSIS_FILE = "diagnosis.json"
# (name, SVG, title, caption), as the page's figures are made of
Drawn = tuple[str, str, str, str]
COLOURS = (AFTER, BEFORE, WRONG, MUTED)
MARKERS = ("D", "o", "s", "^")


@dataclass(frozen=True)
class GuideSections:
    """What a folder holds on guides; None for what it does not."""

    compared: Mapping[str, Any] | None = None
    diagnosis: Mapping[str, Any] | None = None
    plots: Sequence[Drawn] = field(default_factory=tuple)

    def __bool__(self) -> bool:
        return self.compared is not None or self.diagnosis is not None


def read_guides(folder: Path) -> GuideSections:
    """The results of compare-guides and diagnose in a folder.

    Raises:
        DataError: if a file is broken.
    """
    compared = _read(folder / GUIDES_FILE, ("rows", "titles", "claims", "examples"))
    diagnosis = _read(folder / DIAGNOSIS_FILE, ("continuations", "order", "spread", "ranks"))
    drawn = [] if compared is None else [reward_by_guide(compared)]
    if diagnosis is not None:
        drawn += [
            better_continuations(diagnosis),
            continuation_rewards(diagnosis),
            order_by_cut(diagnosis),
            increments(diagnosis),
        ]
    return GuideSections(compared, diagnosis, tuple(drawn))


def _read(path: Path, wanted: Sequence[str]) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}). Run the command again.") from error
    missing = [name for name in wanted if not isinstance(stored, dict) or name not in stored]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is not in it. Run the command again.")
    return dict(stored)


def reward_by_guide(compared: Mapping[str, Any]) -> Drawn:
    """Mean gold reward of each row with its interval."""
    rows = [(name, row) for name, row in compared["rows"].items() if row["reward"] is not None]
    svg = ""
    if rows:
        with drawing("guides", height=0.9 + 0.26 * len(rows)) as plot:
            for place, (_, row) in enumerate(reversed(rows)):
                ends = row["intervals"].get("reward")
                if ends:
                    plot.axes.hlines(place, *ends, color=AFTER, linewidth=1.6)
                plot.axes.plot([row["reward"]], [place], "D", color=AFTER)
            names = [compared["titles"][name] for name, _ in reversed(rows)]
            plot.axes.set_yticks(range(len(rows)), names)
            base = compared["rows"].get(compared["baseline"] or "")
            if base and base["reward"] is not None:
                plot.axes.axvline(base["reward"], color=MUTED, linewidth=0.8, linestyle=":")
            plot.axes.set_xlabel("mean gold reward")
        svg = plot.svg
    caption = "Points: mean over prompts; bars: 95 % intervals over prompts; dotted: the baseline."
    return ("guides", svg, "Gold reward", caption)


def better_continuations(diagnosis: Mapping[str, Any]) -> Drawn:
    """How often the winner's prefix has the better continuation, at each share of the length."""
    rows = diagnosis["continuations"]
    with drawing("continuations") as plot:
        for name, colour, marker in (("mean", AFTER, "D"), ("best", BEFORE, "o")):
            cuts = [row["cut"] for row in rows]
            _bars(plot.axes, [(row["cut"], row[name]["better_interval"]) for row in rows], colour)
            values = [row[name]["better"] for row in rows]
            plot.axes.plot(cuts, values, color=colour, marker=marker, label=f"{name} continuation")
        plot.axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
        plot.axes.set(
            xlabel="share of the text", ylabel="winner’s prefix is better", ylim=(0, 1.03)
        )
        plot.axes.legend(loc="lower right")
    return (
        "continuations",
        plot.svg,
        "Does the winner’s prefix go on better?",
        f"Share of {diagnosis['n_pairs']} pairs whose winner’s prefix has the better mean, or the "
        f"better best, of {diagnosis['rollouts']} rollouts; ties count one half. On the dotted "
        "line a prefix says nothing.",
    )


def continuation_rewards(diagnosis: Mapping[str, Any]) -> Drawn:
    """Mean reward of the continuations of winners and losers."""
    rows = diagnosis["continuations"]
    cuts = [row["cut"] for row in rows]
    with drawing("continuation-rewards") as plot:
        for side, colour, marker in (("winner", AFTER, "D"), ("loser", BEFORE, "o")):
            values = [row["mean"][side] for row in rows]
            plot.axes.plot(cuts, values, color=colour, marker=marker, label=side)
        plot.axes.set(xlabel="share of the text", ylabel="mean reward of the rollouts")
        plot.axes.legend()
    return (
        "continuation-rewards",
        plot.svg,
        "Where is the reward decided?",
        "Mean reward of rollouts from the prefixes of winners and of losers. Where the lines part, "
        "the reward is decided.",
    )


def order_by_cut(diagnosis: Mapping[str, Any]) -> Drawn:
    """How often each reward model orders the prefixes of a pair right."""
    svg = ""
    if diagnosis["order"]:
        with drawing("order") as plot:
            for place, (name, order) in enumerate(diagnosis["order"].items()):
                colour, marker = COLOURS[place % 4], MARKERS[place % 4]
                _bars(plot.axes, [(row["cut"], row["interval"]) for row in order["by_cut"]], colour)
                plot.axes.plot(
                    [row["cut"] for row in order["by_cut"]],
                    [row["right"] for row in order["by_cut"]],
                    color=colour,
                    marker=marker,
                    label=name,
                )
            plot.axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
            plot.axes.set(xlabel="share of the text", ylabel="pairs in the right order")
            plot.axes.legend(loc="lower right")
        svg = plot.svg
    caption = (
        "Share of pairs whose winner’s prefix gets the higher reward of the model, prefixes of "
        "equal numbers of tokens. Below the dotted line a model misleads."
    )
    return ("order", svg, "Do reward models order prefixes?", caption)


def increments(diagnosis: Mapping[str, Any]) -> Drawn:
    """Where along a text the reward of each model moves."""
    known = {name: spread for name, spread in diagnosis["spread"].items() if spread["by_tenth"]}
    svg = ""
    if known:
        with drawing("increments") as plot:
            cuts = [(tenth + 0.5) / 10 for tenth in range(10)]
            for place, (name, spread) in enumerate(known.items()):
                colour, marker = COLOURS[place % 4], MARKERS[place % 4]
                plot.axes.plot(cuts, spread["by_tenth"], color=colour, marker=marker, label=name)
            plot.axes.axhline(0.1, color=MUTED, linewidth=0.8, linestyle=":")
            plot.axes.set(xlabel="share of the text", ylabel="share of the change in reward")
            plot.axes.set_ylim(bottom=0)
            plot.axes.legend()
        svg = plot.svg
    caption = (
        "Of all that a model’s reward moves along a text, up or down, the share in each tenth. On "
        "the dotted line it is spread evenly."
    )
    return ("increments", svg, "Is reward spread over the tokens?", caption)


def _bars(axes: Any, intervals: Sequence[tuple[float, Any]], colour: str) -> None:
    shown = [(at, *ends) for at, ends in intervals if ends]
    if shown:
        at, low, high = zip(*shown, strict=True)
        axes.vlines(at, low, high, color=colour, linewidth=1)
