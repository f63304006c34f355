"""Files that are whole or absent, whatever a kill, a full disk or a power cut does.

Everything is written under a name that starts with `tmp-`, synced, and renamed into place. What is
replaced or deleted is renamed to `trash-...` first. So a name without those prefixes is complete,
and whatever has one of them may be removed when no process is writing: see `remove_leftovers`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from groot.errors import OutputError, TrainingError

log = logging.getLogger(__name__)

TEMPORARY = "tmp-"
TRASH = "trash-"
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def free_bytes(path: Path) -> int:
    """Bytes that may still be written below `path`, which need not exist yet."""
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def free_space_check(path: Path, needed_bytes: int) -> None:
    """Raise before anything is written, where `needed_bytes` do not fit below `path`.

    Raises:
        TrainingError: one line with the path, the bytes needed and the bytes free.

    >>> free_space_check(Path("/tmp"), 10**18)
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    groot.errors.TrainingError: /tmp: not enough disk space: 1,000,000,000,000,000,000 bytes ...
    """
    if free_bytes(path) < needed_bytes:
        raise _no_space(path, needed_bytes, "not enough disk space")


@contextmanager
def explained(path: Path, needed_bytes: int) -> Iterator[None]:
    """Turn what goes wrong while writing `path` into an error of ours, in one line.

    Raises:
        TrainingError: the disk is full, or a limit on file sizes was reached.
        OutputError: anything else, such as a missing permission.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _no_space(path, needed_bytes, error.strerror or str(error)) from error
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}.") from error
    except SafetensorError as error:  # its text is all it tells: "... (os error 28)"
        if any(f"(os error {number})" in str(error) for number in _NO_SPACE):
            raise _no_space(path, needed_bytes, "no space left to write to") from error
        raise OutputError(f"{path}: cannot be written: {error}.") from error


def _no_space(path: Path, needed_bytes: int, reason: str) -> TrainingError:
    return TrainingError(
        f"{path}: {reason}: {needed_bytes:,} bytes needed, {free_bytes(path):,} bytes free. "
        "What was saved before is unharmed; free some space and run the same command again."
    )


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON, keys in their given order; NaN and infinities, which JSON lacks, become null.

    >>> to_json({"loss": float("nan"), "step": 3})
    '{"loss": null, "step": 3}'
    """
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a NumPy or torch scalar
        return _finite(value.item())
    return value


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in one go: readers see the old text or the new one, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file in one go, as write_text does."""
    temporary = path.parent / f"{TEMPORARY}{path.name}-{os.getpid()}"
    with explained(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented strict JSON, in one go; NaN becomes null."""
    write_text(path, to_json(value, indent=2) + "\n")


@contextmanager
def write_folder(path: Path, *, needed_bytes: int = 0) -> Iterator[Path]:
    """Give a temporary folder to fill; at the end of the block it becomes `path`, all at once.

    A folder already at `path` is replaced. An error inside the block leaves `path` as it was.

    >>> import tempfile
    >>> run = Path(tempfile.mkdtemp())
    >>> with write_folder(run / "model") as folder:
    ...     _ = (folder / "config.json").write_text("{}")
    >>> (run / "model" / "config.json").read_text()
    '{}'
    """
    temporary = path.parent / f"{TEMPORARY}{path.name}-{os.getpid()}"
    with explained(path, needed_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        temporary.mkdir()
        try:
            yield temporary
            sync_tree(temporary)
            replaced = _to_trash(path) if path.exists() else None
            os.rename(temporary, path)
            sync_folder(path.parent)
        except Exception:
            _remove(temporary)
            raise
        if replaced is not None:
            _remove(replaced)


def discard(path: Path) -> None:
    """Delete a file or folder so that no half of it keeps its name."""
    _remove(_to_trash(path))


def _to_trash(path: Path) -> Path:
    trash = path.parent / f"{TRASH}{path.name}-{os.getpid()}"
    _remove(trash)
    os.rename(path, trash)
    return trash


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what an earlier process, stopped while it wrote in `folder`, left behind."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith((TEMPORARY, TRASH)):
            log.info("removing %s, left by a run that was stopped", path)
            _remove(path)


def sync_file(path: Path) -> None:
    """Return once the content of the file is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Return once the names in the folder are on the disk."""
    sync_file(folder)


def sync_tree(folder: Path) -> None:
    """Return once everything below the folder is on the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside before the folder itself
        if not path.is_symlink():
            sync_file(path)
    sync_folder(folder)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
