"""The aligned labeler that a run starts from: on words from nothing, on a pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from groot.config import Config
from groot.errors import ConfigError
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.pretrained import ENCODER_FAMILIES, PretrainedEncoder, load_encoder
from groot.models.aligned.word_encoder import WordEncoder
from groot.models.aligned.word_features import WordTable
from groot.models.families import FAMILIES
from groot.models.loading import model_type_of
from groot.models.model_folder import SETTINGS_FILE, model_folder
from groot.targets import LabelFormat
from groot.types import Example
from groot.writer.aligned_notation import AlignedNotation
from groot.writer.folders import holds_aligned, load_labeler
from groot.writer.writer import Writer

WORDS = "words"  # the name of a labeler that learns words from nothing
WORDS_READ = 600_000  # words that are read in all passes together


def is_aligned(name: str | None) -> bool:
    """Whether the model of this name is an aligned labeler, or an encoder that only one can use.

    Args:
        name: of a folder, or on the Hub; None is the embedded token labeler.

    Raises:
        ModelError: there is no model of this name.
    """
    if name is None or name == WORDS:
        return name == WORDS
    if (model_folder(name) / SETTINGS_FILE).is_file():
        return holds_aligned(name)
    return model_type_of(name) in ENCODER_FAMILIES.keys() - FAMILIES.keys()


def make_aligned(config: Config, form: LabelFormat, train: Sequence[Example]) -> Writer:
    """The labeler before any training; one that was saved is loaded and goes on.

    Raises:
        ConfigError: adapters are asked for, or the data has labels that a saved labeler has not.
    """
    settings = config.model
    name = settings.name
    assert name is not None
    if settings.lora_r:
        raise ConfigError("model.lora_r: aligned labelers have no adapters. Leave it at 0.")
    if name != WORDS and holds_aligned(name):
        return _continued(config, form)
    notation = AlignedNotation(
        form, window_words=settings.window_words, window_overlap=settings.window_overlap
    )
    tags, classes = notation.spelling.tags, notation.spelling.classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = AlignedLabeler(_encoder(name, train), tags, classes)
    return Writer(
        model.eval(), notation, reward_specs=config.reward.specs, open_labeler=load_labeler
    )


def _encoder(name: str, train: Sequence[Example]) -> WordEncoder | PretrainedEncoder:
    if name == WORDS:
        return WordEncoder(WordTable.of_texts(example.words for example in train))
    return load_encoder(name)


def _continued(config: Config, form: LabelFormat) -> Writer:
    """The saved labeler that the settings name, for data of a format."""
    writer = load_labeler(str(config.model.name))
    missing = sorted(set(form.labels) - set(writer.labels))
    if missing or writer.task != form.task:
        raise ConfigError(
            f"model.name: {config.model.name} writes {writer.task} of {len(writer.labels)} labels"
            f" and does not know {', '.join(missing[:5]) or 'the kind of this data'}."
            " An aligned labeler keeps the labels that it was made with: train a new one."
        )
    writer.reward_specs, writer.is_trusted = tuple(config.reward.specs), True
    writer.calibration = None
    return writer
