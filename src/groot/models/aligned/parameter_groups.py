"""The rates at which the parts of an aligned labeler learn."""

from __future__ import annotations

from typing import Any

from torch import nn

from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.word_encoder import WordEncoder

OWN_RATE = 2.0  # times the learning rate: the decoder and a word encoder, which begin from nothing
PRETRAINED_RATE = 0.2  # times the learning rate: a pretrained encoder


def aligned_groups(
    labeler: AlignedLabeler, *, learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for AdamW; from now on the vectors of words have dense gradients, which it needs.

    Args:
        learning_rate: the parts learn at OWN_RATE and PRETRAINED_RATE times this.
        weight_decay: of all weights.
    """
    encoder = labeler.encoder
    is_own = isinstance(encoder, WordEncoder)
    if isinstance(encoder, WordEncoder):
        encoder.words.sparse = encoder.features.sparse = False
    own: list[nn.Parameter] = []
    pretrained: list[nn.Parameter] = []
    for name, weight in labeler.named_parameters():
        if weight.requires_grad:
            (own if is_own or not name.startswith("encoder.") else pretrained).append(weight)
    groups = [(own, OWN_RATE), (pretrained, PRETRAINED_RATE)]
    return [
        {"params": weights, "lr": learning_rate * rate, "weight_decay": weight_decay}
        for weights, rate in groups
        if weights
    ]
