"""The top k targets of each text under a label grammar, with a certificate that they are the top k.

Beam search over decisions. A target's log_p only falls as it grows, so the best prefix that was
ever dropped bounds every target that could have come of it: if that bound is not above the k-th
result, the k results are the true top k. Of texts without this certificate, what was dropped is
followed up where labels are of one token; those that still lack it are searched again, wider.

Source of the bound: Meister et al., Best-First Beam Search (2020), monotonicity of the score.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from groot.models.step import Spelling, StepModel
from groot.search.batch import Batch
from groot.search.decision_search import decision_search
from groot.search.follow_up import DROPPED, FollowUp
from groot.search.found import Found
from groot.search.greedy_search import greedy_search
from groot.search.label_tables import LabelTables, tables_of
from groot.search.slot_search import slot_search
from groot.search.tree_search import tree_search
from groot.targets.grammar import Normalise

__all__ = ["Found", "first_width", "label_search", "next_width"]

TEXTS_IN_PARALLEL = 4  # up to so many, greedy search guesses and checks instead of stepping
WIDEST_TREE = 16  # prefixes up to which one text is searched over guessed beams
GROWTH = 2  # how much wider a text without a certificate is searched each time
SECOND = 4  # the least width of such a search
MAX_WIDTH = 256  # the widest one


def first_width(k: int) -> int:
    """Prefixes kept in the first search for the top k, chosen by the time until all is proven.

    One more than k: nine texts of ten are proven then, and of most others what was dropped is
    followed up. The best target is searched greedily first: most often that proves it already.

    >>> first_width(1), first_width(5), first_width(16)
    (1, 6, 17)
    """
    return 1 if k == 1 else k + 1


def next_width(width: int) -> int:
    """Prefixes kept when a text is searched again.

    >>> next_width(1), next_width(first_width(5))
    (4, 12)
    """
    return max(SECOND, GROWTH * width)


@torch.inference_mode()
def label_search(
    model: StepModel,
    codec: Spelling,
    inputs: Sequence[Sequence[int]],
    n_slots: Sequence[int],
    *,
    k: int,
    n_proven: int | None = None,
    width: int | None = None,
    max_width: int = MAX_WIDTH,
    batch_size: int = 64,
    normalise: Normalise = "allowed",
) -> list[Found]:
    """Search the top k targets of each input.

    Args:
        inputs: token ids of each input.
        n_slots: slots of each target.
        k: targets wanted per input.
        n_proven: the first so many of them are to be proven, 1 to k; default all.
        width: prefixes kept; default `first_width`.
        max_width: what was dropped of inputs without a certificate is followed up, and those that
            still lack one are searched again at twice the width, up to this one; at most `width`
            switches both off. See `proofs` for what it cost.
        batch_size: inputs searched together, of similar length.
        normalise: over what the grammar allows, or over the vocabulary, forced tokens included.

    Returns:
        one Found per input, in the order given.
    """
    was_training = model.training
    if was_training:
        model.train(False)
    tables = tables_of(codec, model.device)
    width = width or first_width(k)
    found: list[Found | None] = [None] * len(inputs)
    if normalise == "allowed":  # a text without words has one target, and it is forced
        for i in (i for i, n in enumerate(n_slots) if n == 0):
            found[i] = Found(((),), (0.0,), True, width)
    todo = [i for i, one in enumerate(found) if one is None]
    todo.sort(key=lambda i: (len(inputs[i]), n_slots[i]))
    while todo:
        size = max(1, min(batch_size, batch_size * 16 // width))
        for first in range(0, len(todo), size):
            # most slots first, so that finished texts are the last rows of a batch
            batch = sorted(todo[first : first + size], key=lambda i: -n_slots[i])
            results = _search(
                model,
                codec,
                tables,
                [inputs[i] for i in batch],
                [n_slots[i] for i in batch],
                k=k,
                n_proven=n_proven or k,
                width=width,
                normalise=normalise,
                follows=width < max_width,
            )
            for i, one in zip(batch, results, strict=True):
                found[i] = one
        if width >= max_width:
            break
        todo = [i for i in todo if not _found(found[i]).exact]
        width = min(next_width(width), max_width)
    if was_training:
        model.train(True)
    return [_found(one) for one in found]


def _found(one: Found | None) -> Found:
    assert one is not None
    return one


def _search(
    model: StepModel,
    codec: Spelling,
    tables: LabelTables,
    inputs: list[Sequence[int]],
    n_slots: list[int],
    *,
    k: int,
    n_proven: int,
    width: int,
    normalise: Normalise,
    follows: bool,
) -> list[Found]:
    """One batch at one width, longest text first.

    Args:
        follows: whether to follow up what is dropped, for a proof.
    """
    memory = model.encode(inputs)
    glues = {n: codec.glue_ids(n) for n in set(n_slots)}
    ends = {glue[-1] for glue in glues.values()}
    (end,) = ends if len(ends) == 1 else ((),)
    keeps_step = tables.keeps_step and len(end) == 1 and min(n_slots) > 0
    can_guess = keeps_step and normalise == "allowed" and tables.open_behind is not None
    if not keeps_step:
        return decision_search(
            model,
            tables,
            [glues[n] for n in n_slots],
            memory,
            k=k,
            n_proven=n_proven,
            width=width,
            normalise=normalise,
        )
    texts = Batch(model, tables, glues[n_slots[0]][:-1], end[0], memory, n_slots)
    if can_guess and 1 < width <= WIDEST_TREE and len(inputs) == 1 and model.grows:
        return [tree_search(texts, k=k, n_proven=n_proven, width=width)]
    follows = follows and can_guess
    noted = DROPPED if follows else 1
    if can_guess and k == width == 1 and len(inputs) <= TEXTS_IN_PARALLEL:
        found, steps = greedy_search(texts, noted=noted)
    else:
        found, steps = slot_search(
            texts,
            k=k,
            n_proven=n_proven,
            width=width,
            normalise=normalise,
            noted=noted,
        )
    if not follows or all(one.exact for one in found):
        return found
    return FollowUp(texts, found=found, steps=steps, n_proven=n_proven).run()
