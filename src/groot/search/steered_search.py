"""Label search under a guide: the best targets by log_p and reward together.

A reward model says what a whole prefix is worth, not what its last token adds. So a prefix is
scored by

    log_p(prefix) + weight * reward(prefix)

and the beam keeps the best of those; what a prefix was worth before plays no part. With a beam of
one this is the guide's own greedy policy, for at a step all candidates share the prefix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from groot.errors import ConfigError
from groot.guides.guide import Guide, Prefixes, SumOfGuides
from groot.guides.listed import Listed
from groot.guides.making import refusal_of_labels
from groot.models.step import Spelling, StepModel, evaluating
from groot.search.found import Found
from groot.search.label_tables import LabelTables, tables_of


@torch.inference_mode()
def steered_search(
    model: StepModel,
    codec: Spelling,
    inputs: Sequence[Sequence[int]],
    n_slots: Sequence[int],
    *,
    guide: Guide,
    k: int = 1,
    width: int = 4,
    batch_size: int = 64,
) -> list[Found]:
    """Search targets of each input under a label grammar, steered by rewards of prefixes.

    Args:
        inputs: token ids of each input.
        n_slots: slots of each target.
        guide: of a reward model, or a sum of such guides; of each prefix, its `n_candidates` most
            probable labels are scored.
        k: targets wanted per input, at most `width`.
        width: prefixes kept; 1 is greedy.
        batch_size: inputs searched together, of similar length.

    Returns:
        one Found per input, best first by log_p + weight * reward; its log_p is that of the model
        alone, and it is never proven.

    Raises:
        ConfigError: for a guide that does not score whole prefixes, labels of several tokens, or
            k and width that do not fit.

    Source: Rashid et al., A Critical Look At Tokenwise Reward-Guided Text Generation (PARGS, 2024);
    what we changed: forced tokens are not scored, and beams wider than one.
    """
    if not 1 <= k <= width:
        raise ConfigError(f"k is {k}, width is {width}; want 1 <= k <= width.")
    check_steers_labels(guide)
    tables = tables_of(codec, model.device)
    check_takes_guides(tables)
    results = [Found(((),), (0.0,), False, width, (0.0,))] * len(inputs)  # of texts without words
    todo = sorted((i for i, n in enumerate(n_slots) if n), key=lambda i: n_slots[i])
    with evaluating(model):
        for first in range(0, len(todo), batch_size):
            # longest first, so that finished texts are the last rows of a batch
            rows = todo[first : first + batch_size][::-1]
            texts, slots = [inputs[i] for i in rows], [n_slots[i] for i in rows]
            answers = _search(model, codec, texts, slots, guide, k=k, width=width)
            for i, answer in zip(rows, answers, strict=True):
                results[i] = answer
    return results


def check_takes_guides(tables: LabelTables) -> None:
    """Raise ConfigError for a label grammar that cannot be searched under a guide."""
    if not tables.keeps_step:
        raise ConfigError(
            "a guide steers labels of one token each; this labeler's take several, or are classes."
            "\n  Train with model.label_style=token, or choose with --choose mbr."
        )


def check_steers_labels(guide: Listed) -> None:
    """Raise ConfigError for a guide that has no reward of whole prefixes."""
    parts = guide.guides if isinstance(guide, SumOfGuides) else (guide,)
    for part in parts:
        if not part.steers_labels:
            raise ConfigError(refusal_of_labels(part.name))


def _search(
    model: StepModel,
    codec: Spelling,
    inputs: list[Sequence[int]],
    n_slots: list[int],
    guide: Guide,
    *,
    k: int,
    width: int,
) -> list[Found]:
    """One batch, longest text first."""
    device, tables = model.device, tables_of(codec, model.device)
    glue = codec.glue_ids(n_slots[0])
    texts = len(inputs)
    rows = torch.arange(texts, device=device)  # the text of each prefix
    begin = torch.tensor(glue[0], device=device).expand(texts, -1)
    decoding, hidden = model.begin(model.encode(inputs), rows, begin)
    state = guide.begin(inputs, rows)
    state = _follow(guide, state, rows, begin)
    tokens, log_p = begin, torch.zeros(texts, device=device)
    choices = torch.zeros((texts, 0), dtype=torch.long, device=device)
    states = torch.zeros(texts, dtype=torch.long, device=device)
    results: list[Found] = []
    beams = 1
    for slot in range(n_slots[0]):
        logits = model.logits(hidden[:, -1], tables.choice_ids).float()
        step = (logits + tables.blocked[states]).log_softmax(-1)
        likely, columns = step.topk(min(guide.n_candidates or step.shape[1], step.shape[1]), dim=1)
        total = log_p[:, None] + likely  # [N, c]
        scores, state = guide.rescore(
            total, tables.choice_ids[columns], Prefixes(inputs, rows, tokens), state
        )
        scores = scores.view(texts, -1)  # [texts, beams * c]
        best, place = scores.topk(min(width, scores.shape[1]), dim=1)
        parents = torch.div(place, columns.shape[1], rounding_mode="floor")
        index = (torch.arange(texts, device=device)[:, None] * beams + parents).view(-1)
        columns = columns.view(texts, -1).gather(1, place).view(-1)
        log_p = total.view(texts, -1).gather(1, place).view(-1)
        choices = torch.cat([choices[index], columns[:, None]], dim=1)
        beams = best.shape[1]
        still = sum(n > slot + 1 for n in n_slots)
        over = slice(still, None), slice(0, k)  # the best of the texts that end here
        paths, values = choices.view(texts, beams, -1)[over], log_p.view(texts, beams)[over]
        results = _found(tables, paths, values, best[over], width) + results
        if not still:
            break
        kept = still * beams
        index, columns, log_p, choices = (part[:kept] for part in (index, columns, log_p, choices))
        states = tables.next_states[states[index], columns]
        ahead = torch.tensor(glue[slot + 1], device=device).expand(kept, -1)
        fed = torch.cat([tables.choice_ids[columns][:, None], ahead], dim=1)
        decoding.reorder(index)
        hidden = decoding.advance(fed, at=slice(-1, None))
        state = _follow(guide, state, index, fed)
        tokens, rows, texts = torch.cat([tokens[index], fed], dim=1), rows[index], still
    return results


def _follow(guide: Guide, state: object, index: Tensor, tokens: Tensor) -> object:
    """The guide's state of the prefixes `index` [N'], with tokens [N', m] behind them."""
    for column in tokens.T:
        state = guide.follow(state, index, column)
        index = torch.arange(len(index), device=index.device)
    return state


def _found(
    tables: LabelTables, choices: Tensor, log_p: Tensor, scores: Tensor, width: int
) -> list[Found]:
    """Of texts that are finished: columns chosen [b, k, slots], log_p [b, k] and scores [b, k]."""
    results = []
    paths = tables.names[choices.cpu().numpy()].tolist()
    for targets, values, order in zip(paths, log_p.tolist(), scores.tolist(), strict=True):
        kept = [rank for rank, score in enumerate(order) if score > -math.inf]
        results.append(
            Found(
                tuple(tuple(targets[rank]) for rank in kept),
                tuple(values[rank] for rank in kept),
                False,
                width,
                tuple(order[rank] for rank in kept),
            )
        )
    return results
