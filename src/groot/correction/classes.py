"""Correcting classes: one wrong class at a time becomes a gold one."""

from __future__ import annotations

from itertools import zip_longest

from groot.correction.mend import Correction, MendingPlan, corrections
from groot.types import Candidate, Example

# A class that is wrong and the one it should be; one of the two may be absent.
Swap = tuple[str | None, str | None]


def correct_classes(example: Example, candidate: Candidate, plan: MendingPlan) -> list[Correction]:
    """Corrections of a candidate that says classes; see `correct`.

    The first wrong class is swapped for the first missing one, and so on; those left over are
    dropped or added. With one class per text the only correction is the gold. Classes come in
    the order of the gold, those it does not have behind.

    >>> import random
    >>> example = Example("x", classes=("music", "play"))
    >>> wrong = Candidate("", ("play", "food"))
    >>> [correction] = correct_classes(example, wrong, MendingPlan(random.Random(0)))
    >>> correction.output, correction.note
    (('music', 'play'), 'mend food -> music')
    """
    if example.classes is None:
        return []
    gold = tuple(dict.fromkeys(example.classes))
    if candidate.output is None:
        return [Correction(gold, "malformed: replaced by the gold")]
    predicted = tuple(dict.fromkeys(candidate.classes))
    wrong = [name for name in predicted if name not in gold]
    missing = [name for name in gold if name not in predicted]
    swaps: list[Swap] = list(zip_longest(wrong, missing))
    place = {name: number for number, name in enumerate((*gold, *wrong))}

    def mend(mended: frozenset[int]) -> tuple[str, ...]:
        names = {name for name in predicted if name in gold}
        names |= {swap[number in mended] or "" for number, swap in enumerate(swaps)} - {""}
        return tuple(sorted(names, key=place.__getitem__))

    return corrections(
        swaps,
        mend=mend,
        describe=_describe,
        plan=plan,
    )


def _describe(swap: Swap) -> str:
    wrong, right = swap
    if wrong is None:
        return f"add {right}"
    return f"drop {wrong}" if right is None else f"{wrong} -> {right}"
