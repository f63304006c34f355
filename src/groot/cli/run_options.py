"""Options of the commands that fill a folder and print numbers, and how they are interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from groot.cli.console import say

INTERRUPTED = 130  # exit code

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done, and its cost; write nothing.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Continue a run although its data or settings changed.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


@contextmanager
def interruptible() -> Iterator[None]:
    """A run that may be interrupted before, between or after its stages, which save themselves.

    Raises:
        typer.Exit: with the exit code of an interrupted run.
    """
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted; the same command again continues")
        raise typer.Exit(INTERRUPTED) from None
