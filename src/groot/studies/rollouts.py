"""Texts continued from a prefix, and the ranks that a guide gives to the tokens of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from groot.errors import ShapeError
from groot.guides.guide import Guide, Prefixes
from groot.models.text_model import TextModel

Tokens = Sequence[int]


@torch.no_grad()
def continue_texts(
    model: TextModel,
    inputs: Sequence[Tokens],
    rows: Sequence[int],
    prefixes: Sequence[Tokens],
    *,
    max_new_tokens: int,
    top_k: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> list[list[int]]:
    """One sampled continuation of each prefix, by the unguided model.

    Prefixes of equal length are written together; finished texts leave the batch.

    Args:
        inputs: B inputs in token ids.
        rows: [N] which input each prefix belongs to.
        prefixes: N prefixes in token ids, not empty; one that ends with the end token stays as it
            is.
        max_new_tokens: tokens of the whole text at most, prefix and end included.
        top_k: only the most probable tokens are drawn from; None for all.
        seed: of the draws; the same call gives the same texts.

    Returns:
        N whole texts, prefix included.

    Raises:
        ShapeError: if rows and prefixes differ in number, or a prefix is empty.
    """
    if len(rows) != len(prefixes):
        raise ShapeError(f"{len(rows)} rows but {len(prefixes)} prefixes: each needs its row")
    if not all(prefixes):
        raise ShapeError("a prefix has no token; sample whole texts with search.sampling.sample")
    model.eval()
    texts = [list(prefix) for prefix in prefixes]
    is_open = [len(prefix) < max_new_tokens and prefix[-1] != model.end_id for prefix in prefixes]
    random = torch.Generator(device="cpu").manual_seed(seed)
    todo = sorted(
        (i for i in range(len(texts)) if is_open[i]), key=lambda i: (len(texts[i]), rows[i])
    )
    for batch in _of_equal_length(todo, texts, batch_size):
        used = sorted({rows[i] for i in batch})
        place = {row: index for index, row in enumerate(used)}
        device = model.device
        decoding, hidden = model.begin(
            model.encode([inputs[row] for row in used]),
            torch.tensor([place[rows[i]] for i in batch], device=device),
            torch.tensor([texts[i] for i in batch], device=device),
        )
        last = hidden[:, -1]
        while batch:
            drawn = _draw(model.logits(last).float(), top_k, random)
            for i, token in zip(batch, drawn.tolist(), strict=True):
                texts[i].append(token)
            kept = [
                at
                for at, i in enumerate(batch)
                if texts[i][-1] != model.end_id and len(texts[i]) < max_new_tokens
            ]
            if not kept:
                break
            if len(kept) < len(batch):
                index = torch.tensor(kept, device=device)
                decoding.reorder(index)
                drawn, batch = drawn[index], [batch[at] for at in kept]
            last = decoding.advance(drawn[:, None])[:, -1]
    return texts


def _of_equal_length(
    order: Sequence[int], texts: Sequence[Tokens], batch_size: int
) -> Iterator[list[int]]:
    """Indices in batches of texts that have the same number of tokens."""
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) == batch_size or len(texts[batch[0]]) != len(texts[i])):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _draw(logits: Tensor, top_k: int | None, random: torch.Generator) -> Tensor:
    """[N] tokens drawn from logits [N, V]."""
    if top_k is None or top_k >= logits.shape[1]:
        drawn = torch.multinomial(logits.softmax(1).cpu(), 1, generator=random)
        return drawn[:, 0].to(logits.device)
    best, tokens = logits.topk(top_k, dim=1)
    drawn = torch.multinomial(best.softmax(1).cpu(), 1, generator=random).to(logits.device)
    return tokens.gather(1, drawn)[:, 0]


@torch.no_grad()
def token_ranks(
    model: TextModel,
    inputs: Sequence[Tokens],
    outputs: Sequence[Tokens],
    *,
    guide: Guide | None = None,
    batch_size: int = 64,
) -> list[list[int]]:
    """The rank of each token of each output among all next tokens, from 1.

    The guide re-scores the most probable tokens; those that it does not see keep the model's order
    behind them.

    Args:
        inputs: N inputs in token ids.
        outputs: the output of each in token ids, not empty.
        guide: whose distribution is looked at; None for the model's own.

    Raises:
        ShapeError: if inputs and outputs differ in number, or an output is empty.
    """
    if len(inputs) != len(outputs) or not all(outputs):
        raise ShapeError(f"{len(inputs)} inputs, {len(outputs)} outputs: one each, and none empty")
    model.eval()
    ranks: list[list[int]] = [[] for _ in outputs]
    for first in range(0, len(outputs), batch_size):
        batch = list(range(first, min(first + batch_size, len(outputs))))
        batch_inputs = [inputs[i] for i in batch]
        rows = torch.arange(len(batch), device=model.device)
        prefixes = Prefixes(batch_inputs, rows, rows.new_zeros((len(batch), 0)))
        decoding, hidden = model.begin(model.encode(batch_inputs), rows, prefixes.tokens)
        state = None if guide is None else guide.begin(batch_inputs, rows)
        last, step = hidden[:, -1], 0
        while True:
            taken = torch.tensor([outputs[i][step] for i in batch], device=model.device)
            log_p = model.logits(last).float().log_softmax(1)
            ranked, state = _ranks_of(log_p, taken, prefixes, guide, state)
            for i, rank in zip(batch, ranked.tolist(), strict=True):
                ranks[i].append(rank)
            step += 1
            kept = [at for at, i in enumerate(batch) if len(outputs[i]) > step]
            if not kept:
                break
            index = torch.tensor(kept, device=model.device)
            taken, batch = taken[index], [batch[at] for at in kept]
            if guide is not None:
                state = guide.follow(state, index, taken)
            prefixes = Prefixes(
                batch_inputs,
                prefixes.rows[index],
                torch.cat([prefixes.tokens[index], taken[:, None]], dim=1),
            )
            decoding.reorder(index)
            last = decoding.advance(taken[:, None])[:, -1]
    return ranks


def _ranks_of(
    log_p: Tensor, taken: Tensor, prefixes: Prefixes, guide: Guide | None, state: object
) -> tuple[Tensor, object]:
    """Rank [N] of the tokens taken [N] under log_p [N, V], guided or not; and the guide's state."""
    own = (log_p > log_p.gather(1, taken[:, None])).sum(1) + 1
    if guide is None:
        return own, state
    best, tokens = log_p.topk(min(guide.n_candidates or log_p.shape[1], log_p.shape[1]), dim=1)
    scores, state = guide.rescore(best, tokens, prefixes, state)
    is_taken = tokens == taken[:, None]
    score = scores.masked_fill(~is_taken, -torch.inf).amax(1, keepdim=True)
    guided = (scores > score).sum(1) + 1
    return torch.where(is_taken.any(1), guided, own), state
