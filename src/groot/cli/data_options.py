"""Options that the commands on labelled data share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from groot.cli.reader_option import ReaderOption, parse_reader
from groot.config import describe

if TYPE_CHECKING:
    from groot.studies.labelled_data import LabelledData

WriterFolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a run, or of a model.")
]
UnseenDataOption = Annotated[
    str,
    typer.Option(
        help="Labelled data that the model was not trained on: a file, a folder or a benchmark."
    ),
]
Split = Literal["train", "dev", "test"]
SplitOption = Annotated[
    Split, typer.Option(help="Read this part of a benchmark, or of a folder of splits.")
]
FormatOption = Annotated[str | None, typer.Option(help=describe("data.format"))]

TaskOption = Annotated[
    Literal["spans", "classes", "text"] | None, typer.Option(help=describe("data.task"))
]
MbrRewardOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REWARD...",
        help="What --choose mbr maximises. Default: what the model was trained for.",
    ),
]


@dataclass(frozen=True)
class ReadingOptions:
    """How a file of labelled data is read."""

    format: FormatOption = None
    reader: ReaderOption = None
    on_bad_lines: Annotated[
        Literal["stop", "skip"], typer.Option(help=describe("data.on_bad_lines"))
    ] = "stop"

    def labelled(self, source: str, split: Split) -> LabelledData:
        """The data of this source, read so."""
        from groot.studies.labelled_data import LabelledData

        return LabelledData(
            source, split, self.format, parse_reader(self.reader), self.on_bad_lines
        )
