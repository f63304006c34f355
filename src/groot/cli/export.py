"""groot export: a trained model for another runtime, with the agreement counted on texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from groot.cli.console import answer, answer_json, say
from groot.cli.data_options import FormatOption, SplitOption, WriterFolderArgument
from groot.cli.run_options import JsonOption


def export(
    folder: WriterFolderArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="a folder, which must not exist yet")
    ],
    format: Annotated[
        Literal["ctranslate2"], typer.Option(help="the runtime that is written for")
    ] = "ctranslate2",
    quantization: Annotated[
        Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16"],
        typer.Option(help="how the weights are stored"),
    ] = "float32",
    data: Annotated[
        str | None,
        typer.Option(
            help="texts to compare on: a file, a folder or a benchmark; default: the run's own test"
            " data, if they are still there"
        ),
    ] = None,
    split: SplitOption = "test",
    data_format: FormatOption = None,
    texts: Annotated[
        int, typer.Option(metavar="N", min=0, help="texts to compare on; 0 does not compare")
    ] = 200,
    json: JsonOption = False,
) -> None:
    """Write a trained model for another runtime, and count on texts whether it says the same.

    CTranslate2 knows no label grammar. Left to itself it writes illegal targets, which are counted;
    an encoder-decoder labeler whose labels are single tokens can be held to it (docs/commands.md).
    groot.json, beside the model, holds the label format.

    \b
    Examples:
    groot export runs/first --format ctranslate2 --out exported
    groot export runs/first --quantization int8 --data mit_restaurant --out exported-int8
    """
    from groot.work.export_folder import export_folder

    done = export_folder(
        folder,
        out,
        quantization=quantization,
        data=data,
        split=split,
        format=data_format,
        n_texts=texts,
    )
    if json:
        answer_json(done.as_json())
    else:
        answer(
            f"{done.out}: {done.megabytes:.1f} MB in {done.quantization}"
            f" (the model: {done.source_megabytes:.1f} MB), computed in {done.compute_type} here"
        )
    found = done.agreement
    if found is None:
        if texts:
            say("no texts to compare on; name some with --data")
    elif not json:
        answer(f"agreement on {found.texts} texts of {found.where}, greedy:")
        for name, counts in (("held to the label grammar", found.held), ("free", found.free)):
            if counts is not None:
                answer(
                    f"  {name}: {counts.equal} equal, {counts.other} legal but different,"
                    f" {counts.illegal} illegal"
                )
