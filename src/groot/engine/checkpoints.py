"""Checkpoints that are whole or absent: safetensors, JSON, and a manifest of SHA-256 sums.

    checkpoints/step-00000123/
        model.safetensors   state.json   ...
        MANIFEST.json       written last: the size and SHA-256 of every other file, and its own

A folder whose manifest does not verify is never resumed. No pickle is written or read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from groot.engine.files import (
    discard,
    free_space_check,
    remove_leftovers,
    sha256_of,
    write_folder,
)
from groot.errors import CheckpointError

log = logging.getLogger(__name__)

MANIFEST = "MANIFEST.json"
STATE = "state.json"
_FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})(?:\.(\d+))?")
_PLAIN_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SLACK_BYTES = 1 << 16  # headers, JSON, folder entries


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: its folder, the step it was taken after, and its JSON state."""

    folder: Path
    step: int
    state: dict[str, Any]

    def tensors(self, name: str, device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """The tensors saved as `name`; those that shared memory when saved share it again.

        Raises:
            CheckpointError: nothing was saved under that name.
        """
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            known = ", ".join(sorted(found.stem for found in self.folder.glob("*.safetensors")))
            raise CheckpointError(f"{self.folder} holds no tensors {name!r}. It holds: {known}.")
        with safe_open(path, framework="pt", device=str(device)) as saved:
            loaded = {key: saved.get_tensor(key) for key in saved.keys()}  # noqa: SIM118
            twins = json.loads((saved.metadata() or {}).get("twins", "{}"))
        return {**loaded, **{key: loaded[twin] for key, twin in twins.items()}}


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Save a checkpoint after `step`, and only then delete the old ones.

    Stopped at any moment, it leaves the checkpoints that were there before as they were. Later
    steps than `step`, the remains of a history that was given up, are deleted as well.

    Args:
        folder: where the checkpoints of one stage live.
        step: the last step that is in the weights, >= 0.
        tensors: each mapping becomes NAME.safetensors.
        state: anything JSON carries exactly; floats come back bit for bit, tuples as lists.
        keep: how many checkpoints stay, this one included. With 1 there is nothing to fall
            back to if the newest is damaged.

    Returns:
        The folder of the new checkpoint.

    Raises:
        CheckpointError: a state that JSON cannot carry, or a name that is no plain file name.
        TrainingError: no space left; the checkpoints from before still verify.
    """
    if keep < 1:
        raise CheckpointError(f"keep={keep}: at least the newest checkpoint must stay; use 1 or 2.")
    for name in tensors:
        if not _PLAIN_FILE.fullmatch(name):
            raise CheckpointError(f"{name!r} cannot name a file of tensors; use letters and '_'.")
    state_text = _state_text(state)
    needed = size_in_bytes(tensors) + len(state_text) + _SLACK_BYTES
    remove_leftovers(folder)
    free_space_check(folder, needed)
    path = _free_name(folder, step)
    with write_folder(path, needed_bytes=needed) as temporary:
        for name, content in tensors.items():
            kept, twins = _without_twins(content)
            save_file(kept, temporary / f"{name}.safetensors", {"twins": json.dumps(twins)})
        (temporary / STATE).write_text(state_text, encoding="utf-8")
        (temporary / MANIFEST).write_text(_manifest_text(temporary, step), encoding="utf-8")
    for old in _outdated(folder, path, keep):
        discard(old)
    return path


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that verifies; None where none was ever completed.

    A damaged one is passed over with a warning in the log.

    Raises:
        CheckpointError: there are checkpoints, but all of them are damaged. Starting afresh
            would throw the work away in silence, so that is left to the user.
    """
    complaints: list[str] = []
    for path in reversed(_checkpoints(folder)):
        complaint = find_damage(path)
        if complaint is None:
            state = json.loads((path / STATE).read_text(encoding="utf-8"))
            for line in complaints:
                log.warning("%s; falling back to %s", line, path)
            return Checkpoint(path, _step_of(path), state)
        complaints.append(f"{path}: damaged checkpoint: {complaint}")
    if complaints:
        what = "\n  ".join(complaints)
        raise CheckpointError(
            f"{folder}: no checkpoint verifies.\n  {what}\n"
            f"  Restore one from a copy, or delete {folder} to start afresh."
        )
    return None


def find_damage(path: Path) -> str | None:
    """What is wrong with a checkpoint folder, in a few words; None where it verifies."""
    try:
        text = (path / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        step, files = manifest["step"], manifest["files"]
        named = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{MANIFEST} cannot be read ({type(error).__name__})"
    # Written again from what was read, it must be the same text: no damaged byte goes unnoticed.
    if text != _sealed(manifest) or manifest.get("format") != _FORMAT or step != _step_of(path):
        return f"{MANIFEST} does not fit its own sum, or this folder"
    for name, (size, sha256) in named.items():
        file = path / name
        if not _PLAIN_FILE.fullmatch(name) or file.is_symlink():
            return f"{name!r} is not a plain file of the folder"
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"
        if sha256_of(file) != sha256:
            return f"{name} is not what was saved (its SHA-256 differs)"
    return None if STATE in named else f"{STATE} is not listed in {MANIFEST}"


def size_in_bytes(tensors: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Bytes that the tensors take on disk; those that share memory count once in a mapping."""
    total = 0
    for content in tensors.values():
        views = {(t.device, t.data_ptr(), t.dtype, t.shape): t.nbytes for t in content.values()}
        total += sum(views.values())
    return total


def _state_text(state: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(state), ensure_ascii=False, indent=1) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The state of a checkpoint must be plain JSON: {error}.") from error


def _manifest_text(folder: Path, step: int) -> str:
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.iterdir())
    }
    return _sealed({"format": _FORMAT, "step": step, "files": files})


def _sealed(manifest: Mapping[str, Any]) -> str:
    """The one text of a manifest, with the sum of the rest of it as its last entry."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    seal = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return json.dumps({**rest, "sha256": seal}, indent=1) + "\n"


def _without_twins(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors ready to be written, and for those that view the same memory, the name of the first.

    The tied embeddings of a T5 appear four times in its state dict, and are written once.
    """
    first_with: dict[tuple[Any, ...], str] = {}
    kept: dict[str, Tensor] = {}
    twins: dict[str, str] = {}
    written: set[int] = set()  # addresses: safetensors refuses tensors that share memory
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        view = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        first = first_with.setdefault(view, name) if tensor.numel() else name
        if first != name:
            twins[name] = first
            continue
        memory = tensor.untyped_storage()
        is_whole = memory.nbytes() == tensor.numel() * tensor.element_size()
        if not (is_whole and tensor.is_contiguous()) or memory.data_ptr() in written:
            tensor = tensor.clone(memory_format=torch.contiguous_format)
        written.add(tensor.untyped_storage().data_ptr())
        kept[name] = tensor
    return kept, twins


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _order(path: Path) -> tuple[int, int]:
    match = _NAME.fullmatch(path.name)
    return (int(match[1]), int(match[2] or 0)) if match else (-1, 0)


def _checkpoints(folder: Path) -> list[Path]:
    """Every folder named like a checkpoint, verified or not, oldest step first."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
    return sorted(found, key=_order)


def _free_name(folder: Path, step: int) -> Path:
    """Where to put the checkpoint: never in place of a good one, which a kill could then lose."""
    path = folder / f"step-{step:08d}"
    number = 1
    while path.exists() and find_damage(path) is None:
        number += 1
        path = folder / f"step-{step:08d}.{number}"
    return path


def _outdated(folder: Path, newest: Path, keep: int) -> list[Path]:
    """What may go once `newest` is there: later steps, then all but the last `keep`."""
    others = [path for path in _checkpoints(folder) if path != newest]
    earlier = [path for path in others if _step_of(path) < _step_of(newest)]
    kept = earlier[-(keep - 1) :] if keep > 1 else []
    return [path for path in others if path not in kept]
