"""Log-probabilities of free texts under the whole vocabulary; the prompt runs once per example."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from groot.errors import ShapeError
from groot.models.text_model import TextModel


def token_log_p(
    model: TextModel,
    inputs: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Log-probability of each token of each text, given those before it.

    Logits are computed at real tokens only.

    Args:
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
    if not all(targets):
        raise ShapeError("a target has no token, and so no log_p; end it with the end token")
    tokens, is_token = model.pad(targets)
    index = torch.tensor(list(rows), dtype=torch.long, device=tokens.device)
    hidden = model.hidden_states(model.encode(inputs), index, tokens)  # [N, T, d]
    logits = model.logits(hidden[is_token]).float()  # [real tokens, V]
    taken = logits.gather(1, tokens[is_token][:, None])[:, 0] - logits.logsumexp(1)
    log_p = taken.new_zeros(tokens.shape).masked_scatter(is_token, taken)
    return log_p, is_token


def text_log_p(
    model: TextModel,
    inputs: Sequence[Sequence[int]],
    candidates: Sequence[Sequence[Sequence[int]]],
) -> tuple[Tensor, Tensor]:
    """Log-probability of each candidate text of each prompt.

    Args:
        inputs: B prompts in token ids.
        candidates: for each prompt its texts in token ids, any number.

    Returns:
        log_p [B, K] in nats, summed over tokens, 0 in padding, and is_real [B, K] bool.

    Raises:
        ShapeError: if inputs and candidates differ in length, or there is no candidate at all.
    """
    if len(inputs) != len(candidates):
        raise ShapeError(f"{len(inputs)} inputs but candidates of {len(candidates)}")
    flat = [target for of_one in candidates for target in of_one]
    if not flat:
        raise ShapeError("no candidates: give at least one text to score")
    rows = [row for row, of_one in enumerate(candidates) for _ in of_one]
    columns = [column for of_one in candidates for column in range(len(of_one))]
    per_token, _ = token_log_p(model, inputs, flat, rows)
    totals = per_token.sum(1)
    place = (
        torch.tensor(rows, device=totals.device),
        torch.tensor(columns, device=totals.device),
    )
    shape = (len(inputs), max(map(len, candidates)))
    log_p = totals.new_zeros(shape).index_put(place, totals)
    is_real = torch.zeros(shape, dtype=torch.bool, device=totals.device)
    is_real[place] = True
    return log_p, is_real
