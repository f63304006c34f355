"""groot threshold: how probable a span must be for what is kept to be right often enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table, harmless
from groot.cli.data_options import (
    MbrRewardOption,
    ReadingOptions,
    SplitOption,
    UnseenDataOption,
    WriterFolderArgument,
)
from groot.cli.option_groups import with_groups
from groot.cli.run_options import JsonOption

if TYPE_CHECKING:
    from groot.evaluation.thresholds import Outcome, Thresholds


@with_groups
def threshold(
    folder: WriterFolderArgument,
    data: UnseenDataOption,
    reading: ReadingOptions,
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
    split: SplitOption = "dev",
    choose: Annotated[
        Literal["top", "mbr"],
        typer.Option(help="the candidate whose spans are kept or dropped, as for predict"),
    ] = "top",
    reward: MbrRewardOption = None,
    candidates: Annotated[
        int, typer.Option(min=2, help="candidates searched per text, as for predict")
    ] = 16,
    top_k: Annotated[
        int, typer.Option("--top-k", "-k", min=1, help="candidates per text, as for predict")
    ] = 1,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact/--no-exact", help="search until the top k are proven, or not, as for predict"
        ),
    ] = True,
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="arithmetic of the model, as for predict"),
    ] = "float32",
    json: JsonOption = False,
) -> None:
    """Choose the probability from which on spans are kept, for a precision or recall you need.

    A threshold for precision or recall is one that a test shows to reach the target on new texts
    like these, with the confidence asked; else it says "not reachable" and the best that is.
    Choose on data that the model was not trained on. Thresholds are of the model's own
    probabilities, whether or not it is calibrated, and hold for this model and these settings.

    \b
    Examples:
    groot threshold runs/first --data dev.conll --target precision=0.95 --out thresholds.json
    groot threshold runs/first --data dev.conll --target recall=0.8 --per-label --json
    groot predict runs/first --in texts.jsonl --out kept.jsonl --thresholds thresholds.json
    """
    from groot.cli.progress import watcher
    from groot.evaluation.thresholds import parse_target
    from groot.studies.probability_settings import ProbabilitySettings
    from groot.studies.threshold import ThresholdSettings, threshold_folder

    settings = ThresholdSettings(
        parse_target(target, confidence=confidence),
        per_label=per_label,
        unreachable=unreachable,
        predict=ProbabilitySettings(
            top_k=top_k,
            choose=choose,
            reward=tuple(reward) if reward else None,
            candidates=candidates,
            exact=exact,
            dtype=dtype,
        ),
    )
    labelled = reading.labelled(data, split)
    with watcher() as events:
        chosen = threshold_folder(folder, labelled, settings, events=events)
    if out is not None:
        chosen.save(out)
    if json:
        answer_json(chosen.as_json())
        return
    _print(chosen)
    if out is not None:
        answer(f"written to {out}")


def _print(chosen: Thresholds) -> None:
    from groot.cli.tables import new_table, number, with_interval

    table = new_table(
        f"{chosen.target} on {chosen.n_texts} texts, by the model's own probabilities",
        "",
        "threshold",
        "kept",
        "precision [95 %]",
        "recall [95 %]",
        "F1",
        "shown",
    )

    def add(title: str, outcome: Outcome, threshold: str) -> None:
        table.add_row(
            harmless(title),
            threshold,
            f"{outcome.n_kept} of {outcome.n_predicted}",
            with_interval(outcome.precision, outcome.intervals["precision"]),
            with_interval(outcome.recall, outcome.intervals["recall"]),
            number(outcome.f1),
            "-" if outcome.bound is None else f">= {outcome.bound:.3f}",
        )

    outcomes = {"all labels, one threshold": chosen.all, **chosen.labels}
    for title, outcome in outcomes.items():
        missing = "not reachable" if outcome.reason else "-"
        add(
            title,
            outcome,
            missing if outcome.threshold is None else number(outcome.threshold, digits=4),
        )
    if chosen.combined is not None:
        add("all labels, each with its own", chosen.combined, "")
    answer_table(table)
    for title, outcome in outcomes.items():
        if outcome.reason:
            best = "" if outcome.best is None else f" (threshold {outcome.best:.4f})"
            answer(f"{title}: {chosen.target} is not reachable: {outcome.reason}{best}")
    if chosen.target != "f1=max":
        answer(
            f"shown: but for a chance of {1 - chosen.confidence:g}, what the kept spans of new"
            " texts like these reach at least; the intervals take the threshold as given"
        )
    elif chosen.all.f1_held_out is not None:
        answer(f"F1 of texts without part in the choice: {chosen.all.f1_held_out:.3f}")
