"""groot report: the HTML report of a finished run, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groot.cli.console import answer, answer_json


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the folder of a run")],
    json: Annotated[bool, typer.Option("--json", help="print the report's path as JSON")] = False,
) -> None:
    """Write DIR/report.html, the report of a run: one file that opens without a network.

    \b
    Examples:
    groot report runs/first
    """
    from groot.report import write_report

    path = write_report(folder)
    if json:
        answer_json({"report": str(path)})
    else:
        answer(f"report: {path}")
