"""groot steer: learn a guide for a labeler that stays as it is."""

from __future__ import annotations

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
    texts that it was not trained on. Then: groot predict DIR --guide OUT/guide.

    \b
    Examples:
    groot steer runs/first --data dev.jsonl --reward f0.5 --out runs/first-guide
    groot predict runs/first --in texts.jsonl --guide runs/first-guide/guide
    """
    from groot.cli.progress import watcher
    from groot.steering.steer import GUIDE, SteerSettings, train_steering

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
    answer(f"written to {out / GUIDE}; use it with groot predict --guide")


def _print(results: dict[str, Any]) -> None:
    from groot.cli.tables import new_table, number

    table = new_table(
        f"mean reward {results['reward']} of {results['texts']} texts, cross-validated",
        "",
        "unguided",
        "guided",
    )
    for name, title in (("", "most probable first"), ("_mbr", "best expected first")):
        values = (results[f"unguided{name}"], results[f"guided{name}"])
        table.add_row(title, *map(number, values))
    metric = results["metric"]
    if metric is not None:
        table.add_row(metric["name"], number(metric["unguided"]), number(metric["guided"]))
    answer_table(table)
    moved = {"mean reward": results["difference"]}
    if metric is not None:
        moved[metric["name"]] = metric["difference"]
    for name, found in moved.items():
        if found["difference"] is not None:
            answer(
                f"{name}, guided - unguided: {found['difference']:+.4f}, 95 % interval"
                f" {found['low']:+.4f} to {found['high']:+.4f}, p {found['p_value']:.4f}"
            )
    if results["left_out"]:
        answer(f"left out: {results['left_out']} texts without words, or longer than one window")
