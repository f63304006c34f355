"""What the commands write to the terminal: answers to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH_OF_FILES = 160  # columns of a table that goes to a file or a pipe: nothing is cut off


def is_first_process() -> bool:
    """Whether this process speaks for all that `accelerate launch` started."""
    return int(os.environ.get("RANK", "0") or 0) == 0


def harmless(text: str) -> str:
    r"""The text with control characters made visible, so that data cannot steer the terminal.

    >>> harmless("red \x1b[31m")
    'red \\x1b[31m'
    """
    return "".join(
        character if character in "\n\t" or character.isprintable() else ascii(character)[1:-1]
        for character in text
    )


def answer(text: str) -> None:
    """Write one line or more to stdout."""
    if is_first_process():
        print(harmless(text))


def answer_json(value: Any) -> None:
    """Write a value to stdout as JSON."""
    if is_first_process():
        print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def answer_table(table: Table) -> None:
    """Write a table to stdout, as wide as it needs to be where that is not a terminal."""
    if is_first_process():
        width = None if sys.stdout.isatty() else WIDTH_OF_FILES
        title, table.title = table.title, None  # rich would wrap it to the width of the table
        if title is not None:
            print(title)
        Console(width=width, highlight=False).print(table)


def say(text: str) -> None:
    """Write one line or more to stderr: notes, warnings, errors."""
    if is_first_process():
        print(harmless(text), file=sys.stderr, flush=True)
