"""Folders of models that groot saved: those of transformers, with a `groot.json` beside."""

from __future__ import annotations

from pathlib import Path

from groot.errors import ModelError

SETTINGS_FILE = "groot.json"  # says what the folder holds, and all of it but the model


def model_folder(folder: str | Path) -> Path:
    """The folder itself, or the model/ folder inside it where only that has a groot.json."""
    folder = Path(folder)
    inner = folder / "model"
    return inner if not _is_saved(folder) and _is_saved(inner) else folder


def saved_folder(folder: str | Path, *, what: str, advice: str) -> Path:
    """Like `model_folder`, where there must be a groot.json.

    Args:
        what: was looked for, "labeler"; the error names it.
        advice: which folder to give; ends the error.

    Raises:
        ModelError: if there is none in either.
    """
    saved = model_folder(folder)
    if not _is_saved(saved):
        raise ModelError(f"{saved}: no {what} here ({SETTINGS_FILE} is missing). {advice}")
    return saved


def _is_saved(folder: Path) -> bool:
    return (folder / SETTINGS_FILE).is_file()
