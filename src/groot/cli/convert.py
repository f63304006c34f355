"""groot convert: labelled data from one file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groot.cli.console import answer, answer_json, harmless, say
from groot.cli.data_options import FormatOption, TaskOption
from groot.cli.reader_option import ReaderOption, parse_reader
from groot.cli.run_options import JsonOption
from groot.config import describe

SHOWN_PROBLEMS = 5


def convert(
    where: Annotated[str, typer.Argument(metavar="IN", help=describe("data.train"))],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="the file to write; must not exist")],
    to: Annotated[str, typer.Option(help="the format to write, such as jsonl or labelstudio")],
    task: TaskOption = None,
    format: FormatOption = None,
    reader: ReaderOption = None,
    writer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="scheme=IOBES, or offset_unit=utf16"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write labelled data in another format; what cannot be read or written is named.

    Exit code: 0 all rows written, 1 some left out, 2 bad input.

    \b
    Examples:
    groot convert train.conll train.jsonl --to jsonl
    groot convert project.json train.conll --to columns --writer scheme=IOBES
    groot convert nested.jsonl flat.conll --to columns --reader overlap=outermost
    """
    from groot.data.convert import convert as convert_file

    done = convert_file(
        where,
        out,
        to=to,
        task=task,
        format=format,
        writer=parse_reader(writer, option="--writer"),
        **parse_reader(reader),
    )
    if json:
        answer_json(
            {
                "n_rows": done.n_rows,
                "n_written": done.n_written,
                "unreadable": list(map(str, done.unreadable)),
                "unwritable": list(map(str, done.unwritable)),
                "notes": list(map(str, done.notes)),
            }
        )
        raise typer.Exit(1 if done.problems else 0)
    if done.reading is not None:
        answer(harmless(f"read as {done.reading}"))
    answer(f"{done.n_rows:,} rows: {done.n_written:,} written to {harmless(str(out))} as {to}")
    for what, problems in (
        ("cannot be read", done.unreadable),
        (f"cannot be written as {to}", done.unwritable),
        ("were changed", done.notes),
    ):
        if problems:
            say(f"{len(problems):,} {what}:")
            for problem in problems[:SHOWN_PROBLEMS]:
                say(harmless(f"  {problem}"))
    raise typer.Exit(1 if done.problems else 0)
