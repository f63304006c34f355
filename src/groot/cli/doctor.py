"""groot doctor: what to know about labelled data before training on it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table, harmless
from groot.cli.reader_option import ReaderOption, parse_reader
from groot.config import Config, describe

SHOWN_PLACES = 3  # of a finding; --json gives more


def doctor(
    train: Annotated[str, typer.Argument(metavar="TRAIN", help=describe("data.train"))],
    dev: Annotated[str | None, typer.Option(help=describe("data.dev"))] = None,
    test: Annotated[str | None, typer.Option(help=describe("data.test"))] = None,
    task: Annotated[
        Literal["spans", "classes", "text"] | None, typer.Option(help=describe("data.task"))
    ] = None,
    format: Annotated[str | None, typer.Option(help=describe("data.format"))] = None,
    reader: ReaderOption = None,
    json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
) -> None:
    """Look at labelled data before training: counts, faults, what cannot be learnt.

    Exit code: 0 clean, 1 warnings, 2 errors.

    \b
    Examples:
    groot doctor train.conll --dev dev.conll --test test.conll
    groot doctor atis --task spans --json
    """
    from groot.data import read_splits
    from groot.data.doctor import examine

    settings = parse_reader(reader)
    splits = read_splits(train, dev, test, task=task, format=format, needs_dev=False, **settings)
    diagnosis = examine(splits, max_words=Config().model.window_words)
    if json:
        answer_json(diagnosis.as_json())
    else:
        from groot.cli.tables import diagnosis_tables

        for name, counts in diagnosis.splits.items():
            if counts.reading:
                answer(harmless(f"{name}: read as {counts.reading}"))
        for table in diagnosis_tables(diagnosis, shown_places=SHOWN_PLACES):
            answer_table(table)
        answer(diagnosis.verdict)
    raise typer.Exit(diagnosis.exit_code)
