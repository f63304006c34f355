"""What a run starts from: its data, checked, and its labeler or generator, made or loaded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groot.config import Config
from groot.data import Splits, read_splits
from groot.errors import ConfigError, DataError, RewardError
from groot.models.codec import symbols_to_add
from groot.models.embedded import build, train_tokenizer
from groot.models.embedded_text import make_text_model
from groot.models.loading import add_lora, add_symbols, load_model
from groot.models.text_model import TextModel
from groot.rewards import Reward
from groot.targets import FORMATS, LabelFormat
from groot.targets.grammar import is_sentinel
from groot.types import Candidate, Example
from groot.writer.generator import Generator
from groot.writer.labeler import Labeler

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunData:
    """The examples of a run.

    Args:
        train, dev, test: each at least one example; test is dev where there is no test set.
        split: which of them the final numbers come from.
        scheme: tag scheme of the training data; None where there are no tags.
        problems: lines that were left out, "path:line: reason".
    """

    train: list[Example]
    dev: list[Example]
    test: list[Example]
    split: str
    scheme: str | None
    problems: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether the gold is free text."""
        return _task(self.train[0]) == "text"


def read_data(config: Config) -> RunData:
    """Read and check the data of a run.

    Raises:
        DataError: naming path:line of what cannot be read; nothing has been written then.
    """
    data = config.data
    if data.train is None:
        raise DataError("no training data: name a file, a folder or a benchmark")
    splits = read_splits(
        data.train, data.dev, data.test, task=data.task, format=data.format, **data.reader
    )
    return checked(splits, config)


def checked(splits: Splits, config: Config) -> RunData:
    """The data of a run, if its bad lines may be left out and its gold can be trained on.

    Raises:
        DataError: with path:line of the bad lines, or naming the kinds of gold.
    """
    data = config.data
    problems = tuple(str(problem) for problem in _problems(splits))
    if problems and data.on_bad_lines == "stop":
        shown = "\n  ".join(problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise DataError(
            f"{len(problems)} lines cannot be used:\n  {shown}{more}\n"
            "  Mend them, or leave them out and have them counted with"
            " --set data.on_bad_lines=skip."
        )
    train = splits.train.examples[: data.max_train]
    test = splits.test.examples if splits.test is not None else splits.dev.examples
    tasks = {_task(example) for example in train}
    where = splits.train.where or "the training data"
    if len(tasks) != 1 or None in tasks:
        raise DataError(
            f"{where}: gold of several kinds or none: {sorted(map(str, tasks))}."
            " Name one with --task."
        )
    if tasks == {"text"}:
        _check_text(splits, config)
    split = "test" if splits.test is not None else "dev"
    return RunData(train, splits.dev.examples, test, split, splits.train.scheme, problems)


def _check_text(splits: Splits, config: Config) -> None:
    """What a run on free text needs besides.

    Raises:
        DataError, ConfigError: saying what is missing or does not fit.
    """
    if not any(example.reference is not None for example in splits.dev.examples):
        raise DataError(
            f"{splits.dev.where or 'the dev data'}: no example has a reference, which picks the"
            " checkpoint. Give --dev with references."
        )
    if config.optimise.selects_on == "f1":
        raise ConfigError(
            "optimise.selects_on: f1 counts spans or classes, and free text has none. Take reward"
            " or both."
        )


def check_text_reward(data: RunData, reward: Reward) -> None:
    """Score one reference, so that a reward that is not for free text is known before training.

    Raises:
        RewardError: if the reward cannot score a text, or says nothing of it.
    """
    example = next(one for one in data.train if one.reference is not None)
    said = Candidate(example.reference or "", example.reference, source="gold")
    parts = reward.score_parts([example], [[said]]).parts
    silent = [name for name, rows in parts.items() if rows[0][0] is None]
    if silent:
        raise RewardError(
            f"{example.source or example.id}: reward {', '.join(map(repr, silent))} says nothing"
            " about a free text. Use 'exact', 'token_accuracy', a reward of free text such as"
            " length:4-12, or a function of your own."
        )


def _problems(splits: Splits) -> list[Any]:
    found = [*splits.train.problems, *splits.dev.problems]
    return [*found, *(splits.test.problems if splits.test is not None else [])]


def _task(example: Example) -> str | None:
    if example.spans is not None:
        return "spans"
    if example.classes is not None:
        return "classes"
    return None if example.reference is None else "text"


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


def make_labeler(config: Config, train: Sequence[Example]) -> Labeler:
    """The labeler before any training: loaded and given its label tokens, or made on the spot."""
    settings = config.model
    form = label_format(train)
    if settings.name == EMBEDDED_CAUSAL:
        raise ConfigError(
            f"model.name: {EMBEDDED_CAUSAL} writes free text; this data has labels. Leave --model"
            " out for the embedded labeler."
        )
    if settings.name is None:
        model = _embedded(config, form, train)
    else:
        model = load_model(settings.name)
        add_symbols(model, form, label_style=settings.label_style, max_words=settings.window_words)
        if settings.lora_r:
            model = add_lora(
                model,
                r=settings.lora_r,
                alpha=settings.lora_alpha,
                dropout=settings.lora_dropout,
            )
    return Labeler(
        model,
        form,
        label_style=settings.label_style,
        window_words=settings.window_words,
        window_overlap=settings.window_overlap,
        reward_specs=config.reward.specs,
    )


EMBEDDED_CAUSAL = "embedded-causal"


def make_generator(config: Config, train: Sequence[Example]) -> Generator:
    """The generator before any training: loaded, or made on the spot."""
    settings, generation = config.model, config.generation
    if settings.name in (None, EMBEDDED_CAUSAL):
        model = make_text_model(
            (text for one in train for text in (one.text, one.reference) if text),
            shape="encoder-decoder" if settings.name is None else "causal",
            vocabulary_size=settings.vocabulary_size,
            width=settings.width,
            encoder_layers=settings.encoder_layers,
            layers=generation.decoder_layers,
            heads=settings.heads,
            feed_forward=settings.feed_forward,
            positions=max(512, generation.max_prompt_tokens + generation.max_new_tokens + 1),
            dropout=config.fit.dropout,
            seed=config.seed,
        )
    else:
        assert settings.name is not None
        model = load_model(settings.name)
        if settings.lora_r:
            model = add_lora(
                model,
                r=settings.lora_r,
                alpha=settings.lora_alpha,
                dropout=settings.lora_dropout,
            )
    return Generator(
        model,
        max_prompt_tokens=generation.max_prompt_tokens,
        max_new_tokens=generation.max_new_tokens,
        reward_specs=config.reward.specs,
    )


def text_fit_passes(config: Config, train: Sequence[Example]) -> int:
    """Like `fit_passes`, for generators: words are those of the references.

    >>> text_fit_passes(Config(), [Example("", reference="play nina")])
    40
    """
    if config.fit.passes is None and config.model.name == EMBEDDED_CAUSAL:
        config = config.model_copy(update={"model": config.model.model_copy(update={"name": None})})
    return fit_passes(config, sum(len((one.reference or "").split()) for one in train))


EMBEDDED_WORDS = 1_450_000  # words that are read in all passes together
EMBEDDED_PASSES = (12, 40)
OTHER_PASSES = 5


def fit_passes(config: Config, n_words: int) -> int:
    """Passes of the likelihood training: as the settings say, or by the size of the data.

    Args:
        n_words: of the training texts together.

    >>> fit_passes(Config(), 63_533)
    23
    """
    if config.fit.passes is not None:
        return config.fit.passes
    if config.model.name is not None:
        return OTHER_PASSES
    low, high = EMBEDDED_PASSES
    return min(max(low, round(EMBEDDED_WORDS / max(1, n_words))), high)


def count_words(examples: Sequence[Example]) -> int:
    """Words of all texts together."""
    return sum(len(example.words) for example in examples)


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
        width=settings.width,
        encoder_layers=settings.encoder_layers,
        decoder_layers=settings.decoder_layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
        dropout=config.fit.dropout,
        seed=config.seed,
    )
    return TextModel(model, tokenizer)
