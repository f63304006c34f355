"""groot calibrate: make a model's probabilities mean what they say."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from groot.cli.console import answer, answer_json, answer_table
from groot.cli.data_options import (
    ReadingOptions,
    SplitOption,
    UnseenDataOption,
    WriterFolderArgument,
)
from groot.cli.option_groups import with_groups
from groot.cli.run_options import JsonOption


@with_groups
def calibrate(
    folder: WriterFolderArgument,
    data: UnseenDataOption,
    reading: ReadingOptions,
    split: SplitOption = "dev",
    candidates: Annotated[int, typer.Option(min=2, help="candidates searched per text")] = 16,
    json: JsonOption = False,
) -> None:
    """Fit a map from the model's probabilities to true ones; groot predict then uses it.

    Isotonic, temperature or none: whichever does best on texts that it was not fitted on.
    Written to calibration.json beside the model; delete the file to be rid of it.

    \b
    Examples:
    groot calibrate runs/first --data dev.conll
    groot calibrate runs/first --data mit_restaurant --json
    """
    from groot.cli.progress import watcher
    from groot.evaluation.calibration_map import CALIBRATION_FILE, as_report
    from groot.studies.calibrate import calibrate_folder
    from groot.writer.folders import labeler_folder

    labelled = reading.labelled(data, split)
    with watcher() as events:
        calibration = calibrate_folder(folder, labelled, candidates=candidates, events=events)
    report = as_report(calibration)
    if json:
        answer_json(report)
        return
    _print(report)
    answer(f"written to {labeler_folder(folder) / CALIBRATION_FILE}")


def _print(report: dict[str, Any]) -> None:
    from groot.cli.tables import new_table, number

    names = ("calibration_error", "calibration_error_of_chance", "brier", "log_loss")
    what = {
        "likeliest": "said by the likeliest candidate",
        "others": "said by other candidates only",
    }
    for key, title in what.items():
        table = new_table(
            f"{report[f'n_{key}']} spans or classes {title}, in {report['n_texts']} texts; all"
            " numbers are of texts that the map was not fitted on",
            "",
            *(name.replace("_", " ") for name in names),
        )
        for kind, scores in report["scores"][key].items():
            mark = ", chosen" if kind == report[key]["kind"] else ""
            table.add_row(f"{kind}{mark}", *(number(scores[name], digits=4) for name in names))
        answer_table(table)
