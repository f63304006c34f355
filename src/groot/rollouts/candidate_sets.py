"""Generate and correct: the candidates of a round, with rewards, and how they are kept on disk."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from groot.correction import correct
from groot.data.candidates import CandidateRow, read_candidates, write_candidates
from groot.evaluation.records import read_records, write_records
from groot.outputs.choose import expected_rewards
from groot.recipes.items import Item, Variation
from groot.rewards import Reward
from groot.search.label_search import Effort, first_width, label_search, next_width
from groot.types import Candidate, Example, Gold
from groot.writer.labeler import Labeler

CHUNK = 256  # examples between two looks at the clock
EXPECTED = "expected"  # among a candidate's rewards: what the model itself expects


@dataclass(frozen=True, slots=True)
class Case:
    """An example with rewarded candidates: what is contrasted.

    Args:
        example: with its gold; its id says which item it varies.
        rows: its candidates with reward, source, parent and note.
    """

    example: Example
    rows: tuple[CandidateRow, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """How candidates are made.

    Args:
        round: from 1.
        num_candidates: of search, per example.
        per_example: candidates at most, after correction, gold included.
        seed: of the variation of inputs and of the corrections.
        deletions: of these, at most so many that leave out one span of the likeliest candidate.
        batch_size: texts searched together.
    """

    round: int
    num_candidates: int
    per_example: int
    seed: int
    deletions: int = 2
    batch_size: int = 64


def generate(
    labeler: Labeler,
    items: Sequence[Item],
    indices: Sequence[int],
    *,
    variation: Variation,
    reward: Reward,
    settings: Generation,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Case]:
    """Search candidates of varied items, correct their errors, reward them all.

    A model knows its training texts half by heart and makes few of its usual mistakes there. So
    each text is varied first (mentions swapped, words hidden): its gold stays known, and the model
    errs on it as it does on texts it has never seen.

    Each candidate also gets the reward that the model itself expects of it, as `EXPECTED` among
    its rewards: what it would get on average if each searched candidate were gold, by likelihood.

    Args:
        items: the training set.
        indices: which of them; several processes share the work by this.
        variation: how inputs are varied.
        progress: told after each chunk how many examples are done.
    """
    cases: list[Case] = []
    for first in range(0, len(indices), CHUNK):
        part = indices[first : first + CHUNK]
        examples, inputs = [], []
        for index in part:
            name = case_id(settings.round, index)
            rng = random.Random(f"{settings.seed}:{name}")
            example = variation.example(labeler, items[index], rng)
            examples.append(dataclasses.replace(example, id=name))
            inputs.append(variation.fixed_input_ids(labeler, examples[-1], settings.seed))
        found = label_search(
            labeler.model,
            labeler.codec,
            inputs,
            [labeler.form.slots(example) for example in examples],
            k=settings.num_candidates,
            # nearly all are proven
            effort=Effort(max_width=next_width(first_width(settings.num_candidates))),
            batch_size=settings.batch_size,
        )
        rows = []
        for index, example, one in zip(part, examples, found, strict=True):
            ranked = [
                Candidate(labeler.form.text(path), labeler.form.output(example, path), log_p)
                for path, log_p in zip(one.paths, one.log_p, strict=True)
            ]
            rng = random.Random(f"{settings.seed}:{settings.round}:correct:{index}")
            rows.append(with_corrections(labeler, example, ranked, settings, rng))
        candidates = [[row.candidate for row in some] for some in rows]
        scores = reward.score_parts(examples, candidates)
        for at, example in enumerate(examples):
            expected = expected_rewards(example, candidates[at], reward)
            rewarded = [
                with_reward(
                    row,
                    scores.total[at][place],
                    {
                        **{name: part[at][place] for name, part in scores.parts.items()},
                        EXPECTED: expected[place],
                    },
                )
                for place, row in enumerate(rows[at])
            ]
            cases.append(Case(example, tuple(rewarded)))
        progress(len(cases))
    return cases


def with_reward(
    row: CandidateRow, reward: float | None, rewards: dict[str, float | None]
) -> CandidateRow:
    """The row with its reward; written out, for `dataclasses.replace` takes ten times as long."""
    return CandidateRow(
        row.example_id,
        row.target,
        row.output,
        log_p=row.log_p,
        reward=reward,
        rewards=rewards,
        source=row.source,
        parent=row.parent,
        note=row.note,
        round=row.round,
    )


def case_id(round: int, index: int) -> str:
    """The id of the variation of a training item in a round."""
    return f"round-{round}:{index}"


def with_corrections(
    labeler: Labeler,
    example: Example,
    ranked: Sequence[Candidate],
    settings: Generation,
    rng: random.Random,
) -> list[CandidateRow]:
    """The candidates of an example, the gold, and corrections of the candidates; no output twice.

    The likeliest candidate without one of its spans or classes is there too: whether to say one
    more or one less is what a reward that weighs precision differs in. Where there is room for some
    corrections only, the likelier candidates' come first.
    """
    seen: dict[Gold, CandidateRow] = {}

    def add(output: Gold, row: CandidateRow) -> None:
        if output not in seen and len(seen) < settings.per_example:
            seen[output] = row

    gold = example.gold
    for candidate in ranked:
        if candidate.output is not None:
            add(
                candidate.output,
                CandidateRow(
                    example.id,
                    candidate.target,
                    candidate.output,
                    log_p=candidate.log_p,
                    source="gold" if candidate.output == gold else "search",
                    round=settings.round,
                ),
            )
    if gold is None:
        return list(seen.values())
    target = labeler.form.encode(example, gold)
    if target is not None and gold not in seen:
        seen[gold] = CandidateRow(example.id, target, gold, source="gold", round=settings.round)
    for output in shortened(ranked[0].output if ranked else None, settings.deletions, rng):
        written = labeler.form.encode(example, output)
        if written is not None:
            row = CandidateRow(
                example.id,
                written,
                output,
                source="corrected",
                parent=0,
                note="one less",
                round=settings.round,
            )
            add(output, row)
    places = {output: place for place, output in enumerate(seen)}
    for candidate in ranked:
        if len(seen) >= settings.per_example:
            break
        if candidate.output is None or candidate.output == gold:
            continue
        for correction in correct(example, candidate, rng=rng):
            if correction.output in seen or len(seen) >= settings.per_example:
                continue
            written = labeler.form.encode(example, correction.output)
            if written is not None:
                row = CandidateRow(
                    example.id,
                    written,
                    correction.output,
                    source="corrected",
                    parent=places.get(candidate.output),
                    note=correction.note,
                    round=settings.round,
                )
                add(correction.output, row)
    return list(seen.values())


def shortened(output: Gold | None, count: int, rng: random.Random) -> list[Gold]:
    """At most `count` outputs, drawn, that say one span or class less.

    >>> shortened(("a", "b"), 1, random.Random(0))
    [('a',)]
    """
    if output is None or isinstance(output, str):
        return []
    places = rng.sample(range(len(output)), min(count, len(output)))
    return [(*output[:place], *output[place + 1 :]) for place in places]


def texts_file(path: Path) -> Path:
    """The file beside a candidates file that holds the texts they are candidates of."""
    return path.with_suffix(".texts.jsonl")


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write candidates as Parquet, and their texts with gold beside them."""
    write_records(texts_file(path), [case.example for case in cases], [[] for _ in cases])
    write_candidates(path, (row for case in cases for row in case.rows))


def read_cases(path: Path, examples: Sequence[Example] = ()) -> list[Case]:
    """Read candidates that `write_cases` wrote, or a file from outside.

    Args:
        path: the Parquet file.
        examples: those that a file from outside speaks of, by id or text.
    """
    if texts_file(path).is_file():
        examples = [*read_records(texts_file(path))[0], *examples]
    by_id = {example.id: example for example in examples}
    rows = read_candidates(path, by_id.values())
    return [Case(by_id[name], tuple(some)) for name, some in rows.items() if name in by_id]


def describe(cases: Sequence[Case]) -> dict[str, float]:
    """Numbers of a round's candidates, with TRL's names where it has them."""
    searched = [[r.reward for r in case.rows if r.log_p is not None] for case in cases]
    values = [[value for value in row if value is not None] for row in searched]
    values = [row for row in values if row]
    if not values:
        return {}
    firsts = [row[0] for row in values]
    same = [float(max(row) - min(row) < 1e-12) for row in values]
    return {
        "reward": sum(map(sum, values)) / sum(map(len, values)),
        "reward_rank_1": sum(firsts) / len(firsts),
        "reward_oracle": sum(map(max, values)) / len(values),
        "frac_reward_zero_std": sum(same) / len(same),
        "candidates": float(sum(len(case.rows) for case in cases)),
    }
