"""Log-probabilities of targets, labels and free texts alike; the input runs once per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from groot.errors import ShapeError
from groot.models.prefix_forest import PrefixForest
from groot.models.step import Spelling
from groot.models.t5 import training as t5_training
from groot.models.text_model import TextModel
from groot.targets.grammar import EncodedTarget


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
    spelling: Spelling | None,
    inputs: Sequence[Sequence[int]],
    targets: TargetBatch,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each decision of each target, and where decisions are.

    Args:
        model: the model that writes.
        spelling: what a decision is between. A label grammar shares probability one among what it
            allows, so that forced tokens cost nothing and all legal targets together have
            probability one. None is free text: every token is a decision between all tokens of
            the vocabulary.
        inputs: B inputs in token ids.
        targets: N targets of them; those of a free text are `EncodedTarget.free`.

    Returns:
        log_p [N, D] in nats, 0 where masked, and is_decision [N, D] bool.

    Raises:
        ShapeError: if a free text has no token.
    """
    if spelling is None:
        return _vocabulary_log_p(model, inputs, targets), targets.is_decision
    return _grammar_log_p(model, spelling, inputs, targets), targets.is_decision


def _grammar_log_p(
    model: TextModel, spelling: Spelling, inputs: Sequence[Sequence[int]], targets: TargetBatch
) -> Tensor:
    is_decision = targets.is_decision
    hidden, place = asked_states(model, inputs, targets)
    choice_ids = spelling.choice_ids.to(hidden.device)
    states = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
    states[place[is_decision]] = targets.states[is_decision]
    allowed = spelling.is_allowed.to(hidden.device)[states]  # [Q, A]
    logits = model.logits(hidden, choice_ids).float()
    log_p = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
    column = torch.searchsorted(choice_ids, targets.tokens.gather(1, targets.decisions))
    column = torch.where(is_decision, column, column.new_zeros(()))
    taken = log_p.flatten()[place * log_p.shape[1] + column]
    return taken.masked_fill(~is_decision, 0.0)


def _vocabulary_log_p(
    model: TextModel, inputs: Sequence[Sequence[int]], targets: TargetBatch
) -> Tensor:
    """Logits are computed at real tokens only."""
    is_token = targets.is_token
    if not is_token.any(dim=1).all():
        raise ShapeError("a target has no token, and so no log_p; end it with the end token")
    hidden = model.hidden_states(model.encode(inputs), targets.rows, targets.tokens)  # [N, T, d]
    logits = model.logits(hidden[is_token]).float()  # [real tokens, V]
    chosen = targets.tokens[is_token]
    taken = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(1)
    return taken.new_zeros(is_token.shape).masked_scatter(is_token, taken)


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
) -> tuple[Tensor, Tensor]:
    """Hidden states that predict the decisions of targets.

    Returns:
        hidden states [Q, d], and for each decision the row of its state [N, D]; candidates of a
        text that are equal up to a decision may have one state for it.
    """
    positions = targets.decisions
    if not packs(model):
        memory = model.encode(inputs)
        hidden = model.hidden_states(memory, targets.rows, targets.tokens)
        hidden = hidden.gather(1, positions[:, :, None].expand(-1, -1, hidden.shape[2]))
        place = torch.arange(positions.numel(), device=positions.device)
        return hidden.flatten(0, 1), place.view(positions.shape)
    core, encoder, decoder = model._parts
    forest = PrefixForest(targets.rows, targets.tokens, positions, targets.is_decision)
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
    spelling: Spelling | None,
    inputs: Sequence[Sequence[int]],
    candidates: Sequence[Sequence[EncodedTarget]],
) -> tuple[Tensor, Tensor]:
    """Log-probability of each candidate of each input, the input encoded once.

    Args:
        model: the model that writes.
        spelling: see `decision_log_p`; None is free text.
        inputs: B inputs in token ids.
        candidates: for each input its candidates, any number.

    Returns:
        log_p [B, K] in nats, summed over decisions, 0 in padding, and is_real [B, K] bool.

    Raises:
        ShapeError: if inputs and candidates differ in length, or no free text is given at all.
    """
    if len(inputs) != len(candidates):
        raise ShapeError(f"{len(inputs)} inputs but candidates of {len(candidates)}")
    flat = [target for of_input in candidates for target in of_input]
    if spelling is None and not flat:
        raise ShapeError("no candidates: give at least one text to score")
    rows = [row for row, of_input in enumerate(candidates) for _ in of_input]
    columns = [column for of_input in candidates for column in range(len(of_input))]
    targets = collate_targets(model, flat, rows)
    per_decision, _ = decision_log_p(model, spelling, inputs, targets)
    totals = per_decision.sum(1)
    shape = (len(inputs), max(map(len, candidates), default=0))
    place = (targets.rows, torch.tensor(columns, dtype=torch.long, device=totals.device))
    log_p = totals.new_zeros(shape).index_put(place, totals)
    is_real = torch.zeros(shape, dtype=torch.bool, device=totals.device)
    is_real[place] = True
    return log_p, is_real
