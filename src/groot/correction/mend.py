"""Which errors to mend together: single ones, all but one, and along a random chain."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from groot.errors import ConfigError
from groot.types import Gold

CorrectionKind = Literal["single", "all_but_one", "chain"]
KINDS: tuple[CorrectionKind, ...] = ("single", "all_but_one", "chain")

Region = TypeVar("Region")


@dataclass(frozen=True, slots=True)
class Correction:
    """A candidate's output with some of its errors mended.

    Args:
        output: what the mended candidate says; always well-formed.
        note: what was mended, for people: "mend 5:9 song -> 5:9 artist".
    """

    output: Gold
    note: str


@dataclass(frozen=True, slots=True)
class MendingPlan:
    """Which corrections of a candidate are wanted.

    Args:
        rng: draws the order in which the chain mends; the same state gives the same corrections.
        kinds: "single" mends each error by itself, "all_but_one" all errors but each one in turn,
            "chain" a random chain of corrections from the candidate to the gold.
        limit: the most corrections wanted; the gold stays, the others are drawn. None is all.
    """

    rng: random.Random
    kinds: Collection[CorrectionKind] = KINDS
    limit: int | None = None


def choices(
    n_errors: int, rng: random.Random, kinds: Collection[CorrectionKind]
) -> Iterator[tuple[frozenset[int], str]]:
    """Sets of errors to mend, with how each came about; a set may come twice.

    The chain comes last and ends with all the errors.

    >>> [sorted(mended) for mended, _ in choices(2, random.Random(0), ["single", "chain"])]
    [[0], [1], [1], [0, 1]]
    """
    errors = range(n_errors)
    everything = frozenset(errors)
    if "single" in kinds:
        for error in errors:
            yield frozenset((error,)), "mend"
    if "all_but_one" in kinds and n_errors > 1:
        for error in errors:
            yield everything - {error}, "all but"
    if "chain" in kinds:
        order = rng.sample(errors, n_errors)
        for link in range(1, n_errors + 1):
            yield frozenset(order[:link]), f"chain {link} of {n_errors}:"


def corrections(
    regions: Sequence[Region],
    *,
    mend: Callable[[frozenset[int]], Gold],
    describe: Callable[[Region], str],
    plan: MendingPlan,
) -> list[Correction]:
    """The corrections of a candidate whose errors are these regions.

    Args:
        regions: errors that can be mended independently of each other.
        mend: the output with the regions of these numbers mended, which differs from what the
            candidate says wherever a region is mended.
        describe: a region in a few words.
        plan: which of them are wanted.
    """
    limit = plan.limit
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; ask for at least one correction, or None for all.")
    notes = [describe(region) for region in regions]
    different: dict[Gold, str] = {}
    for mended, how in choices(len(regions), plan.rng, plan.kinds):
        output = mend(mended)
        if output not in different:
            different[output] = _note(notes, mended, how)
    mendings = [Correction(output, note) for output, note in different.items()]
    if limit is not None and len(mendings) > limit:
        kept = sorted(plan.rng.sample(range(len(mendings) - 1), limit - 1))
        mendings = [*(mendings[place] for place in kept), mendings[-1]]
    return mendings


def _note(notes: Sequence[str], mended: frozenset[int], how: str) -> str:
    if how == "all but":
        (left,) = set(range(len(notes))) - mended
        return f"mend all but {notes[left]}"
    return f"{how} {', '.join(notes[number] for number in sorted(mended))}"
