"""Marks: SHA-256 over contents, and what something was made of, as a table of them.

A mark changes whenever a byte that matters does, and only then: not with the time of a file, the
place of a folder or the order of the keys of a setting. Whatever is continued, reused, compared or
refused is bound by the `Marks` of what it was made of.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groot.engine.files import TEMPORARY, TRASH, sha256_of, to_json
from groot.errors import CheckpointError
from groot.types import Example

if TYPE_CHECKING:
    from torch import Tensor

# Files of a folder that say nothing about what its model computes, by name or by ending. Hidden
# ones (.gitattributes, .cache) and what is still being written do not count either.
NOT_CONTENT = ("ledger.json", "MANIFEST.json", "LICENSE", "README", "__pycache__")
NOT_CONTENT_ENDINGS = (".md", ".lock")
_RECENT_NS = 2_000_000_000  # a file may change twice within one tick of its clock
_MARK_LENGTH = 64

_marks_of_files: dict[tuple[int, ...], str] = {}  # of this process, see mark_of_file


def mark_of_bytes(content: bytes) -> str:
    """SHA-256 of the content, as 64 hexadecimal digits.

    >>> mark_of_bytes(b"groot")[:8]
    'c76d9da6'
    """
    return hashlib.sha256(content).hexdigest()


def mark_of_file(path: Path) -> str:
    """The mark of what a file holds; its name and times do not count.

    A file that has not changed since this process read it is not read again. One that changed in
    the last two seconds always is, because it may have changed twice between two ticks.
    """
    status = path.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in _marks_of_files:
        mark = sha256_of(path)
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _RECENT_NS:
            return mark
        _marks_of_files[key] = mark
    return _marks_of_files[key]


def mark_of_files(files: Mapping[str, Path]) -> str:
    """The mark of several files: of each name and of what the file of that name holds."""
    return mark_of_json({name: mark_of_file(path) for name, path in files.items()})


def mark_of_folder(folder: Path) -> str:
    """The mark of the files of a folder and all below: names and contents, in no order.

    README and other `.md` files, LICENSE, hidden files, `ledger.json`, `MANIFEST.json` and files
    that are still being written do not count. Links to files inside the folder are followed.

    Raises:
        CheckpointError: the folder is missing, or a link in it leads out of it or to a folder.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder. Restore it, or name another one.")
    return mark_of_files(content_files(folder))


def content_files(folder: Path, *, links_within: Path | None = None) -> dict[str, Path]:
    """The files of a folder that its mark is over, by their name below it.

    Args:
        folder: where to look, sub-folders included; checkpoints of the Trainer of transformers
            (`checkpoint-500/`) are left out.
        links_within: links to files below it are followed; None takes the folder itself.

    Raises:
        CheckpointError: a link leads out of the folder or to a folder, or a file is no plain one.
    """
    limit = (links_within or folder).resolve()
    files: dict[str, Path] = {}
    for parent, names, file_names in os.walk(folder):
        links = [name for name in names if os.path.islink(os.path.join(parent, name))]
        names[:] = [name for name in names if _is_content(name)]
        for name in sorted([*file_names, *links]):
            path = Path(parent, name)
            if not _is_content(name):
                continue
            if not path.is_file() or not path.resolve().is_relative_to(limit):
                raise CheckpointError(
                    f"{path}: not a plain file, or a link that leads out of {limit}. "
                    "Replace it by a copy of what it stands for."
                )
            files[path.relative_to(folder).as_posix()] = path
    return files


def _is_content(name: str) -> bool:
    is_unfinished = name.startswith((TEMPORARY, TRASH, "."))
    is_checkpoint = re.fullmatch(r"checkpoint-\d+", name) is not None
    is_about = name in NOT_CONTENT or name.endswith(NOT_CONTENT_ENDINGS)
    return not (is_unfinished or is_checkpoint or is_about)


def mark_of_json(value: Any) -> str:
    """The mark of plain values; the order of keys does not count, that of lists does.

    Floats count to the last bit, 1 and 1.0 and True are three values, tuples are lists. What JSON
    lacks counts by its `repr`, which may see a change where there is none, never the reverse.

    >>> mark_of_json({"a": 1, "b": (2.5, None)}) == mark_of_json({"b": [2.5, None], "a": 1})
    True
    """
    return mark_of_bytes(_canonical(value).encode())


def _canonical(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError):  # keys of several types, or a circle
        return repr(value)


def _plain(value: Any) -> Any:
    """A value that JSON lacks, as one that names its type as well."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (item.name for item in dataclasses.fields(value))
        return {"": type(value).__name__, **{name: getattr(value, name) for name in names}}
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # NumPy and torch
        return value.tolist()
    return [type(value).__name__, repr(value)]


def mark_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The mark of a state dict: names, types, shapes and bytes, in no order.

    The device and the layout in memory do not count.
    """
    import torch  # only here: whoever compares files should not wait for it

    parts: dict[str, list[Any]] = {}
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        mark = hashlib.sha256(values.numpy().data).hexdigest()
        parts[name] = [str(tensor.dtype), list(tensor.shape), mark]
    return mark_of_json(parts)


def mark_of_examples(examples: Iterable[Example]) -> str:
    """The mark of a data set: texts, words, gold, ids and all other columns, in their order.

    The place where an example was read does not count, so that a file may be moved.
    """
    digest = hashlib.sha256()
    for example in examples:
        values = {item.name: getattr(example, item.name) for item in dataclasses.fields(example)}
        del values["source"]
        digest.update(_canonical(values).encode() + b"\n")
    return digest.hexdigest()


@dataclass(frozen=True)
class Marks:
    """What something was made of; two of them are compared with `differences`.

    Args:
        contents: the mark of each content, by a name that a message can show, such as "the
            training data"; None where there is none of that name.
        settings: what was asked for, as nested plain values, told in a message as they are. Leave
            out what may change, such as the number of workers.

    >>> before = Marks({"the model": mark_of_bytes(b"1")}, {"fit": {"passes": 3}})
    >>> now = Marks({"the model": mark_of_bytes(b"2")}, {"fit": {"passes": 4}})
    >>> differences(before, now)
    ['the model: changed', 'fit.passes was 3 and is 4 now']
    >>> Marks.from_json(before.to_json()) == before
    True
    """

    contents: Mapping[str, str | None] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """One mark over all of them."""
        return mark_of_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the way `from_json` reads it."""
        parts = {"contents": dict(self.contents), "settings": dict(self.settings)}
        plain = json.loads(json.dumps(parts, default=_plain))
        return dict(json.loads(to_json(plain)))

    @classmethod
    def from_json(cls, value: Any) -> Marks | None:
        """What `to_json` gave; None where it is something else, such as an older version's."""
        if not isinstance(value, dict) or value.keys() != {"contents", "settings"}:
            return None
        contents, settings = value["contents"], value["settings"]
        if not isinstance(contents, dict) or not isinstance(settings, dict):
            return None
        is_mark = [mark is None or isinstance(mark, str) for mark in contents.values()]
        return cls(contents, settings) if all(is_mark) else None


def differences(before: Marks, now: Marks) -> list[str]:
    """What differs between two tables of marks, a plain line each; [] where nothing does."""
    lines = []
    for name in [*before.contents, *(now.contents.keys() - before.contents.keys())]:
        old, new = before.contents.get(name), now.contents.get(name)
        if old != new:
            change = "changed"
            if old is None:
                change = "not there before"
            elif new is None:
                change = "not there any more"
            lines.append(f"{name}: {change}")
    return lines + _setting_changes(before.to_json()["settings"], now.to_json()["settings"])


def _setting_changes(before: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        lines: list[str] = []
        for key in sorted(before.keys() | now.keys()):
            inner = f"{name}.{key}" if name else key
            lines += _setting_changes(before.get(key, _ABSENT), now.get(key, _ABSENT), inner)
        return lines
    if before == now and isinstance(before, bool) == isinstance(now, bool):
        return []
    return [f"{name} was {before!r} and is {now!r} now"]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()
