"""A table of named parts. A new part is one file and one line in its room's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from groot.errors import UnknownNameError, nearest

Part = TypeVar("Part")


class Registry(Mapping[str, Part], Generic[Part]):
    """A read-only table from names to parts; "module:name" is imported on first use.

    Args:
        kind: what the table holds, in the singular, for messages: "reward".
        parts: the table.
        hint: a line on how to use one's own part, for the message about an unknown name.

    Raises:
        UnknownNameError: on looking up a name that is not in the table.

    >>> Registry("shape", {"round": 1})["rond"]
    Traceback (most recent call last):
    groot.errors.UnknownNameError: shape 'rond' does not exist. Did you mean 'round'?
      Known shapes: round
    """

    def __init__(self, kind: str, parts: Mapping[str, Part | str], *, hint: str = "") -> None:
        self.kind = kind
        self.hint = hint
        self._parts: dict[str, Any] = dict(parts)

    def __getitem__(self, name: str) -> Part:
        if name not in self._parts:
            known = sorted(self._parts)
            lines = [
                f"{self.kind} {name!r} does not exist.{nearest(name, known)}",
                f"  Known {self.kind}s: {', '.join(known)}",
            ]
            if self.hint:
                lines.append(f"  {self.hint}")
            raise UnknownNameError("\n".join(lines))
        part = self._parts[name]
        if isinstance(part, str):
            module, _, attribute = part.partition(":")
            part = getattr(import_module(module), attribute)
            self._parts[name] = part
        return part

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
