"""groot steer: learn a guide for a labeler that stays as it is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from groot.cli.console import answer, answer_json, answer_table, say
from groot.cli.data_options import SplitOption, UnseenDataOption, WriterFolderArgument
from groot.cli.run_options import JsonOption

# What comes first, as the numbers name it.
FIRST = {"top": "most probable first", "mbr": "best expected first"}


def steer(
    folder: WriterFolderArgument,
    data: UnseenDataOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the guide and its numbers")],
    split: SplitOption = "dev",
    reward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REWARD...",
            help="what is maximised; default: what the model was optimised for",
        ),
    ] = None,
    candidates: Annotated[int, typer.Option(min=2, help="candidates searched per text")] = 16,
    json: JsonOption = False,
) -> None:
    """Learn a guide that steers a labeler towards a reward; the labeler stays as it is.

    A reward of partial targets (PARGS) is learnt from the labeler's own candidates of labelled
    texts that it was not trained on, and how to choose under it: the most probable candidate, or
    the best expected one (MBR). groot predict chooses so with this guide unless told otherwise.
    What is printed is what steering gains on texts that had no part in the guide they are under.

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
    _print_numbers(results)
    _print_advice(results)
    words = ["groot", "predict", str(folder), "--in", "texts.jsonl", "--guide", str(out / GUIDE)]
    if results["choose"] == "mbr" and any(":" in name for name in reward or ()):
        # code is not run because a folder names it
        words += [word for name in reward or () for word in ("--reward", name)]
    answer(f"written to {out / GUIDE}: weight {results['weight']:g}, {FIRST[results['choose']]}")
    answer(f"use it: {shlex.join(words)}")


def _print_numbers(results: dict[str, Any]) -> None:
    from groot.cli.tables import new_table, number

    title = f"{results['judged']} of {results['texts']} texts, each under a guide of earlier texts"
    table = new_table(title, "", *(f"unguided, {first}" for first in FIRST.values()), "guided")
    names = {"reward": f"mean {results['reward']}", "metric": results["metric"]}
    for name in results["guided"]:
        unguided = (results["unguided"][choose][name] for choose in FIRST)
        table.add_row(names[name], *map(number, unguided), number(results["guided"][name]))
    answer_table(table)
    for choose, first in FIRST.items():
        answer(f"guided against unguided, {first}:")
        for name, moved in results["difference"][choose].items():
            answer(f"  {names[name]} {_difference(moved)}")
    if results["left_out"]:
        answer(f"left out: {results['left_out']} texts without words, or longer than one window")
    for line in results["seen_before"]:
        say(f"warning: {line}")


def _difference(moved: dict[str, float | None]) -> str:
    if moved["difference"] is None:
        return "is undefined on these texts"
    text = f"{moved['difference']:+.4f}"
    if moved["low"] is not None:
        text += f", 95 % interval {moved['low']:+.4f} to {moved['high']:+.4f}"
    return text if moved["p_value"] is None else f"{text}, p {moved['p_value']:.4f}"


def _print_advice(results: dict[str, Any]) -> None:
    if not results["gains"]:
        say(
            "warning: steering shows no gain on these texts: a difference like this one comes about"
            " by chance. Give more labelled texts, predict without the guide, or let the labeler"
            " itself learn the reward with groot train."
        )
    elif not results["gains_over_mbr"]:
        say(
            "note: most of this needs no guide: groot predict --choose mbr, where the difference"
            " to the guide is within chance."
        )
