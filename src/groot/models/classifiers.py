"""Sequence classifiers of transformers: told from other models, and opened from safetensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.utils.logging import get_verbosity, set_verbosity, set_verbosity_error

from groot.errors import ModelError
from groot.models.families import FAMILIES
from groot.models.loading import as_model_error
from groot.models.safety import refuse_unsafe_files

REWARD_LABELS = (1, 2)  # numbers of labels whose logits can be read as one reward


class OpenClassifier(NamedTuple):
    """A classifier with its tokenizer, and the names of weights that are not in its files."""

    model: Any
    tokenizer: Any
    lacking: list[str]


def holds_classifier(name: str | Path) -> bool:
    """Whether a folder, or a name on the Hub, holds a sequence classifier or a bare encoder.

    False for a path without a model; whoever loads it says so.

    Raises:
        ModelError: if a name on the Hub cannot be reached, or a config.json is damaged.
    """
    if is_path(name) and not (Path(name) / "config.json").is_file():
        return False
    config = _config(name)
    if _is_classifier(config):
        return True
    is_encoder = (
        config.model_type in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        and config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
    return is_encoder and config.model_type not in FAMILIES


def open_classifier(name: str | Path) -> OpenClassifier:
    """The classifier in a folder or on the Hub, from safetensors only; nothing in it is ever run.

    Raises:
        ModelError: if it is missing, unsafe or damaged, or a weight is no finite number.
    """
    return _open(name)


def open_for_rewards(name: str | Path) -> OpenClassifier:
    """Like `open_classifier`, with a head that gives rewards: its own if that has one or two
    labels, else a fresh one with one label, which is the same in each call.

    Raises:
        ModelError: if it is missing, unsafe or damaged, or a weight is no finite number.
    """
    config = _config(name)
    if _is_classifier(config) and config.num_labels in REWARD_LABELS:
        return _open(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _open(name, num_labels=1, ignore_mismatched_sizes=True)


def is_path(name: str | Path) -> bool:
    """Whether a name means a place on this machine rather than one on the Hub."""
    return Path(name).exists() or str(name).startswith((".", "/", "~"))


def _config(name: str | Path) -> Any:
    with as_model_error(str(name)):
        return AutoConfig.from_pretrained(str(name), trust_remote_code=False)


def _is_classifier(config: Any) -> bool:
    names = config.architectures or ()
    return any(name.endswith("ForSequenceClassification") for name in names)


def _open(name: str | Path, **settings: Any) -> OpenClassifier:
    if is_path(name):
        if not (Path(name) / "config.json").is_file():
            raise ModelError(f"{name}: no model here (config.json is missing)")
        refuse_unsafe_files(Path(name))
    with as_model_error(str(name)):
        tokenizer = AutoTokenizer.from_pretrained(str(name), trust_remote_code=False)
    with as_model_error(str(name)), _without_load_report():
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
            str(name),
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **settings,
        )
    model, info = loaded
    lacking = set(info["missing_keys"]) & {name for name, _ in model.named_parameters()}
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise ModelError(f"{name}: its weights hold NaN or infinite values")
    return OpenClassifier(model, tokenizer, sorted(lacking))


@contextmanager
def _without_load_report() -> Iterator[None]:
    """transformers lists missing weights on standard error; here they are an error or expected."""
    before = get_verbosity()
    set_verbosity_error()
    try:
        yield
    finally:
        set_verbosity(before)
