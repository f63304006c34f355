"""One class per kind of trouble. A message says what happened, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GrootError(Exception):
    """Everything that groot raises on purpose; the command line prints it without a traceback."""

    def __str__(self) -> str:  # KeyError would quote the message
        return str(self.args[0]) if self.args else ""


class DataError(GrootError, ValueError):
    """Input data that cannot be read as asked; names path:line."""


class ConfigError(GrootError, ValueError):
    """A setting that does not exist or has an impossible value; lists all of them together."""


class UnknownNameError(GrootError, KeyError):
    """A name that no table holds; gives the nearest known one."""


class ShapeError(GrootError, ValueError):
    """Tensors or lists whose shapes do not fit each other; names the arguments."""


class ModelError(GrootError, ValueError):
    """A model that is refused: unknown architecture, unsafe file, missing tokenizer."""


class RewardError(GrootError, ValueError):
    """A reward function that raised, hung, crashed or returned something impossible."""


class CheckpointError(GrootError, ValueError):
    """A checkpoint that does not verify, or does not belong to this run."""


class TrainingError(GrootError, ValueError):
    """Training that cannot go on: losses or gradients stay non-finite, or no disk space is left."""


class OutputError(GrootError, ValueError):
    """An output path that cannot be used: locked by another run, or not ours to overwrite."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest known name, or "" where none is near.

    >>> nearest("exact_mach", ["exact_match", "f1"])
    " Did you mean 'exact_match'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
