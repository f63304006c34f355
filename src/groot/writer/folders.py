"""Opening what a writer saved: a labeler or a generator, by the groot.json in the folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from groot.engine.ledger import read_ledger
from groot.errors import ModelError
from groot.evaluation.calibration_map import read_calibration
from groot.models.aligned.folders import load_aligned
from groot.models.codec import LabelStyle, symbols_to_add
from groot.models.loading import load_model, read_json
from groot.models.model_folder import SETTINGS_FILE, model_folder, saved_folder
from groot.models.safety import refuse_unsafe_files
from groot.models.text_model import TextModel
from groot.rewards.labeler_judge import OpenLabeler
from groot.targets import FORMATS
from groot.writer.aligned_notation import KIND as ALIGNED
from groot.writer.aligned_notation import AlignedNotation
from groot.writer.generator import Generator
from groot.writer.labeler import Labeler
from groot.writer.text_notation import FORMAT as TEXT
from groot.writer.writer import VERSION, Writer

ADVICE = "Give the folder of a finished run, or its model/ folder."


def load(folder: str | Path) -> Writer:
    """The labeler or the generator in a folder: one that `save` wrote, or a run's folder.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    opened = load_generator if holds_generator(folder) else load_labeler
    return opened(folder)


def holds_generator(folder: str | Path) -> bool:
    """Whether a folder, or the model/ folder inside it, is that of a generator of free text."""
    path = model_folder(folder) / SETTINGS_FILE
    return path.is_file() and read_json(path).get("format") == TEXT


def labeler_folder(folder: str | Path) -> Path:
    """The folder itself, or that of the model of a run.

    Raises:
        ModelError: if there is no labeler in either.
    """
    return saved_folder(folder, what="labeler", advice=ADVICE)


def load_labeler(folder: str | Path) -> Writer:
    """The labeler in a folder, aligned or of tokens: one that `save` wrote, or a run's folder.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    folder = labeler_folder(folder)
    settings = read_json(folder / SETTINGS_FILE)
    if settings.get("format") == TEXT:
        raise ModelError(f"{folder}: holds a generator of free text, not a labeler.")
    return _aligned(folder, settings) if _is_aligned(settings) else _of_tokens(folder, settings)


def load_token_labeler(folder: str | Path) -> Labeler:
    """Like `load_labeler`, of what writes tokens only.

    Raises:
        ModelError: if there is none, it is unsafe or damaged, or an aligned labeler.
    """
    folder = labeler_folder(folder)
    settings = read_json(folder / SETTINGS_FILE)
    if _is_aligned(settings):
        raise ModelError(
            f"{folder}: holds an aligned labeler, which writes no tokens. This needs a token"
            " labeler: train one without --model words."
        )
    return _of_tokens(folder, settings)


def holds_aligned(folder: str | Path) -> bool:
    """Whether a folder, or the model/ folder inside it, is that of an aligned labeler."""
    path = model_folder(folder) / SETTINGS_FILE
    return path.is_file() and _is_aligned(read_json(path))


def _is_aligned(settings: Mapping[str, Any]) -> bool:
    return settings.get("model") == ALIGNED


def _aligned(folder: Path, settings: Mapping[str, Any]) -> Writer:
    """The aligned labeler in a folder."""
    is_good = _label_settings(settings)
    del is_good["label_style"]  # of tokens
    _check(folder, settings, is_good)
    refuse_unsafe_files(folder)
    notation = AlignedNotation(
        FORMATS[settings["format"]](tuple(settings["labels"])),
        window_words=settings["window_words"],
        window_overlap=settings["window_overlap"],
    )
    model = load_aligned(folder)
    if (model.tags, model.classes) != (notation.spelling.tags, notation.spelling.classes):
        raise ModelError(f"{folder}: its model and {SETTINGS_FILE} do not belong together.")
    writer = Writer(model, notation, **_saved_with_it(folder, settings), open_labeler=load_labeler)
    writer.ledger = read_ledger(folder)
    return writer


def _of_tokens(folder: Path, settings: Mapping[str, Any]) -> Labeler:
    """The token labeler in a folder."""
    _check(folder, settings, _label_settings(settings))
    model, form = load_model(folder), FORMATS[settings["format"]](tuple(settings["labels"]))
    style, max_words = settings["label_style"], settings["window_words"]
    lacking = symbols_to_add(form, model.tokenizer, label_style=style, max_words=max_words)
    _check_belongs(folder, model, lacking)
    labeler = Labeler(
        model,
        form,
        label_style=style,
        window_words=max_words,
        window_overlap=settings["window_overlap"],
        **_saved_with_it(folder, settings),
        open_labeler=load_labeler,
    )
    labeler.ledger = read_ledger(folder)
    return labeler


def load_generator(folder: str | Path, *, open_labeler: OpenLabeler = load_labeler) -> Generator:
    """The generator in a folder: one that `save` wrote, or a run's folder.

    Args:
        folder: the folder.
        open_labeler: opens the folder of a labeler, for rewards that judge by one.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    folder = saved_folder(folder, what="generator", advice=ADVICE)
    settings = read_json(folder / SETTINGS_FILE)
    _check(folder, settings, _text_settings(settings))
    model = load_model(folder)
    _check_belongs(folder, model, [])
    generator = Generator(
        model,
        separator=settings["separator"],
        max_prompt_tokens=settings["max_prompt_tokens"],
        max_new_tokens=settings["max_new_tokens"],
        reward_specs=settings["reward"],
        is_trusted=False,
        open_labeler=open_labeler,
    )
    generator.ledger = read_ledger(folder)
    return generator


def _saved_with_it(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of every labeler of a folder: its calibration, and rewards not to be trusted."""
    return {
        "reward_specs": settings["reward"],
        "is_trusted": False,
        "calibration": read_calibration(folder),
    }


def _check(folder: Path, settings: Mapping[str, Any], is_good: Mapping[str, Any]) -> None:
    """Raise unless a groot.json is of this version and each of its settings can be."""
    wrong = [name for name, good in is_good.items() if not good]
    if wrong or settings.get("version") != VERSION:
        raise ModelError(
            f"{folder / SETTINGS_FILE}: version {settings.get('version')!r}, missing or wrong:"
            f" {', '.join(wrong) or 'nothing'}. This groot reads version {VERSION}."
        )


def _check_belongs(folder: Path, model: TextModel, lacking: list[str]) -> None:
    rows = model.model.get_input_embeddings().weight.shape[0]
    if lacking or len(model.tokenizer) > rows:
        what = ", ".join(lacking[:3]) or f"embeddings for {len(model.tokenizer) - rows} tokens"
        raise ModelError(
            f"{folder}: its model, its tokenizer and {SETTINGS_FILE} do not belong together: it"
            f" lacks {what}."
        )


def _label_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Whether each setting of a labeler can be, by name."""
    labels, overlap = settings.get("labels"), settings.get("window_overlap")
    words = settings.get("window_words")
    is_overlap = type(overlap) is int and type(words) is int and 0 <= overlap < words
    return {
        "format": settings.get("format") in list(FORMATS),
        "labels": _are_names(labels) and labels and len(set(labels)) == len(labels),
        "label_style": settings.get("label_style") in get_args(LabelStyle),
        "window_words": _is_count(words),
        "window_overlap": is_overlap,
        "reward": _are_names(settings.get("reward")),
    }


def _text_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Whether each setting of a generator can be, by name."""
    separator = settings.get("separator")
    return {
        "format": settings.get("format") == TEXT,
        "separator": isinstance(separator, str) and separator,
        "max_prompt_tokens": _is_count(settings.get("max_prompt_tokens")),
        "max_new_tokens": _is_count(settings.get("max_new_tokens")),
        "reward": _are_names(settings.get("reward")),
    }


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)
