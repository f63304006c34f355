"""The top k targets of each text under a label grammar, with a certificate that they are the top k.

Beam search over decisions. A target's log_p only falls as it grows, so the best prefix that was
ever dropped bounds every target that could have come of it: if that bound is not above the k-th
result, the k results are the true top k. Of texts without this certificate, what was dropped is
followed up where labels are of one token; those that still lack it are searched again, wider.

Source of the bound: Meister et al., Best-First Beam Search (2020), monotonicity of the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from groot.models.step import Spelling, StepModel, evaluating
from groot.search.batch import Batch
from groot.search.decision_search import decision_search
from groot.search.follow_up import DROPPED, FollowUp
from groot.search.found import Found, Goal
from groot.search.greedy_search import greedy_search
from groot.search.label_tables import tables_of
from groot.search.slot_search import slot_search
from groot.search.tree_search import tree_search

__all__ = ["Effort", "Found", "first_width", "label_search", "next_width"]

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


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a search does for its proofs.

    Args:
        width: prefixes kept in the first search; None is `first_width`.
        max_width: what was dropped of texts without a certificate is followed up, and those that
            still lack one are searched again at twice the width, up to this one; at most `width`
            switches both off. See `proofs` for what it cost.
        n_proven: the first so many targets are to be proven, 1 to k; None is all.
    """

    width: int | None = None
    max_width: int = MAX_WIDTH
    n_proven: int | None = None


@torch.inference_mode()
def label_search(
    model: StepModel,
    codec: Spelling,
    inputs: Sequence[Sequence[int]],
    n_slots: Sequence[int],
    *,
    k: int,
    effort: Effort = Effort(),
    batch_size: int = 64,
) -> list[Found]:
    """Search the top k targets of each input.

    Args:
        model: the model that writes.
        codec: the label grammar in its token ids.
        inputs: token ids of each input.
        n_slots: slots of each target.
        k: targets wanted per input.
        effort: how wide is searched, and how much is proven.
        batch_size: inputs searched together, of similar length.

    Returns:
        one Found per input, in the order given.
    """
    width = effort.width or first_width(k)
    # a text without words has one target, and it is forced
    results = {i: Found(((),), (0.0,), True, width) for i, n in enumerate(n_slots) if n == 0}
    todo = [i for i in range(len(inputs)) if i not in results]
    todo.sort(key=lambda i: (len(inputs[i]), n_slots[i]))
    with evaluating(model):
        while todo:
            goal = Goal(k, effort.n_proven or k, width)
            size = max(1, min(batch_size, batch_size * 16 // width))
            for first in range(0, len(todo), size):
                # most slots first, so that finished texts are the last rows of a batch
                rows = sorted(todo[first : first + size], key=lambda i: -n_slots[i])
                texts, slots = [inputs[i] for i in rows], [n_slots[i] for i in rows]
                follows = width < effort.max_width
                answers = _search(model, codec, texts, slots, goal, follows=follows)
                results.update(zip(rows, answers, strict=True))
            if width >= effort.max_width:
                break
            todo = [i for i in todo if not results[i].exact]
            width = min(next_width(width), effort.max_width)
    return [results[i] for i in range(len(inputs))]


def _search(
    model: StepModel,
    codec: Spelling,
    inputs: list[Sequence[int]],
    n_slots: list[int],
    goal: Goal,
    *,
    follows: bool,
) -> list[Found]:
    """One batch at one width, longest text first.

    Args:
        follows: whether to follow up what is dropped, for a proof.
    """
    tables, memory = tables_of(codec, model.device), model.encode(inputs)
    glues = {n: codec.glue_ids(n) for n in set(n_slots)}
    ends = {glue[-1] for glue in glues.values()}
    (end,) = ends if len(ends) == 1 else ((),)
    if not tables.keeps_step or len(end) != 1:
        return decision_search(model, tables, [glues[n] for n in n_slots], memory, goal)
    texts = Batch(model, tables, glues[n_slots[0]][:-1], end[0], memory, n_slots)
    can_guess = tables.open_behind is not None
    if can_guess and 1 < goal.width <= WIDEST_TREE and len(inputs) == 1 and model.grows:
        return [tree_search(texts, goal)]
    follows = follows and can_guess
    noted = DROPPED if follows else 1
    if can_guess and goal.k == goal.width == 1 and len(inputs) <= TEXTS_IN_PARALLEL:
        searches, steps = greedy_search(texts, noted=noted)
    else:
        searches, steps = slot_search(texts, goal, noted=noted)
    if not follows or all(result.exact for result in searches):
        return searches
    return FollowUp(texts, searches=searches, steps=steps, n_proven=goal.n_proven).run()
