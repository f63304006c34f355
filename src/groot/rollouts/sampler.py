"""Where recipes get candidates from: searched or drawn, corrected by the gold, rewarded.

This process makes them today. A recipe asks for cases by index and never looks at how they come
about, so that many machines can make them.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groot.data.candidates import CandidateRow
from groot.engine.batches import step_seed
from groot.outputs.votes import expected, votes_of
from groot.rewards import Reward
from groot.rollouts.corrected import corrected_rows
from groot.rollouts.instances import Instance, Variation
from groot.rollouts.store import EXPECTED, Case
from groot.search.label_search import first_width, next_width
from groot.types import Example
from groot.writer.notation import Asked, Writing
from groot.writer.writer import Writer

CHUNK = 256  # examples between two looks at the clock


@dataclass(frozen=True, slots=True)
class Generation:
    """How candidates are made.

    Args:
        round: from 1.
        num_candidates: of search, per example.
        per_example: rows up to which corrections are added, gold included.
        seed: of the variation of inputs, of sampling and of the corrections.
        deletions: of these, at most so many that leave out one span of the likeliest candidate.
        writing: how free text is written.
        batch_size: texts searched together.
    """

    round: int
    num_candidates: int
    per_example: int
    seed: int
    deletions: int = 2
    writing: Writing = dataclasses.field(default_factory=Writing)
    batch_size: int = 64


@dataclass(frozen=True)
class Sampler:
    """Makes the candidates of a round.

    A model knows its training texts half by heart and makes few of its usual mistakes there. So
    each text is varied first where the notation can: its gold stays known, and the model errs on
    it as it does on texts it has never seen.

    Each candidate also gets the reward that the model itself expects of it, as `EXPECTED` among
    its rewards, where runs choose by it: what it would get on average if each searched candidate
    were gold, by likelihood.

    Args:
        writer: what writes.
        variation: how inputs are varied.
        reward: of the candidates.
        generation: how many, and how.
    """

    writer: Writer
    variation: Variation
    reward: Reward
    generation: Generation

    def cases(
        self,
        instances: Sequence[Instance],
        indices: Sequence[int],
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[Case]:
        """Candidates with rewards.

        Args:
            instances: the training set.
            indices: which of them; several processes share the work by this.
            progress: told after each chunk how many examples are done.
        """
        cases: list[Case] = []
        for first in range(0, len(indices), CHUNK):
            part = indices[first : first + CHUNK]
            examples = [self._varied(instances[index], index) for index in part]
            cases += self._rewarded(examples, self._rows(examples, part))
            progress(len(cases))
        return cases

    def _varied(self, instance: Instance, index: int) -> Example:
        name = case_id(self.generation.round, index)
        rng = random.Random(f"{self.generation.seed}:{name}")
        return dataclasses.replace(self.variation.example(instance, rng), id=name)

    def _rows(self, examples: list[Example], indices: Sequence[int]) -> list[list[CandidateRow]]:
        """What was searched, with corrections."""
        how, notation = self.generation, self.writer.notation
        drawn = step_seed(how.seed, f"round {how.round}: candidates", indices[0])
        asked = Asked(
            how.num_candidates,
            max_width=next_width(first_width(how.num_candidates)),  # nearly all are proven
            writing=dataclasses.replace(how.writing, seed=drawn, batch_size=how.batch_size),
            batch_size=how.batch_size,
        )
        inputs = [self.variation.fixed_input_ids(example, how.seed) for example in examples]
        answers = notation.answers(self.writer.model, examples, asked, inputs=inputs)
        return [
            corrected_rows(
                notation,
                example,
                answer.candidates,
                random.Random(f"{how.seed}:{how.round}:correct:{index}"),
                at_most=how.per_example,
                deletions=how.deletions,
                round=how.round,
            )
            for index, example, answer in zip(indices, examples, answers, strict=True)
        ]

    def _rewarded(
        self, examples: list[Example], rows: Sequence[Sequence[CandidateRow]]
    ) -> list[Case]:
        candidates = [[row.candidate for row in of_one] for of_one in rows]
        scores = self.reward.score_parts(examples, candidates)
        parts = dict(scores.parts)
        if "mbr" in self.writer.notation.choices:
            votes = [votes_of(of_one, self.writer.task) for of_one in candidates]
            parts[EXPECTED] = expected(self.reward, examples, candidates, votes)
        return [
            Case(
                example,
                tuple(
                    with_reward(
                        row,
                        scores.total[at][place],
                        {name: values[at][place] for name, values in parts.items()},
                    )
                    for place, row in enumerate(rows[at])
                ),
            )
            for at, example in enumerate(examples)
        ]


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
    """The id of the variation of a training instance in a round."""
    return f"round-{round}:{index}"
