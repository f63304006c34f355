"""The learning curves: what the log says of each stage, against the steps taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from groot.report.plots import learning_curve

Rows = Sequence[Mapping[str, Any]]
FIT = "fit"
CANDIDATES = ": candidates"  # ends the stage of a line about the candidates of a round
MOST_LINES = 4


def learning_plots(log: Rows) -> list[tuple[str, str, str, str]]:
    """(name, svg, title, caption) of each curve; svg is "" where there is nothing to draw."""
    stage_of = [str(row.get("stage", "")) for row in log]
    pairs = list(zip(log, stage_of, strict=True))
    fit = [row for row, stage in pairs if stage == FIT]
    steps = chained([row for row, stage in pairs if stage != FIT and CANDIDATES not in stage])
    rounds = [row for row, stage in pairs if stage.endswith(CANDIDATES)]
    numbered = [{**row, "step": number} for number, row in enumerate(rounds, start=1)]
    wanted: list[tuple[str, Rows, list[str], str, str, str]] = [
        (
            *("fit-loss", fit, ["loss"], "loss (nats)"),
            *("Fit: loss", "Likelihood loss of the training batches."),
        ),
        (
            *("fit-dev", fit, _dev_keys(fit), "on dev"),
            *("Fit: dev", "Numbers on the dev set while fitting."),
        ),
        (
            *("optimise-loss", steps, ["loss"], "loss"),
            *("Optimise: loss", "Contrast and likelihood loss together."),
        ),
        (
            *("optimise-reward", steps, _keys(steps, _is_reward), "reward"),
            *("Optimise: reward", "Mean reward of the candidates in the training batches."),
        ),
        (
            *("rounds", numbered, _keys(rounds, lambda key: key.startswith("reward")), "reward"),
            *("Candidates by round", "Rewards of what search found at the start of each round."),
        ),
        (
            *("optimise-dev", steps, _dev_keys(steps), "on dev"),
            *("Optimise: dev", "Numbers on the dev set; they pick the checkpoint."),
        ),
    ]
    return [
        (name, learning_curve(name, rows, keys, label=label, along=along), title, caption)
        for name, rows, keys, label, title, caption in wanted
        for along in ["round" if rows is numbered else "step"]
    ]


def chained(rows: Rows) -> list[dict[str, Any]]:
    """The rows with steps that go on from stage to stage instead of starting again.

    >>> rows = [{"stage": s, "step": i} for s in ("round 1", "round 2") for i in (1, 2)]
    >>> [row["step"] for row in chained(rows)]
    [1, 2, 3, 4]
    """
    joined: list[dict[str, Any]] = []
    begin = highest = 0.0
    stage = None
    for row in rows:
        if row.get("stage") != stage:
            begin, stage = highest, row.get("stage")
        step = row.get("step")
        if isinstance(step, int | float):
            highest = max(highest, begin + step)
            joined.append({**row, "step": int(begin + step)})
    return joined


def _dev_keys(rows: Rows) -> list[str]:
    return _keys(
        rows,
        lambda key: (
            key.startswith("eval_")
            and not any(word in key for word in ("second", "loss", "runtime"))
        ),
    )


def _is_reward(key: str) -> bool:
    return key == "reward" or (key.startswith("rewards/") and key.endswith("/mean"))


def _keys(rows: Rows, is_wanted: Callable[[str], bool]) -> list[str]:
    """The first few keys that are wanted, in order of appearance."""
    known = dict.fromkeys(key for row in rows for key in row)
    return [key for key in known if is_wanted(key) and key != "reward_std"][:MOST_LINES]
