"""What `groot.json` says of the labeler in a folder, beside the files of its model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from groot.errors import ModelError
from groot.models.codec import LabelStyle
from groot.models.loading import read_json
from groot.models.model_folder import SETTINGS_FILE, saved_folder
from groot.targets import FORMATS

VERSION = 1


@dataclass(frozen=True, slots=True)
class LabelerSettings:
    """All of a labeler but its model.

    Args:
        format: name of the label format.
        labels: in the order of the format.
        label_style: labels as one new token each, or as words.
        window_words: longer texts are cut into windows of so many words.
        window_overlap: words that neighbouring windows share.
        reward: the specs of what it was optimised for.
    """

    format: str
    labels: tuple[str, ...]
    label_style: LabelStyle
    window_words: int
    window_overlap: int
    reward: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write them into the folder."""
        told = {"version": VERSION, **dataclasses.asdict(self), "offset_unit": "codepoint"}
        text = json.dumps(told, ensure_ascii=False, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def read_settings(folder: Path) -> LabelerSettings:
    """The settings that `save` wrote.

    Raises:
        ModelError: they are of a generator, of another version, or damaged.
    """
    settings = read_json(folder / SETTINGS_FILE)
    if settings.get("format") == "text":
        raise ModelError(f"{folder}: holds a generator of free text, not a labeler.")
    wrong = _wrong_settings(settings)
    if wrong or settings.get("version") != VERSION:
        raise ModelError(
            f"{folder / SETTINGS_FILE}: version {settings.get('version')!r}, missing or wrong:"
            f" {', '.join(wrong) or 'nothing'}. This groot reads version {VERSION}."
        )
    return LabelerSettings(
        format=settings["format"],
        labels=tuple(settings["labels"]),
        label_style=settings["label_style"],
        window_words=settings["window_words"],
        window_overlap=settings["window_overlap"],
        reward=tuple(settings["reward"]),
    )


def labeler_folder(folder: str | Path) -> Path:
    """The folder itself, or that of the model of a run.

    Raises:
        ModelError: if there is no labeler in either.
    """
    advice = "Give the folder of a finished run, or its model/ folder."
    return saved_folder(folder, what="labeler", advice=advice)


def _wrong_settings(settings: Mapping[str, Any]) -> list[str]:
    """The names of the settings in a groot.json that are missing or cannot be."""

    def number(value: Any) -> int:
        return value if isinstance(value, int) and not isinstance(value, bool) else -1

    def are_names(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(name, str) and name for name in value)

    of = settings.get
    labels, words, overlap = of("labels"), number(of("window_words")), number(of("window_overlap"))
    is_good = {
        "format": of("format") in list(FORMATS),
        "labels": are_names(labels) and labels and len(set(labels)) == len(labels),
        "label_style": of("label_style") in get_args(LabelStyle),
        "window_words": words > 0,
        "window_overlap": 0 <= overlap < max(words, 1),
        "reward": are_names(of("reward")),
    }
    return [name for name, good in is_good.items() if not good]
