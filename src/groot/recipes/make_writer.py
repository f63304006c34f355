"""The writer that a run starts from, made on the spot or loaded, and how long it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from groot.config import Config
from groot.config.sections import ModelConfig
from groot.errors import ConfigError, DataError
from groot.models.codec import symbols_to_add
from groot.models.embedded import Size, build, train_tokenizer
from groot.models.embedded_text import make_text_model
from groot.models.loading import add_lora, add_symbols, load_model
from groot.models.text_model import TextModel
from groot.recipes.make_aligned import WORDS, WORDS_READ, is_aligned, make_aligned
from groot.targets import FORMATS, LabelFormat
from groot.targets.grammar import is_sentinel
from groot.types import Example, Task
from groot.writer.folders import load_labeler
from groot.writer.generator import Generator
from groot.writer.labeler import Labeler
from groot.writer.writer import Writer

EMBEDDED_CAUSAL = "embedded-causal"
EMBEDDED_WORDS = 1_450_000  # words that are read in all passes together
EMBEDDED_PASSES = (12, 40)
OTHER_PASSES = 5


def make_writer(config: Config, train: Sequence[Example], task: Task) -> Writer:
    """The writer before any training: loaded and given its label tokens, or made on the spot.

    Raises:
        ConfigError: if the model that the settings name is for another task.
    """
    return MAKERS[task](config, train)


def label_format(examples: Sequence[Example]) -> LabelFormat:
    """The first format of the table `FORMATS` that takes the training examples.

    Raises:
        DataError: if none does.
    """
    for candidate in FORMATS.values():
        form = candidate.takes(examples)
        if form is not None:
            return form
    raise DataError(
        "no label format takes the training examples: some have neither spans nor classes.\n"
        f"  Label formats: {', '.join(FORMATS)}"
    )


def make_labeler(config: Config, train: Sequence[Example]) -> Writer:
    """The labeler before any training, aligned or of tokens, as the model that is named wants."""
    form = label_format(train)
    if config.model.name == EMBEDDED_CAUSAL:
        raise ConfigError(
            f"model.name: {EMBEDDED_CAUSAL} writes free text; this data has labels. Leave --model"
            " out for the embedded labeler."
        )
    if is_aligned(config.model.name):
        return make_aligned(config, form, train)
    return make_token_labeler(config, form, train)


def make_token_labeler(config: Config, form: LabelFormat, train: Sequence[Example]) -> Labeler:
    """The labeler before any training: loaded and given its label tokens, or made on the spot."""
    settings = config.model
    if settings.name is None:
        model = _embedded(config, form, train)
    else:
        model = load_model(settings.name)
        add_symbols(model, form, label_style=settings.label_style, max_words=settings.window_words)
        model = with_adapters(model, config)
    return labeler_of(
        model, form, settings, reward_specs=config.reward.specs, open_labeler=load_labeler
    )


def labeler_of(model: TextModel, form: LabelFormat, settings: ModelConfig, **more: Any) -> Labeler:
    """A labeler with the label style and windows of the settings.

    Args:
        more: further settings of `Labeler`.
    """
    return Labeler(
        model,
        form,
        label_style=settings.label_style,
        window_words=settings.window_words,
        window_overlap=settings.window_overlap,
        **more,
    )


def make_generator(config: Config, train: Sequence[Example]) -> Generator:
    """The generator before any training: loaded, or made on the spot."""
    settings, generation = config.model, config.generation
    if settings.name == WORDS:
        raise ConfigError(f"model.name: {WORDS} writes labels; this data has free text.")
    if settings.name in (None, EMBEDDED_CAUSAL):
        model = make_text_model(
            (text for one in train for text in (one.text, one.reference) if text),
            shape="encoder-decoder" if settings.name is None else "causal",
            vocabulary_size=settings.vocabulary_size,
            positions=max(512, generation.max_prompt_tokens + generation.max_new_tokens + 1),
            seed=config.seed,
            **asdict(_size(config, layers=generation.decoder_layers)),
        )
    else:
        assert settings.name is not None
        model = with_adapters(load_model(settings.name), config)
    return Generator(
        model,
        max_prompt_tokens=generation.max_prompt_tokens,
        max_new_tokens=generation.max_new_tokens,
        reward_specs=config.reward.specs,
        open_labeler=load_labeler,
    )


def fit_passes(config: Config, n_words: int) -> int:
    """Passes of the likelihood training: as the settings say, or by the size of the data.

    Args:
        n_words: that are written for the training examples together, see `Notation.n_written`.

    >>> fit_passes(Config(), 63_533)
    23
    """
    if config.fit.passes is not None:
        return config.fit.passes
    if config.model.name not in (None, EMBEDDED_CAUSAL, WORDS):
        return OTHER_PASSES
    low, high = EMBEDDED_PASSES
    n_read = WORDS_READ if config.model.name == WORDS else EMBEDDED_WORDS
    return min(max(low, round(n_read / max(1, n_words))), high)


def _size(config: Config, *, layers: int) -> Size:
    """The size of an embedded network with so many decoder layers."""
    settings = config.model
    return Size(
        width=settings.width,
        encoder_layers=settings.encoder_layers,
        layers=layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
        dropout=config.fit.dropout,
    )


def _embedded(config: Config, form: LabelFormat, train: Sequence[Example]) -> TextModel:
    settings = config.model
    tokenizer = train_tokenizer(
        (" ".join(example.words) for example in train), vocabulary_size=settings.vocabulary_size
    )
    symbols = symbols_to_add(
        form, tokenizer, label_style=settings.label_style, max_words=settings.window_words
    )
    tokenizer.add_tokens(symbols, special_tokens=True)
    ids = tokenizer.get_vocab()
    sentinels = [ids[symbol] for symbol in symbols if is_sentinel(symbol)]
    model = build(
        tokenizer,
        sentinels,
        size=_size(config, layers=settings.decoder_layers),
        seed=config.seed,
    )
    return TextModel(model, tokenizer)


def with_adapters(model: TextModel, config: Config) -> TextModel:
    """The model with LoRA adapters where the settings ask for them, or as it is."""
    settings = config.model
    if not settings.lora_r:
        return model
    return add_lora(
        model, r=settings.lora_r, alpha=settings.lora_alpha, dropout=settings.lora_dropout
    )


MAKERS: Mapping[Task, Callable[[Config, Sequence[Example]], Writer]] = {
    "spans": make_labeler,
    "classes": make_labeler,
    "text": make_generator,
}
