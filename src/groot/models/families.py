"""The architectures that groot is tested with; any other is refused.

A family is listed here once `tests/models/test_families.py` shows, on a small model built from its
config, that a later target token never moves the log-probability of an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from groot.errors import ModelError

Architecture = Literal["encoder-decoder", "causal"]
F = TypeVar("F")  # how models of one type are taken


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one `config.model_type` are taken apart.

    Args:
        architecture: encoder-decoder, or causal with the input as a prompt.
        encoder: attribute path of the encoder; "" for causal models.
        decoder: attribute path of the stack that turns target tokens into hidden states.
    """

    architecture: Architecture
    encoder: str
    decoder: str


FAMILIES: dict[str, Family] = {
    "t5": Family("encoder-decoder", "encoder", "decoder"),  # FLAN-T5 and ByT5 too
    "mt5": Family("encoder-decoder", "encoder", "decoder"),
    "bart": Family("encoder-decoder", "model.encoder", "model.decoder"),
    "gpt2": Family("causal", "", "transformer"),
    "llama": Family("causal", "", "model"),
    "qwen2": Family("causal", "", "model"),
    "qwen3": Family("causal", "", "model"),
}


def family_of(model_type: str) -> Family:
    """The family of a model type.

    Raises:
        ModelError: if the type is not in the table.
    """
    refusal = (
        f"models of type {model_type!r} are not supported: groot trains only architectures"
        " whose log-probabilities are tested not to leak."
    )
    return supported(FAMILIES, model_type, refusal)


def supported(families: Mapping[str, F], model_type: str, refusal: str) -> F:
    """The family of a model type in a table of them.

    Raises:
        ModelError: the refusal, with the types that are supported, if the type is not in the table.
    """
    if model_type not in families:
        raise ModelError(f"{refusal}\n  Supported types: {', '.join(families)}")
    return families[model_type]
