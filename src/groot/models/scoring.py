"""Log-probabilities of whole candidates; the input runs once per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groot.errors import ShapeError
from groot.labels.grammar import EncodedTarget, Normalise
from groot.models.codec import Codec
from groot.models.text_model import TextModel


@dataclass(frozen=True, slots=True)
class TargetBatch:
    """N targets of B inputs, padded.

    Args:
        rows: [N] which input each belongs to.
        tokens: [N, T] ids, end included.
        is_token: [N, T] True for real ids.
        decisions: [N, D] positions in tokens that were not forced.
        states: [N, D] grammar state of each decision.
        is_decision: [N, D] True for real decisions.
    """

    rows: Tensor
    tokens: Tensor
    is_token: Tensor
    decisions: Tensor
    states: Tensor
    is_decision: Tensor


def collate_targets(
    model: TextModel, targets: Sequence[EncodedTarget], rows: Sequence[int]
) -> TargetBatch:
    """Pad targets to one batch."""
    tokens, is_token = model.pad([target.tokens for target in targets])
    decisions, is_decision = model.pad([target.decisions for target in targets])
    states, _ = model.pad([target.states for target in targets])
    zero = torch.zeros((), dtype=torch.long, device=decisions.device)
    return TargetBatch(
        torch.tensor(list(rows), device=tokens.device),
        tokens,
        is_token,
        torch.where(is_decision, decisions, zero),
        torch.where(is_decision, states, zero),
        is_decision,
    )


def decision_log_p(
    model: TextModel,
    codec: Codec,
    inputs: Sequence[Sequence[int]],
    targets: TargetBatch,
    *,
    normalise: Normalise = "allowed",
) -> tuple[Tensor, Tensor]:
    """Log-probability of each choice of each target, and where choices are.

    Args:
        inputs: B inputs in token ids.
        targets: N targets of them.
        normalise: "allowed" shares probability one among what the grammar allows, so that forced
            tokens cost nothing and all legal targets together have probability one;
            "vocabulary" is the model's own softmax, forced tokens included.

    Returns:
        log_p [N, D] or [N, T] in nats, and the bool mask of the same shape; 0 where masked.
    """
    memory = model.encode(inputs)
    hidden = model.hidden_states(memory, targets.rows, targets.tokens)
    if normalise == "vocabulary":
        log_p = model.logits(hidden).float().log_softmax(-1)
        taken = log_p.gather(2, targets.tokens[:, :, None])[:, :, 0]
        return taken.masked_fill(~targets.is_token, 0.0), targets.is_token
    at = targets.decisions[:, :, None].expand(-1, -1, hidden.shape[2])
    choice_ids = codec.choice_ids.to(hidden.device)
    logits = model.logits(hidden.gather(1, at), choice_ids).float()  # [N, D, A]
    allowed = codec.is_allowed.to(hidden.device)[targets.states]  # [N, D, A]
    log_p = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
    chosen = targets.tokens.gather(1, targets.decisions)
    place = torch.searchsorted(choice_ids, chosen)
    place = torch.where(targets.is_decision, place, place.new_zeros(()))
    taken = log_p.gather(2, place[:, :, None])[:, :, 0]
    return taken.masked_fill(~targets.is_decision, 0.0), targets.is_decision


def candidate_log_p(
    model: TextModel,
    codec: Codec,
    inputs: Sequence[Sequence[int]],
    candidates: Sequence[Sequence[EncodedTarget]],
    *,
    normalise: Normalise = "allowed",
) -> tuple[Tensor, Tensor]:
    """Log-probability of each candidate of each input, the input encoded once.

    Args:
        inputs: B inputs in token ids.
        candidates: for each input its candidates, any number.

    Returns:
        log_p [B, K] in nats, summed over tokens, end included, and is_real [B, K]; 0 in padding.

    Raises:
        ShapeError: if inputs and candidates differ in length.
    """
    if len(inputs) != len(candidates):
        raise ShapeError(f"{len(inputs)} inputs but candidates of {len(candidates)}")
    flat = [target for of_one in candidates for target in of_one]
    rows = [row for row, of_one in enumerate(candidates) for _ in of_one]
    columns = [column for of_one in candidates for column in range(len(of_one))]
    width = max((len(of_one) for of_one in candidates), default=0)
    targets = collate_targets(model, flat, rows)
    per_choice, _ = decision_log_p(model, codec, inputs, targets, normalise=normalise)
    shape = (len(inputs), width)
    place = (targets.rows, torch.tensor(columns, dtype=torch.long, device=targets.rows.device))
    totals = per_choice.sum(1)
    log_p = totals.new_zeros(shape).index_put(place, totals)
    is_real = torch.zeros(shape, dtype=torch.bool, device=totals.device)
    is_real[place] = True
    return log_p, is_real
