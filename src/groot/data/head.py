"""The beginning of a file or the names in a folder: what a format is recognised by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from groot.data.json_values import begin_of_rows, is_whole
from groot.data.lines import find_encoding, open_binary

HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Head:
    """What is looked at to find out a format.

    Args:
        path: of the file or folder.
        raw: the first bytes of the file; b"" of a folder.
        names: of what is in the folder; () of a file.
    """

    path: Path
    raw: bytes = b""
    names: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    @cached_property
    def text(self) -> str:
        """The first bytes as text, without a byte order mark."""
        if not self.raw:
            return ""
        encoding = find_encoding(self.path)
        return self.raw.decode(encoding, "replace").removeprefix("\ufeff")

    @cached_property
    def lines(self) -> list[str]:
        """Its lines without their ends; the last may be cut."""
        return [line.removesuffix("\r") for line in self.text.split("\n")]

    @cached_property
    def has_blank_lines(self) -> bool:
        return any(not line.strip() for line in self.lines[:-1])

    @cached_property
    def values(self) -> list[Any]:
        """The first JSON values of the file: its lines, or the elements of its array."""
        if self.text.lstrip()[:1] not in ("{", "["):
            return []
        if is_whole(self.path):
            return self._elements()
        values = []
        for line in self.lines:
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
        return values

    def _elements(self) -> list[Any]:
        values: list[Any] = []
        decoder, place = json.JSONDecoder(), begin_of_rows(self.text)
        while place is not None and place < len(self.text):
            try:
                value, place = decoder.raw_decode(self.text, place)
            except (ValueError, RecursionError):
                break
            values.append(value)
            rest = self.text[place:]
            place += len(rest) - len(rest.lstrip(" \t\r\n,"))
        return values

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Those of the values that are objects."""
        return [value for value in self.values if isinstance(value, Mapping)]

    def share_of_rows(self, *names: str) -> float:
        """The share of the JSON values that are objects with all these fields."""
        n = sum(all(name in row for name in names) for row in self.rows)
        return n / len(self.values) if self.values else 0.0


def read_head(path: Path) -> Head:
    """The head of a file or folder.

    Raises:
        DataError: for one that is missing or cannot be read.
    """
    if path.is_dir():
        return Head(path, names=tuple(sorted(entry.name for entry in path.iterdir())))
    with open_binary(path) as file:
        return Head(path, file.read(HEAD_BYTES))
