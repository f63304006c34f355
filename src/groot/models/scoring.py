"""Log-probabilities of whole candidates; the input runs once per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from groot.errors import ShapeError
from groot.models.codec import Codec
from groot.models.prefix_forest import PrefixForest
from groot.models.t5 import training as t5_training
from groot.models.text_model import TextModel
from groot.targets.grammar import EncodedTarget, Normalise


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
    device = model.device
    tokens, is_token = _padded([target.tokens for target in targets], model.pad_id)
    decisions, is_decision = _padded([target.decisions for target in targets], 0)
    states, _ = _padded([target.states for target in targets], 0)
    return TargetBatch(
        torch.tensor(list(rows), dtype=torch.long, device=device),
        tokens.to(device),
        is_token.to(device),
        decisions.to(device),
        states.to(device),
        is_decision.to(device),
    )


def _padded(rows: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Numbers and mask [N, T] of rows of different lengths."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    is_real = np.arange(lengths.max(initial=0)) < lengths[:, None]
    table = np.full(is_real.shape, filler, dtype=np.int64)
    table[is_real] = np.fromiter(chain.from_iterable(rows), np.int64, count=int(lengths.sum()))
    return torch.from_numpy(table), torch.from_numpy(is_real)


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
    if normalise == "vocabulary":
        is_choice = targets.is_token
        positions = torch.arange(targets.tokens.shape[1], device=targets.tokens.device)
        positions = positions.expand_as(targets.tokens)
    else:
        is_choice, positions = targets.is_decision, targets.decisions
    hidden, place = asked_states(model, inputs, targets, positions, is_choice)
    chosen = targets.tokens.gather(1, positions)
    if normalise == "vocabulary":
        log_p, column = model.logits(hidden).float().log_softmax(-1), chosen
    else:
        choice_ids = codec.choice_ids.to(hidden.device)
        states = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
        states[place[is_choice]] = targets.states[is_choice]
        allowed = codec.is_allowed.to(hidden.device)[states]  # [Q, A]
        logits = model.logits(hidden, choice_ids).float()
        log_p = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        column = torch.searchsorted(choice_ids, chosen)
    column = torch.where(is_choice, column, column.new_zeros(()))
    taken = log_p.flatten()[place * log_p.shape[1] + column]
    return taken.masked_fill(~is_choice, 0.0), is_choice


def packs(model: TextModel) -> bool:
    """Whether what the candidates of a text share is computed once.

    So it is for the T5 family, LoRA or not. For the others every candidate is a row of its own
    behind the encoded text; so it is for a T5 whose blocks are wrapped or recomputed, too.
    """
    return not model.is_causal and t5_training.is_possible(model._parts[0])


def asked_states(
    model: TextModel,
    inputs: Sequence[Sequence[int]],
    targets: TargetBatch,
    positions: Tensor,
    is_asked: Tensor,
    *,
    shares: bool = True,
) -> tuple[Tensor, Tensor]:
    """Hidden states that predict the tokens of targets at some of their positions.

    Args:
        positions: [N, D] in the tokens.
        is_asked: [N, D] True for real ones.
        shares: False computes what candidates share once for each, to measure what it costs.

    Returns:
        hidden states [Q, d], and for each position the row of its state [N, D]; candidates of a
        text that are equal up to a position may have one state for it.
    """
    if not packs(model):
        memory = model.encode(inputs)
        hidden = model.hidden_states(memory, targets.rows, targets.tokens)
        hidden = hidden.gather(1, positions[:, :, None].expand(-1, -1, hidden.shape[2]))
        place = torch.arange(positions.numel(), device=positions.device)
        return hidden.flatten(0, 1), place.view(positions.shape)
    core, encoder, decoder = model._parts
    forest = PrefixForest(targets.rows, targets.tokens, positions, is_asked, shares=shares)
    if torch.is_grad_enabled() or model.training:
        ids, is_input = model.pad(inputs)
        states = t5_training.encode(encoder, ids, is_input)
    else:
        memory = model.encode(inputs)
        states, is_input = memory.states[memory.mask], memory.mask
    start_id = core.config.decoder_start_token_id
    return t5_training.tree_states(decoder, states, is_input, forest, start_id), forest.place


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
