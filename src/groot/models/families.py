"""The architectures that groot is tested with; any other is refused.

A family is listed here once `tests/models/test_families.py` shows, on a small model built from its
config, that a later target token never moves the log-probability of an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from groot.errors import ModelError

Architecture = Literal["encoder-decoder", "causal"]


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
    if model_type not in FAMILIES:
        raise ModelError(
            f"models of type {model_type!r} are not supported: groot trains only architectures"
            f" whose log-probabilities are tested not to leak."
            f"\n  Supported types: {', '.join(FAMILIES)}"
        )
    return FAMILIES[model_type]
