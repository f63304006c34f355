"""groot steer: learn a guide for a labeler that stays as it is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table


def steer(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="the folder of a run, or of a labeler")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="labelled data that the model was not trained on: a file, a folder or a benchmark"
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the guide and its numbers")],
    split: Annotated[
        Literal["train", "dev", "test"],
        typer.Option(help="of a benchmark or a folder of splits"),
    ] = "dev",
    reward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REWARD...",
            help="what is maximised; default: what the model was optimised for",
        ),
    ] = None,
    candidates: Annotated[int, typer.Option(min=2, help="candidates searched per text")] = 16,
    json: Annotated[bool, typer.Option("--json", help="print the numbers as JSON")] = False,
) -> None:
    """Learn a guide that steers a labeler towards a reward; the labeler stays as it is.

    A reward of partial targets (PARGS) is learnt from the labeler's own candidates of labelled
    texts that it was not trained on, and how to choose under it: the most probable candidate, or
    the best expected one (MBR). groot predict chooses so with this guide unless told otherwise.

    \b
    Examples:
    groot steer runs/first --data dev.jsonl --reward f0.5 --out runs/first-guide
    groot predict runs/first --in texts.jsonl --guide runs/first-guide/guide
    """
    from groot.cli.progress import watcher
    from groot.recipes.steer import GUIDE, SteerSettings, train_steering

    with watcher() as events:
        results = train_steering(
            folder,
            data,
            out=out,
            split=split,
            reward_specs=reward or None,
            settings=SteerSettings(num_candidates=candidates),
            events=events,
        )
    if json:
        answer_json(results)
        return
    _print(results)
    words = ["groot", "predict", str(folder), "--in", "texts.jsonl", "--guide", str(out / GUIDE)]
    if results["choose"] == "mbr" and any(":" in name for name in reward or ()):
        # code is not run because a folder names it
        words += [word for name in reward or () for word in ("--reward", name)]
    answer(f"written to {out / GUIDE}")
    answer(f"use it: {shlex.join(words)}")


def _print(results: dict[str, Any]) -> None:
    from groot.cli.tables import new_table, number

    table = new_table(f"{results['texts']} texts, cross-validated", "", "unguided", "guided")
    names = {"reward": f"mean {results['reward']}", "metric": results["metric"]}
    titles = {"top": "most probable first", "mbr": "best expected first"}
    for name, title in names.items():
        for choice, how in titles.items() if title else ():
            values = (results[of][choice][name] for of in ("unguided", "guided"))
            table.add_row(f"{title}, {how}", *map(number, values))
    answer_table(table)
    chosen = f"weight {results['weight']:g}, {titles[results['choose']]}"
    answer(f"chosen: {chosen}; against the most probable unguided:")
    for name, found in results["difference"].items():
        if found["difference"] is not None:
            answer(
                f"{names[name]} {found['difference']:+.4f}, 95 % interval {found['low']:+.4f} to"
                f" {found['high']:+.4f}, p {found['p_value']:.4f}"
            )
    if results["left_out"]:
        answer(f"left out: {results['left_out']} texts without words, or longer than one window")
