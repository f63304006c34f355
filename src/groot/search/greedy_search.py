"""The greedy target of a few texts by parallel verification: a guess, checked in one pass.

A pass over a whole guessed target tells what greedy search would choose in each slot if the guess
before it were right. Up to the first slot where both differ, and in that slot, the choices are
final; what follows is the next guess. So a target takes about as many passes as its choices depend
on each other, never more than it has slots. It does more arithmetic than one step per slot, and
wins where a pass is short.

Source: Stern et al., Blockwise Parallel Decoding (2018), and Santilli et al., Accelerating
Transformer Inference for Translation via Parallel Decoding (2023), the Jacobi iteration.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from groot.search.found import Found, is_proven
from groot.search.label_tables import LabelTables
from groot.search.step import StepModel


def greedy_search(
    model: StepModel,
    tables: LabelTables,
    glue: list[tuple[int, ...]],
    end: int,
    memory: Any,
    n_slots: list[int],
) -> list[Found]:
    """Search greedily, over the allowed tokens; the same labels as one step per slot.

    Args:
        tables: of a grammar that `keeps_step` and whose state follows from the last token alone.
        glue: forced tokens before each slot of the longest text.
        end: the one forced token behind the last slot.
        memory: the texts, encoded, longest first.
        n_slots: of each, descending, at least 1.
    """
    device, after = model.device, tables.next_of_column
    assert after is not None
    texts, slots = len(n_slots), n_slots[0]
    # whether the choice of a slot is of consequence: there, and not the text's last
    lengths = torch.tensor(n_slots, device=device)[:, None]
    is_slot = torch.arange(slots, device=device) < lengths
    matters = torch.arange(slots, device=device) < lengths - 1
    # place of each slot's choice among the target's tokens
    places = torch.tensor([len(ids) for ids in glue], device=device).cumsum(0)
    places += torch.arange(slots, device=device)
    tokens = torch.zeros((texts, int(places[-1])), dtype=torch.long, device=device)
    is_forced = torch.ones(tokens.shape[1], dtype=torch.bool, device=device)
    is_forced[places[:-1]] = False
    forced = torch.tensor([i for ids in glue for i in ids], dtype=torch.long, device=device)
    tokens[:, is_forced] = forced
    first_guess = int(torch.searchsorted(tables.choice_ids, tables.grammar.tokens[0][0]))
    columns = torch.full((texts, slots), first_guess, device=device)
    best = torch.zeros((texts, slots), device=device)  # log_p of each choice, and of its runner-up
    second = torch.full((texts, slots), -math.inf, device=device)
    decoding, done = None, 0
    while True:
        tokens[:, places[:-1]] = tables.choice_ids[columns[:, :-1]]
        if decoding is None:
            rows = torch.arange(texts, device=device)
            lexicon = tables.lexicon([*glue, (end,)])
            decoding, hidden = model.begin(memory, rows, tokens, lexicon=lexicon)
            hidden = hidden[:, places]
        else:  # slot done - 1 is final, and so is all before it
            start = int(places[done - 1])
            decoding.rewind(start)
            hidden = decoding.advance(tokens[:, start:])[:, places[done:] - start - 1]
        states = after[columns[:, done - 1 : -1]] if done else _from_first(after, columns)
        logits = model.logits(hidden, tables.choice_ids).float() + tables.blocked[states]
        values, index = logits.log_softmax(-1).topk(min(2, tables.n_columns), dim=2)
        chosen = index[:, :, 0]
        best[:, done:] = values[:, :, 0]
        if values.shape[2] > 1:
            second[:, done:] = values[:, :, 1]
        differs = ((chosen != columns[:, done:]) & matters[:, done:]).any(0)
        columns[:, done:] = chosen
        if not bool(differs.any()):
            break
        done += int(differs.int().argmax()) + 1
    best = best.masked_fill(~is_slot, 0.0)
    total = best.cumsum(1)
    lost = (total - best + second).masked_fill(~is_slot, -math.inf).max(1).values
    said = tables.says.max(0).values[columns]  # a token says the same in every state
    results = []
    for n, row, value, bound in zip(
        n_slots, said.tolist(), total[:, -1].tolist(), lost.tolist(), strict=True
    ):
        path = tuple(tables.symbols[index][0] for index in row[:n])
        results.append(Found((path,), (value,), is_proven([value], 1, bound), 1))
    return results


def _from_first(after: Tensor, columns: Tensor) -> Tensor:
    """[B, slots] the state before each slot."""
    return torch.cat([torch.zeros_like(columns[:, :1]), after[columns[:, :-1]]], dim=1)
