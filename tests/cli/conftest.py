"""Running commands in this process, as the terminal would."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from groot.cli import main


@dataclass
class Answer:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def groot(monkeypatch, capsys) -> Callable[..., Answer]:
    """Call it with the words behind `groot`."""

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["groot", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "120")
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        told = capsys.readouterr()
        return Answer(code, told.out, told.err)

    return run
