"""Opening what groot wrote: a labeler or a generator, by the groot.json in the folder."""

from __future__ import annotations

from pathlib import Path

from groot.models.loading import read_json
from groot.models.model_folder import SETTINGS_FILE, model_folder
from groot.writer.generator import FORMAT, Generator, load_generator
from groot.writer.labeler import Labeler
from groot.writer.labeler import load as load_labeler


def load(folder: str | Path) -> Labeler | Generator:
    """The labeler or the generator in a folder: one that `save` wrote, or a run's folder.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    if holds_generator(folder):
        return load_generator(folder, open_labeler=load_labeler)
    return load_labeler(folder)


def holds_generator(folder: str | Path) -> bool:
    """Whether a folder, or the model/ folder inside it, is that of a generator of free text."""
    path = model_folder(folder) / SETTINGS_FILE
    return path.is_file() and read_json(path).get("format") == FORMAT
