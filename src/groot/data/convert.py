"""From one file format to another; every row is written, or reported with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from groot.data.benchmarks import Split
from groot.data.read import READERS, read_examples
from groot.data.result import Problem, Reading
from groot.data.settings import WriteSettings
from groot.errors import ConfigError, DataError, nearest
from groot.types import Task


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of the rows: `n_rows == n_written + len(problems)`.

    Args:
        n_written: rows that are in the new file.
        unreadable: rows that could not be read.
        unwritable: rows that the new format cannot hold.
        notes: what was changed in rows that were read, such as overlapping spans left out.
        reading: how the file was understood.
    """

    n_written: int
    unreadable: list[Problem] = field(default_factory=list)
    unwritable: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    reading: Reading | None = None

    @property
    def problems(self) -> list[Problem]:
        """All rows that are not in the new file."""
        return self.unreadable + self.unwritable

    @property
    def n_rows(self) -> int:
        return self.n_written + len(self.problems)


def convert(
    where: str | Path,
    out: str | Path,
    *,
    to: str,
    task: Task | None = None,
    split: Split | None = None,
    format: str | None = None,
    writer: Mapping[str, Any] | None = None,
    **reader: Any,
) -> Conversion:
    """Read labelled data and write them in another format.

    Args:
        where: as in read_examples.
        out: the file or folder to write, which must not exist.
        to: a format of READERS that is written.
        task, split, format: as in read_examples.
        writer: settings of WriteSettings, such as scheme or offset_unit.
        reader: settings of the format's reader.

    Raises:
        ConfigError: for a format that is not written, or a setting that is not known.
        DataError: if nothing can be read or written, or out exists.
    """
    write = READERS[to].write
    if write is None:
        written = ", ".join(sorted(name for name in READERS if READERS[name].write))
        raise ConfigError(f"format {to!r} is read, not written.\n  Written are: {written}")
    settings = _write_settings(to, writer or {})
    out = Path(out)
    if out.exists() or out.is_symlink():
        raise DataError(f"{out} exists already, and is left as it is.\n  Name another file.")
    result = read_examples(where, task=task, split=split, format=format, **reader)
    unwritable = write(result.examples, out, settings)
    n_written = len(result.examples) - len(unwritable)
    return Conversion(n_written, result.problems, unwritable, result.notes, result.reading)


def _write_settings(to: str, given: Mapping[str, Any]) -> WriteSettings:
    known = [setting.name for setting in fields(WriteSettings)]
    for name in given:
        if name not in known:
            raise ConfigError(
                f"writing {to!r} has no setting {name!r}.{nearest(name, known)}\n"
                f"  It has: {', '.join(known)}"
            )
    return WriteSettings(**given)
