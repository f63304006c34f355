"""Log-probabilities of the tokens of free texts that are given as token ids."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from groot.errors import ShapeError
from groot.models.scoring import collate_targets, decision_log_p
from groot.models.text_model import TextModel
from groot.targets.grammar import EncodedTarget


def token_log_p(
    model: TextModel,
    inputs: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Log-probability of each token of each text, given those before it.

    Args:
        model: the model that writes.
        inputs: B prompts in token ids.
        targets: N texts in token ids, end included where they end; none is empty.
        rows: [N] which prompt each text belongs to.

    Returns:
        log_p [N, T] in nats, 0 in padding, and is_token [N, T] bool.

    Raises:
        ShapeError: if targets and rows differ in number, or a text has no token.
    """
    if len(targets) != len(rows):
        raise ShapeError(f"{len(targets)} targets but {len(rows)} rows: each target needs its row")
    batch = collate_targets(model, [EncodedTarget.free(tokens) for tokens in targets], rows)
    return decision_log_p(model, None, inputs, batch)
