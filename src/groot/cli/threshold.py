"""groot threshold: how probable a span must be for what is kept to be right often enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table, harmless
from groot.cli.reader_option import ReaderOption, parse_reader
from groot.config import describe

if TYPE_CHECKING:
    from groot.evaluation.thresholds import Row, Thresholds


def threshold(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="the folder of a run, or of a model")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="labelled data that the model was not trained on: a file, a folder or a benchmark"
        ),
    ],
    target: Annotated[
        str, typer.Option(metavar="TARGET", help="precision=0.95, recall=0.8 or f1=max")
    ],
    per_label: Annotated[
        bool, typer.Option("--per-label", help="a threshold for each label, and one for all")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="write the thresholds, for predict --thresholds"
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="that a threshold keeps its promise, each taken alone")
    ] = 0.95,
    unreachable: Annotated[
        Literal["drop", "keep"],
        typer.Option(help="what predict does with spans of labels that have no threshold"),
    ] = "drop",
    split: Annotated[
        Literal["train", "dev", "test"],
        typer.Option(help="of a benchmark or a folder of splits"),
    ] = "dev",
    format: Annotated[str | None, typer.Option(help=describe("data.format"))] = None,
    reader: ReaderOption = None,
    choose: Annotated[
        Literal["top", "mbr"],
        typer.Option(help="the candidate whose spans are kept or dropped, as for predict"),
    ] = "top",
    reward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REWARD...", help="what mbr maximises; default: what the model was trained for"
        ),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=2, help="candidates searched per text, as for predict")
    ] = 16,
    calibrated: Annotated[
        bool | None,
        typer.Option(
            "--calibrated/--raw",
            help="probabilities mapped by the model's calibration, or its own; default: mapped"
            " where groot calibrate has made one",
        ),
    ] = None,
    on_bad_lines: Annotated[
        Literal["stop", "skip"], typer.Option(help=describe("data.on_bad_lines"))
    ] = "stop",
    json: Annotated[bool, typer.Option("--json", help="print the thresholds as JSON")] = False,
) -> None:
    """Choose the probability from which on spans are kept, for a precision or recall you need.

    A threshold for precision or recall is one that a test shows to reach the target on new texts
    like these, with the confidence asked; else it says "not reachable" and the best that is.
    Choose on data that the model was not trained on.

    \b
    Examples:
    groot threshold runs/first --data dev.conll --target precision=0.95 --out thresholds.json
    groot threshold runs/first --data dev.conll --target recall=0.8 --per-label --json
    groot predict runs/first --in texts.jsonl --out kept.jsonl --thresholds thresholds.json
    """
    from groot.cli.progress import watcher
    from groot.evaluation.intervals import check_confidence
    from groot.evaluation.thresholds import parse_target
    from groot.studies.predicted_items import threshold_folder

    wanted = parse_target(target)
    check_confidence(confidence)
    with watcher() as events:
        found = threshold_folder(
            folder,
            data,
            wanted,
            split=split,
            format=format,
            reader=parse_reader(reader),
            per_label=per_label,
            confidence=confidence,
            unreachable=unreachable,
            choose=choose,
            reward=reward or None,
            candidates=candidates,
            calibrated=calibrated,
            on_bad_lines=on_bad_lines,
            events=events,
        )
    if out is not None:
        found.save(out)
    if json:
        answer_json(found.as_json())
        return
    _print(found)
    if out is not None:
        answer(f"written to {out}")


def _print(found: Thresholds) -> None:
    from groot.cli.tables import new_table, number, with_interval

    mapped = "raw" if found.settings.get("calibration") is None else "calibrated"
    table = new_table(
        f"{found.target} on {found.n_texts} texts, {mapped} probabilities",
        "",
        "threshold",
        "kept",
        "precision [95 %]",
        "recall [95 %]",
        "F1",
        "shown",
    )

    def add(title: str, row: Row, threshold: str) -> None:
        table.add_row(
            harmless(title),
            threshold,
            f"{row.n_kept} of {row.n_predicted}",
            with_interval(row.precision, row.intervals["precision"]),
            with_interval(row.recall, row.intervals["recall"]),
            number(row.f1),
            "-" if row.bound is None else f">= {row.bound:.3f}",
        )

    rows = {"all labels, one threshold": found.all, **found.labels}
    for title, row in rows.items():
        missing = "not reachable" if row.reason else "-"
        add(title, row, missing if row.threshold is None else number(row.threshold, digits=4))
    if found.combined is not None:
        add("all labels, each with its own", found.combined, "")
    answer_table(table)
    for title, row in rows.items():
        if row.reason:
            best = "" if row.best is None else f" (threshold {row.best:.4f})"
            answer(f"{title}: {found.target} is not reachable: {row.reason}{best}")
    if found.target != "f1=max":
        answer(
            f"shown: but for a chance of {1 - found.confidence:g}, what the kept spans of new texts"
            " like these reach at least; the intervals take the threshold as given"
        )
    elif found.all.f1_held_out is not None:
        answer(f"F1 of texts without part in the choice: {found.all.f1_held_out:.3f}")
