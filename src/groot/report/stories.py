"""Examples told one by one: candidates before and after, and what correction made of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from groot.data.candidates import CandidateRow
from groot.evaluation import ranking
from groot.outputs.items import gold_of, is_exact
from groot.outputs.marginals import candidate_probability
from groot.report.corrections import Corrected
from groot.report.inputs import Run, Stage
from groot.report.marks import Piece, loose, mark
from groot.types import Candidate, Example, Gold, Span, Task

MOST_STORIES = 6
MOST_CORRECTIONS = 8


@dataclass(frozen=True)
class Shown:
    """A candidate as it is printed.

    Args:
        rank: from 1; 0 for one that has no rank.
        reward: None is missing.
        probability: the model's own; None where it was not scored.
        pieces: what it says, in pieces.
        leftovers: marks that overlap others and follow the text.
        target: what the model wrote, where that is malformed, else "".
        is_exact: whether it says just the gold.
        note: what correction did, for a corrected one.
    """

    rank: int
    reward: float | None
    probability: float | None
    pieces: Sequence[Piece]
    leftovers: Sequence[Piece]
    target: str
    is_exact: bool
    note: str = ""


@dataclass(frozen=True)
class Story:
    """One example with its gold, and the candidates of the two stages side by side."""

    example: Example
    gold: Sequence[Piece]
    change: float
    before: Sequence[Shown]
    after: Sequence[Shown]
    corrected: Sequence[CorrectionStory]


@dataclass(frozen=True)
class CorrectionStory:
    """A candidate of the model and what correction made of it."""

    example_id: str
    gold: Sequence[Piece]
    candidate: Shown
    corrections: Sequence[Shown]
    n_more: int


def stories(
    run: Run, corrected: Mapping[str, Sequence[Corrected]]
) -> tuple[list[Story], list[Story]]:
    """The examples whose reward at rank 1 rose most and fell most; ties by the top k's mean."""
    before, after = run.before, run.after
    if before is None or after is None or not before.measurement or not after.measurement:
        return [], []
    place_of = {example.id: place for place, example in enumerate(after.examples)}
    changes: list[tuple[float, float, int, int]] = []
    for old_place, example in enumerate(before.examples):
        new_place = place_of.get(example.id)
        if new_place is not None:
            old, new = before.measurement.rewards[old_place], after.measurement.rewards[new_place]
            gains = _gains(old, new)
            if gains is not None:
                changes.append((*gains, old_place, new_place))
    changes.sort(key=lambda change: (-change[0], -change[1], change[2]))
    helped = [change for change in changes if change[0] > 0][:MOST_STORIES]
    hurt = [change for change in reversed(changes) if change[0] < 0][:MOST_STORIES]

    def told(change: tuple[float, float, int, int]) -> Story:
        gain, _, old_place, new_place = change
        return _story(before, after, old_place, new_place, gain, corrected)

    return list(map(told, helped)), list(map(told, hurt))


def _gains(
    before: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    after: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> tuple[float, float] | None:
    """Change of the reward at rank 1, and of the mean over the top k; None if one is missing."""
    rows = [
        [None if math.isnan(reward) else reward for reward in row.tolist()]
        for row in (before, after)
    ]
    if rows[0][0] is None or rows[1][0] is None:
        return None
    old, new = (ranking.mean_of_top(row, len(row)) or 0.0 for row in rows)
    return rows[1][0] - rows[0][0], new - old


def _story(
    before: Stage,
    after: Stage,
    place_before: int,
    place_after: int,
    change: float,
    corrected: Mapping[str, Sequence[Corrected]],
) -> Story:
    assert after.measurement is not None
    example, task, k = after.examples[place_after], after.measurement.task, after.measurement.k
    gold = gold_of(example, task)
    return Story(
        example=example,
        gold=_pieces(example.text, gold, gold)[0],
        change=change,
        before=[
            _shown(example, task, *pair) for pair in _ranked(before.candidates[place_before], k)
        ],
        after=[_shown(example, task, *pair) for pair in _ranked(after.candidates[place_after], k)],
        corrected=[_told(kept) for kept in corrected.get(example.id, [])[:1]],
    )


def _ranked(candidates: Sequence[Candidate], k: int) -> list[tuple[int, Candidate]]:
    return list(enumerate(candidates[:k], start=1))


def _shown(example: Example, task: Task, rank: int, candidate: Candidate) -> Shown:
    gold = gold_of(example, task)
    pieces, leftovers = _pieces(example.text, gold, candidate.output)
    return Shown(
        rank=rank,
        reward=candidate.reward,
        probability=candidate_probability(candidate),
        pieces=pieces,
        leftovers=leftovers,
        target=candidate.target if candidate.is_malformed else "",
        is_exact=gold is not None and is_exact(gold, candidate.output),
    )


def _pieces(text: str, gold: Gold | None, output: Gold | None) -> tuple[list[Piece], list[Piece]]:
    """Spans are marked in the text, classes stand one by one, a text is set against its gold."""
    if output is None:
        return [], []
    if isinstance(output, str):
        return _text_pieces(gold if isinstance(gold, str) else output, output), []
    names = [name for name in output if isinstance(name, str)]
    gold_names = [
        name for name in gold or () if isinstance(name, str) and not isinstance(gold, str)
    ]
    if names or gold_names:
        pieces = [
            Piece(name, "right" if gold is None or name in gold_names else "spurious")
            for name in names
        ]
        return [*pieces, *(Piece(name, "missing") for name in gold_names if name not in names)], []
    spans = [span for span in output if isinstance(span, Span)]
    gold_spans = None if gold is None else [span for span in gold if isinstance(span, Span)]
    return mark(text, gold_spans, spans)


def _text_pieces(gold: str, written: str) -> list[Piece]:
    wanted, words = gold.split(), written.split()
    pieces: list[Piece] = []
    steps = difflib.SequenceMatcher(a=wanted, b=words, autojunk=False).get_opcodes()
    for kind, a, b, c, d in steps:
        if kind == "equal":
            pieces.append(Piece(" ".join(words[c:d]) + " "))
            continue
        if a < b:
            pieces.append(Piece(" ".join(wanted[a:b]), "missing"))
        if c < d:
            pieces.append(Piece(" ".join(words[c:d]), "spurious"))
    return pieces


def correction_stories(corrected: Mapping[str, Sequence[Corrected]]) -> list[CorrectionStory]:
    """Candidates that correction made much of, one an example: first by how many corrections
    there are to see (up to 4), then by what they gained.
    """
    firsts = sorted(
        (of_example[0] for of_example in corrected.values()),
        key=lambda kept: (-min(len(kept.corrections), 4), -kept.gain, kept.example_id),
    )
    return [_told(kept) for kept in firsts[:MOST_STORIES]]


def _told(corrected: Corrected) -> CorrectionStory:
    return CorrectionStory(
        example_id=corrected.example_id,
        gold=_stored_pieces(corrected, corrected.gold)[0],
        candidate=_shown_stored(corrected, corrected.candidate),
        corrections=[
            _shown_stored(corrected, row) for row in corrected.corrections[:MOST_CORRECTIONS]
        ],
        n_more=max(0, len(corrected.corrections) - MOST_CORRECTIONS),
    )


def _shown_stored(corrected: Corrected, row: CandidateRow) -> Shown:
    pieces, leftovers = _stored_pieces(corrected, row.output)
    return Shown(
        rank=0,
        reward=row.reward,
        probability=candidate_probability(row.candidate),
        pieces=pieces,
        leftovers=leftovers,
        target=row.target if row.output is None else "",
        is_exact=corrected.gold is not None and is_exact(corrected.gold, row.output),
        note=row.note,
    )


def _stored_pieces(corrected: Corrected, output: Gold | None) -> tuple[list[Piece], list[Piece]]:
    """Spans of a text that is not known stand alone."""
    if corrected.text or not isinstance(output, tuple):
        return _pieces(corrected.text, corrected.gold, output)
    spans = [span for span in output if isinstance(span, Span)]
    gold = [span for span in corrected.gold or () if isinstance(span, Span)]
    return (loose(gold, spans), []) if spans or gold else _pieces("", corrected.gold, output)
