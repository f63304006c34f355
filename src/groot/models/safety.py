"""Refuse model folders that could run code, or read files elsewhere, when they are loaded.

A model folder is data: safetensors, JSON, tokenizer files. Pickles, Python files, settings that
name code, and links that lead out of the folder are refused before any library opens the folder.
Nothing is unpickled or imported to find out.
"""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from numpy.lib import format as npy

from groot.errors import ModelError

_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".dill", ".pt2", ".jit"}
_CODE = {".py", ".pyc", ".pyd", ".pyx", ".so", ".dll", ".dylib", ".sh"}
_TEXT = {".json", ".jsonl", ".txt", ".md", ".yaml", ".yml", ".jinja", ".model", ".html", ".csv"}
# Folders inside a model folder that transformers looks into.
_READ_FOLDERS = ("custom_generate", "additional_chat_templates")
# Settings whose file transformers opens by that very name. Others, such as "tokenizer_file", often
# hold a path on the machine of whoever saved the model, and are replaced before they are used.
_FILE_SETTINGS = {"transformers_weights", "fast_tokenizer_files"}
_MAX_SETTINGS_BYTES = 64 << 20
_MAX_NPY_HEADER = 10_000


def refuse_unsafe_files(folder: str | Path) -> None:
    """Raise where loading the model folder could run code or open files outside of it.

    Looked at are the files that loading a model could touch: those right in the folder, and in
    `custom_generate/` and `additional_chat_templates/`. Sub-folders such as `checkpoint-500/` are
    never read.

    Args:
        folder: a model folder on this machine; a snapshot in the Hub's cache, whose files are
            links to its `blobs/`, is one too.

    Raises:
        ModelError: all that is wrong with the folder, a line each, and what to do.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> refuse_unsafe_files(folder)
    >>> _ = (folder / "training_args.bin").write_bytes(b"...")
    >>> refuse_unsafe_files(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    groot.errors.ModelError: ... is refused: loading it could run code, or open other files:
      training_args.bin: may hold a pickle
      ...
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a model folder.")
    dangers = [(path, reason) for path in _files(folder) for reason in _dangers(path, folder)]
    if dangers:
        lines = [f"  {path.relative_to(folder)}: {reason}" for path, reason in dangers]
        raise ModelError(
            f"{folder} is refused: loading it could run code, or open other files:\n"
            + "\n".join(lines)
            + "\n  groot reads safetensors, JSON and tokenizer files only. Where the model has "
            "safetensors\n  weights, delete or mend the files above; else have its owner save it "
            "with\n  model.save_pretrained(folder)."
        )


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_symlink() or not path.is_dir())
    for name in _READ_FOLDERS:
        inner = folder / name
        if inner.is_symlink():
            yield inner
        elif inner.is_dir():
            yield from sorted(path for path in inner.rglob("*") if not path.is_dir())


def _dangers(path: Path, folder: Path) -> Iterator[str]:
    """What is wrong with one file, without running anything that it holds."""
    suffix = path.suffix.lower()
    if path.is_symlink() and not _stays_inside(path, folder):
        yield "a link that leads out of the folder"
        return
    if not path.exists():
        yield "a link to nothing"
        return
    if path.is_dir():  # a link to a folder inside
        return
    if not stat.S_ISREG(path.stat().st_mode):
        yield "not an ordinary file"
        return
    if suffix in _CODE:
        yield "program code"
    elif suffix in _PICKLES:
        yield "may hold a pickle"
    elif suffix in (".npy", ".npz"):
        yield from _array_dangers(path)
    elif suffix == ".json":
        yield from _json_dangers(path)
    elif suffix not in _TEXT and _looks_like_pickle(path):
        yield "holds a pickle"


def _stays_inside(link: Path, folder: Path) -> bool:
    target = link.resolve()
    home = folder.resolve()
    if target.is_relative_to(home):
        return True
    # The Hub's cache: models--owner--name/snapshots/COMMIT/FILE -> ../../blobs/SUM
    is_snapshot = home.parent.name == "snapshots" and home.parent.parent.name.startswith("models--")
    return is_snapshot and target.is_relative_to(home.parent.parent / "blobs")


def _looks_like_pickle(path: Path) -> bool:
    with path.open("rb") as content:
        start = content.read(16)
    if path.suffix.lower() == ".safetensors":  # 8 bytes of length, then JSON
        return start[8:9] not in (b"{", b"")
    if start.startswith(b"PK\x03\x04"):  # what torch.save writes is a zip with a pickle in it
        try:
            names = zipfile.ZipFile(path).namelist()
        except zipfile.BadZipFile:
            return True
        return any(name.lower().endswith((".pkl", ".pickle")) for name in names)
    return start[:1] == b"\x80" and start[1:2] in {bytes([protocol]) for protocol in range(2, 6)}


def _array_dangers(path: Path) -> Iterator[str]:
    try:
        if path.suffix.lower() == ".npy":
            has_objects = _has_objects(path.read_bytes())
        else:
            with zipfile.ZipFile(path) as arrays:
                has_objects = any(_has_objects(arrays.read(name)) for name in arrays.namelist())
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, SyntaxError):
        yield "not a readable NumPy array"
        return
    if has_objects:
        yield "a NumPy array of Python objects, which is a pickle"


def _has_objects(content: bytes) -> bool:
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    _, _, dtype = read(stream, max_header_size=_MAX_NPY_HEADER)
    return dtype.hasobject


def _json_dangers(path: Path) -> Iterator[str]:
    is_index = path.name.endswith(".index.json")
    is_settings = path.name == "config.json" or path.name.endswith(("_config.json", "groot.json"))
    if not is_index and not is_settings:
        return  # a vocabulary may hold any word, "auto_map" too
    if path.stat().st_size > _MAX_SETTINGS_BYTES:
        yield f"larger than {_MAX_SETTINGS_BYTES >> 20} MiB"
        return
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        yield from _settings_dangers(settings)
    except RecursionError:
        yield "nested too deeply"
    except ValueError as error:
        yield f"not readable as JSON ({error})"


def _settings_dangers(settings: Any) -> Iterator[str]:
    if isinstance(settings, list):
        for item in settings:
            yield from _settings_dangers(item)
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        if key == "auto_map" and value:
            yield "names code of its own to run (auto_map)"
        elif key == "auto_mapping" and value:
            library = value.get("parent_library") if isinstance(value, dict) else value
            if str(library).partition(".")[0] not in ("transformers", "None"):
                yield f"names a module to import (auto_mapping: {library!r})"
        elif key == "megatron_config" and value:
            yield "names a module to import (megatron_core)"
        elif key.endswith("_implementation") and isinstance(value, str) and "/" in value:
            yield f"names code to download ({key}: {value!r})"
        elif key == "weight_map" and isinstance(value, dict):
            outside = sorted({str(name) for name in value.values() if not _is_file_name(name)})
            yield from (f"names a file outside the folder ({name!r})" for name in outside[:3])
        elif key in _FILE_SETTINGS:
            names = value if isinstance(value, list) else [value]
            outside = [name for name in names if name is not None and not _is_file_name(name)]
            yield from (f"names a file outside the folder ({key}: {name!r})" for name in outside)
        else:
            yield from _settings_dangers(value)


def _is_file_name(name: Any) -> bool:
    """Whether it is the name of a file right in the folder, on any operating system."""
    if not isinstance(name, str) or "\0" in name or name in ("", ".", ".."):
        return False
    return PurePosixPath(name).name == name and PureWindowsPath(name).name == name
