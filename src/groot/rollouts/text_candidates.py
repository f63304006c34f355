"""Candidates of free text: written, corrected towards the reference, rewarded."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from groot.correction import correct
from groot.data.candidates import CandidateRow
from groot.engine.batches import step_seed
from groot.recipes.text_fit import TextItem
from groot.rewards import Reward
from groot.rollouts.candidate_sets import CHUNK, Case, case_id
from groot.types import Candidate, Example
from groot.writer.generator import Generator
from groot.writer.text_notation import Method, best_first


@dataclass(frozen=True, slots=True)
class Writing:
    """How texts are written.

    Args:
        method: "sample" or "beam".
        seed: of sampling.
        temperature, top_k, top_p: of sampling.
        batch_size: texts written together.
    """

    method: Method
    seed: int
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    batch_size: int = 64


def write_texts(
    generator: Generator,
    examples: Sequence[Example],
    writing: Writing,
    *,
    k: int,
    name: str,
    first: int,
) -> list[list[Candidate]]:
    """k different texts of each example, or fewer, the most probable first.

    Args:
        name, first: of the stage and the first example; with the seed they say what is drawn.
    """
    settings: dict[str, Any] = {}
    if writing.method == "sample":
        settings = {
            "temperature": writing.temperature,
            "top_k": writing.top_k,
            "top_p": writing.top_p,
            "seed": step_seed(writing.seed, name, first),
        }
    written = generator.write(
        [example.text for example in examples],
        n=k,
        method=writing.method,
        batch_size=writing.batch_size,
        **settings,
    )
    return [best_first(candidates) for candidates in written]


def generate_texts(
    generator: Generator,
    items: Sequence[TextItem],
    indices: Sequence[int],
    *,
    reward: Reward,
    writing: Writing,
    round: int,
    num_candidates: int,
    per_example: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Case]:
    """Write candidates of items, correct them towards the references, reward them all.

    Args:
        items: the training set.
        indices: which of them; several processes share the work by this.
        writing: how texts are written.
        round: from 1.
        num_candidates: texts that are written for an example, at most.
        per_example: candidates at most, after correction, reference included.
        progress: told after each chunk how many examples are done.
    """
    cases: list[Case] = []
    name = f"round {round}: candidates"
    for first in range(0, len(indices), CHUNK):
        part = indices[first : first + CHUNK]
        examples = [
            dataclasses.replace(items[index].example, id=case_id(round, index)) for index in part
        ]
        found = write_texts(
            generator, examples, writing, k=num_candidates, name=name, first=part[0]
        )
        rows = [
            text_rows(
                example,
                ranked,
                round=round,
                per_example=per_example,
                rng=random.Random(f"{writing.seed}:{round}:correct:{index}"),
            )
            for index, example, ranked in zip(part, examples, found, strict=True)
        ]
        scores = reward.score_parts(examples, [[row.candidate for row in some] for some in rows])
        for at, example in enumerate(examples):
            rewarded = tuple(
                dataclasses.replace(
                    row,
                    reward=scores.total[at][place],
                    rewards={name: values[at][place] for name, values in scores.parts.items()},
                )
                for place, row in enumerate(rows[at])
            )
            cases.append(Case(example, rewarded))
        progress(len(cases))
    return cases


def text_rows(
    example: Example,
    ranked: Sequence[Candidate],
    *,
    round: int,
    per_example: int,
    rng: random.Random,
) -> list[CandidateRow]:
    """The candidates of an example, its reference, and corrections; no text twice.

    Texts without an end stay among them, as malformed ones. Where there is room for some
    corrections only, the likelier candidates' come first.
    """
    rows: dict[tuple[str, bool], CandidateRow] = {}

    def add(row: CandidateRow) -> None:
        key = (row.target, row.output is None)
        if key not in rows and len(rows) < per_example:
            rows[key] = row

    gold = example.reference
    for one in ranked[: per_example - 1]:  # one place is the reference's
        is_gold = one.output is not None and one.output == gold
        add(
            CandidateRow(
                example.id,
                one.target,
                one.output,
                log_p=one.log_p,
                source="gold" if is_gold else one.source,
                round=round,
            )
        )
    if gold is not None:
        add(CandidateRow(example.id, gold, gold, source="gold", round=round))
    places = {key: place for place, key in enumerate(rows)}
    for one in ranked:
        if one.output is None or one.output == gold:
            continue
        for correction in correct(example, one, rng=rng):
            text = str(correction.output)
            add(
                CandidateRow(
                    example.id,
                    text,
                    text,
                    source="corrected",
                    parent=places.get((one.target, False)),
                    note=correction.note,
                    round=round,
                )
            )
    return list(rows.values())
