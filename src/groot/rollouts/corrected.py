"""The candidates of an example with the gold and corrections towards it, no output twice."""

from __future__ import annotations

import random
from collections.abc import Sequence

from groot.correction import correct
from groot.data.candidates import CandidateRow
from groot.types import Candidate, Example, Gold
from groot.writer.notation import Notation


def corrected_rows(
    notation: Notation,
    example: Example,
    ranked: Sequence[Candidate],
    rng: random.Random,
    *,
    at_most: int,
    deletions: int,
    round: int,
) -> list[CandidateRow]:
    """The candidates that were searched, the gold, and corrections while there is room.

    What was searched and the gold always stay: a choice among the searched candidates must see
    them all. Malformed texts stay among them, as malformed ones. The likeliest candidate without
    one of its spans or classes is there too: whether to say one more or one less is what a reward
    that weighs precision differs in. The likelier candidates' corrections come first.

    Args:
        notation: writes outputs as targets; what it cannot write is left out.
        example: with its gold, or without any.
        ranked: what was searched, best first.
        rng: of what is drawn.
        at_most: rows up to which corrections are added.
        deletions: outputs at most that leave out one item of the likeliest candidate.
        round: of generating, noted in each row.
    """
    gold = example.gold
    rows: dict[Gold | tuple[None, str], CandidateRow] = {}
    for candidate in ranked:
        key = (None, candidate.target) if candidate.output is None else candidate.output
        is_gold = candidate.output is not None and candidate.output == gold
        row = CandidateRow(
            example.id,
            candidate.target,
            candidate.output,
            log_p=candidate.log_p,
            source="gold" if is_gold else candidate.source,
            round=round,
        )
        rows.setdefault(key, row)
    if gold is None:
        return list(rows.values())
    places = {key: place for place, key in enumerate(rows)}

    def add(output: Gold, source: str, *, parent: int | None = None, note: str = "") -> None:
        target = notation.encode(example, output)
        if output not in rows and target is not None:
            rows[output] = CandidateRow(
                example.id,
                target,
                output,
                source="gold" if source == "gold" else "corrected",
                parent=parent,
                note=note,
                round=round,
            )

    add(gold, "gold")
    for output in shortened(ranked[0].output if ranked else None, deletions, rng):
        if len(rows) < at_most:
            add(output, "corrected", parent=0, note="one less")
    for candidate in ranked:
        if len(rows) >= at_most:
            break
        if candidate.output is None or candidate.output == gold:
            continue
        for correction in correct(example, candidate, rng=rng):
            if len(rows) < at_most:
                parent = places[candidate.output]
                add(correction.output, "corrected", parent=parent, note=correction.note)
    return list(rows.values())


def shortened(output: Gold | None, count: int, rng: random.Random) -> list[Gold]:
    """At most `count` outputs, drawn, that say one span or class less.

    >>> shortened(("a", "b"), 1, random.Random(0))
    [('a',)]
    """
    if output is None or isinstance(output, str):
        return []
    places = rng.sample(range(len(output)), min(count, len(output)))
    return [(*output[:place], *output[place + 1 :]) for place in places]
