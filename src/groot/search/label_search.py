"""The top k targets of each text under a label grammar, with a certificate that they are the top k.

Beam search over decisions. A target's log_p only falls as it grows, so the best prefix that was
ever dropped bounds every target that could have come of it: if that bound is not above the k-th
result, the k results are the true top k. Texts without this certificate are searched again, wider.

Source of the bound: Meister et al., Best-First Beam Search (2020), monotonicity of the score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groot.labels.grammar import Normalise, TokenGrammar
from groot.search.step import Spelling, StepModel


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search for one text.

    Args:
        paths: the targets as symbols chosen, best first, at most k.
        log_p: of each, in nats.
        exact: True where these are proven to be the top k.
        width: number of prefixes that were kept.
    """

    paths: tuple[tuple[str, ...], ...]
    log_p: tuple[float, ...]
    exact: bool
    width: int


@torch.no_grad()
def label_search(
    model: StepModel,
    codec: Spelling,
    inputs: Sequence[Sequence[int]],
    n_slots: Sequence[int],
    *,
    k: int,
    width: int | None = None,
    max_width: int = 256,
    batch_size: int = 64,
    normalise: Normalise = "allowed",
) -> list[Found]:
    """Search the top k targets of each input.

    Args:
        inputs: token ids of each input.
        n_slots: slots of each target.
        k: targets wanted per input.
        width: prefixes kept; default 2 * k, at least 4 (1 for k = 1).
        max_width: inputs without a certificate are searched again at four times the width, up to
            this one; at most `width` switches the repetition off.
        batch_size: inputs searched together, of similar length.
        normalise: see `decision_log_p`.

    Returns:
        one Found per input, in the order given.
    """
    was_training = model.training
    model.train(False)
    width = width or (1 if k == 1 else max(2 * k, 4))
    found: list[Found | None] = [None] * len(inputs)
    if _keeps_step(codec, normalise):  # a text without words has one target, and it is forced
        for i in (i for i, n in enumerate(n_slots) if n == 0):
            found[i] = Found(((),), (0.0,), True, width)
    todo = [i for i, one in enumerate(found) if one is None]
    todo.sort(key=lambda i: (n_slots[i], len(inputs[i])))
    while todo:
        size = max(1, min(batch_size, batch_size * 16 // width))
        for first in range(0, len(todo), size):
            # longest first, so that finished texts are the last rows of a batch
            batch = todo[first : first + size][::-1]
            memory = model.encode([inputs[i] for i in batch])
            slots = [n_slots[i] for i in batch]
            search = _in_step if _keeps_step(codec, normalise) else _token_by_token
            for i, one in zip(
                batch, search(model, codec, memory, slots, k, width, normalise), strict=True
            ):
                found[i] = one
        if width >= max_width:
            break
        todo = [i for i in todo if not _found(found[i]).exact]
        width = min(4 * width, max_width)
    model.train(was_training)
    return [_found(one) for one in found]


def _found(one: Found | None) -> Found:
    assert one is not None
    return one


def _keeps_step(codec: Spelling, normalise: Normalise) -> bool:
    """Whether each slot of each text takes one decision of one token."""
    grammar = codec.grammar
    return normalise == "allowed" and grammar.one_token_symbols and all(map(all, grammar.closes))


class _Tables:
    """A grammar in which each slot takes one token, as tensors over the columns of `choice_ids`."""

    def __init__(self, codec: Spelling, device: torch.device) -> None:
        grammar = codec.grammar
        self.choice_ids = codec.choice_ids.to(device)
        self.allowed = codec.is_allowed.to(device)
        column_of = {int(token): column for column, token in enumerate(codec.choice_ids)}
        next_states = torch.zeros(self.allowed.shape, dtype=torch.long)
        self.symbols = [""] * len(column_of)
        for state, tokens in enumerate(grammar.tokens):
            for place, token in enumerate(tokens):
                next_states[state, column_of[token]] = grammar.next_states[state][place]
                self.symbols[column_of[token]] = str(grammar.symbols[state][place])
        self.next_states = next_states.to(device)


# per slot: which kept prefix each prefix continues, and by which column, [texts][beams]
_History = list[tuple[list[list[int]], list[list[int]]]]


def _in_step(
    model: StepModel,
    codec: Spelling,
    memory: Any,
    n_slots: list[int],
    k: int,
    width: int,
    normalise: Normalise,
) -> list[Found]:
    """One decoder step per slot, forced tokens riding along; texts ordered longest first."""
    device, tables = model.device, _Tables(codec, model.device)
    n_texts, longest = len(n_slots), max(n_slots)
    glue = [torch.tensor(ids, dtype=torch.long, device=device) for ids in codec.glue_ids(longest)]
    decoding, hidden = model.begin(
        memory, torch.arange(n_texts, device=device), glue[0].expand(n_texts, -1)
    )
    log_p = torch.zeros((n_texts, 1), device=device)  # [texts, beams]
    states = torch.zeros((n_texts, 1), dtype=torch.long, device=device)
    pruned = torch.full((n_texts,), -math.inf, device=device)
    history: _History = []
    finished: list[Found] = []
    for slot in range(longest):
        texts, beams = log_p.shape
        logits = model.logits(hidden[:, -1], tables.choice_ids).float().view(texts, beams, -1)
        step = logits.masked_fill(~tables.allowed[states], -math.inf).log_softmax(-1)
        total = (log_p[:, :, None] + step).flatten(1)
        keep = min(width, total.shape[1])
        best, index = total.topk(min(keep + 1, total.shape[1]), dim=1)
        if best.shape[1] > keep:
            pruned = torch.maximum(pruned, best[:, keep])
        log_p, index = best[:, :keep], index[:, :keep]
        parents, columns = index // step.shape[2], index % step.shape[2]
        states = tables.next_states[states.gather(1, parents), columns]
        history.append((parents.tolist(), columns.tolist()))

        still = sum(n > slot + 1 for n in n_slots)
        for text in range(texts - 1, still - 1, -1):
            values = [value for value in log_p[text, :k].tolist() if value > -math.inf]
            paths = [_trace(history, text, rank, tables.symbols) for rank in range(len(values))]
            lost = float(pruned[text])
            exact = lost == -math.inf or (len(values) >= k and lost <= values[-1])
            finished.append(Found(tuple(paths), tuple(values), exact, width))
        if still == 0:
            break
        log_p, states, pruned = log_p[:still], states[:still], pruned[:still]
        chosen = tables.choice_ids[columns[:still].reshape(-1)][:, None]
        rows = torch.arange(still, device=device)[:, None] * beams + parents[:still]
        decoding.reorder(rows.view(-1))
        forced = glue[slot + 1].expand(len(chosen), -1)
        hidden = decoding.advance(torch.cat([chosen, forced], dim=1))
    return finished[::-1]


def _trace(history: _History, text: int, rank: int, symbols: list[str]) -> tuple[str, ...]:
    """The symbols of a text's target that ended at `rank`."""
    path = []
    for parents, columns in reversed(history):
        path.append(symbols[columns[text][rank]])
        rank = parents[text][rank]
    return tuple(reversed(path))


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A target being written, token by token."""

    log_p: float
    state: int
    slot: int
    forced: tuple[int, ...]
    path: tuple[str, ...]
    row: int


def _token_by_token(
    model: StepModel,
    codec: Spelling,
    memory: Any,
    n_slots: list[int],
    k: int,
    width: int,
    normalise: Normalise,
) -> list[Found]:
    """The general search: one token a step, for labels of several tokens and open slots."""
    grammar, device = codec.grammar, model.device
    glues = [codec.glue_ids(n) for n in n_slots]
    beams = [[_Prefix(0.0, 0, 0, tuple(glue[0]), (), i)] for i, glue in enumerate(glues)]
    done: list[list[_Prefix]] = [[] for _ in n_slots]
    lost = [-math.inf] * len(n_slots)
    empty = torch.zeros((len(n_slots), 0), dtype=torch.long, device=device)
    decoding, hidden = model.begin(memory, torch.arange(len(n_slots), device=device), empty)
    while any(beams):
        logits = model.logits(hidden[:, -1]).float()
        log_p = logits.log_softmax(-1) if normalise == "vocabulary" else logits
        rows: list[int] = []
        tokens: list[int] = []
        for text, prefixes in enumerate(beams):
            grown: list[tuple[_Prefix, int]] = []
            for prefix in prefixes:
                grown += _grow(prefix, log_p[prefix.row], grammar, glues[text], normalise)
            grown.sort(key=lambda pair: -pair[0].log_p)
            over = [pair for pair in grown if _is_complete(pair[0], n_slots[text])]
            open_ = [pair for pair in grown if not _is_complete(pair[0], n_slots[text])]
            done[text] = sorted([*done[text], *(p for p, _ in over)], key=lambda p: -p.log_p)
            enough = done[text][k - 1].log_p if len(done[text]) >= k else -math.inf
            kept = [pair for pair in open_[:width] if pair[0].log_p > enough]
            lost[text] = max([lost[text], *(p.log_p for p, _ in open_[width : width + 1])])
            beams[text] = []
            for prefix, token in kept:
                beams[text].append(
                    _Prefix(
                        prefix.log_p,
                        prefix.state,
                        prefix.slot,
                        prefix.forced,
                        prefix.path,
                        len(rows),
                    )
                )
                rows.append(prefix.row)
                tokens.append(token)
        if rows:
            decoding.reorder(torch.tensor(rows, device=device))
            hidden = decoding.advance(torch.tensor(tokens, device=device)[:, None])
    results = []
    for text, over_all in enumerate(done):
        best = over_all[:k]
        bound = best[-1].log_p if len(best) >= k else -math.inf
        exact = lost[text] == -math.inf or lost[text] <= bound
        results.append(
            Found(tuple(p.path for p in best), tuple(p.log_p for p in best), exact, width)
        )
    return results


def _is_complete(prefix: _Prefix, n_slots: int) -> bool:
    return prefix.slot == n_slots and not prefix.forced


def _grow(
    prefix: _Prefix,
    scores: Tensor,
    grammar: TokenGrammar,
    glue: list[tuple[int, ...]],
    normalise: Normalise,
) -> list[tuple[_Prefix, int]]:
    """Every legal continuation of a prefix by one token, with that token."""
    if prefix.forced:
        token = prefix.forced[0]
        cost = float(scores[token]) if normalise == "vocabulary" else 0.0
        grown = _Prefix(
            prefix.log_p + cost,
            prefix.state,
            prefix.slot,
            prefix.forced[1:],
            prefix.path,
            prefix.row,
        )
        return [(grown, token)]
    tokens = grammar.tokens[prefix.state]
    chosen = scores[list(tokens)]
    if normalise == "allowed":
        chosen = chosen.log_softmax(-1)
    continued = []
    for at, (token, value) in enumerate(zip(tokens, chosen.tolist(), strict=True)):
        symbol = grammar.symbols[prefix.state][at]
        closes = grammar.closes[prefix.state][at]
        slot = prefix.slot + closes
        grown = _Prefix(
            prefix.log_p + value,
            grammar.next_states[prefix.state][at],
            slot,
            tuple(glue[slot]) if closes else (),
            (*prefix.path, symbol) if symbol is not None else prefix.path,
            prefix.row,
        )
        continued.append((grown, token))
    return continued
