"""Gold as weighted votes, and the reward that candidates can expect of them.

One function stands behind three uses. Gold is one vote: what is expected is the reward itself.
A model's own candidates are votes by their probability: that is minimum Bayes risk. Annotators
who disagree, or a teacher's outputs, are votes as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from groot.outputs.items import GOLD_FIELDS, gold_of, gold_task, task_of
from groot.outputs.marginals import candidate_shares
from groot.types import Candidate, Example, Gold, Task

# Examples whose candidates are scored against their votes in one call of the reward.
EXAMPLES_PER_CALL = 16

# An example with its candidates and its votes.
VotedExample = tuple[Example, Sequence[Candidate], Sequence["Vote"]]


class Reward(Protocol):
    """What is asked of a reward here; `groot.rewards.Reward` is one."""

    def score(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Sequence[Sequence[float | None]]:
        """Reward of every candidate of every example against its gold; None is missing."""

    def pairwise(self, candidates: Sequence[Candidate]) -> NDArray[np.float64] | None:
        """[K, K] reward of each candidate (column) if another (row) were gold; None if unknown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Vote:
    """An output that counts as gold.

    Args:
        output: spans, classes or a text.
        weight: how much it counts beside the other votes of its example, >= 0; of the gold 1.
        task: which gold of an example it stands for.
    """

    output: Gold
    weight: float
    task: Task


def one_vote(example: Example) -> tuple[Vote, ...]:
    """The gold of an example as its only vote, of weight 1; no vote without gold.

    >>> one_vote(Example("hi", classes=("greet",)))
    (Vote(output=('greet',), weight=1.0, task='classes'),)
    """
    task = gold_task(example)
    gold = example.gold
    return () if task is None or gold is None else (Vote(gold, 1.0, task),)


def votes_of(candidates: Sequence[Candidate], task: Task | None = None) -> tuple[Vote, ...]:
    """The candidates of one example as votes, weighed by the softmax of their log_p.

    A malformed candidate, or one without log_p, is no vote.

    Args:
        candidates: different ones, or samples with equal log_p.
        task: of the candidates; None is what they say, spans where none of them says anything.

    >>> [vote.weight for vote in votes_of([Candidate("", (), -1.0), Candidate("", None, -1.0)])]
    [1.0]
    """
    task = task or task_of((), [candidates])
    scored = [candidate for candidate in candidates if candidate.log_p is not None]
    legal = [candidate for candidate in scored if not candidate.is_malformed]
    return tuple(
        Vote(candidate.output, share, task)
        for candidate, share in zip(legal, candidate_shares(legal), strict=True)
        if candidate.output is not None
    )


def expected(
    reward: Reward,
    examples: Sequence[Example],
    candidates: Sequence[Sequence[Candidate]],
    votes: Sequence[Sequence[Vote]],
) -> list[list[float | None]]:
    """Mean reward of every candidate of every example over the votes of its example.

        sum over votes v of weight(v) * reward(candidate, with v as gold) / sum of the weights

    Votes against which the reward of a candidate is missing are left out of both sums; without
    any other vote it is missing (None), never 0.

    Args:
        reward: of a candidate against a gold.
        examples: a vote takes the place of the gold of its task; gold of other tasks is kept.
        candidates: of each example.
        votes: of each example; only the ratios of their weights matter.

    Source: Kumar and Byrne, Minimum Bayes-risk decoding for statistical machine translation, 2004,
    where the votes are the candidates themselves.
    """
    matrices = rewards_by_vote(reward, examples, candidates, votes)
    return [
        _mean_over_votes(matrix, [vote.weight for vote in ballot])
        for matrix, ballot in zip(matrices, votes, strict=True)
    ]


def rewards_by_vote(
    reward: Reward,
    examples: Iterable[Example],
    candidates: Iterable[Sequence[Candidate]],
    votes: Iterable[Sequence[Vote]],
) -> Iterator[NDArray[np.float64]]:
    """For each example [V, K] reward of each candidate (column) against each vote (row).

    nan where it is missing.
    """
    rows = zip(examples, candidates, votes, strict=True)
    while batch := list(islice(rows, EXAMPLES_PER_CALL)):
        counted = [_counted(reward, *row) for row in batch]
        uncounted = [row for row, matrix in zip(batch, counted, strict=True) if matrix is None]
        asked = _asked(reward, uncounted)
        for matrix in counted:
            yield next(asked) if matrix is None else matrix


def without_gold(example: Example) -> Example:
    """The example without the gold of any task, so that none plays a part beside votes."""
    return dataclasses.replace(example, spans=None, classes=None, reference=None)


def _as_gold(example: Example, vote: Vote) -> Example:
    """The example with a vote in the place of its gold of the same task."""
    gold: dict[str, Any] = {GOLD_FIELDS[vote.task]: vote.output}
    return dataclasses.replace(example, **gold)


def _counted(
    reward: Reward, example: Example, candidates: Sequence[Candidate], ballot: Sequence[Vote]
) -> NDArray[np.float64] | None:
    """[V, K] rewards by counting what candidates and votes share; None where that is unknown."""
    if len(ballot) < 2 or not _is_only_gold(example, ballot):
        return None
    everything = list(candidates)
    place_of = {candidate.output: place for place, candidate in enumerate(candidates)}
    for vote in ballot:
        if vote.output not in place_of:
            place_of[vote.output] = len(everything)
            everything.append(Candidate("", vote.output))
    matrix = reward.pairwise(everything)
    if matrix is None:
        return None
    return matrix[[place_of[vote.output] for vote in ballot], : len(candidates)]


def _is_only_gold(example: Example, ballot: Sequence[Vote]) -> bool:
    """Whether all votes are of one task, and the example has no gold of another."""
    (task, *others) = {vote.task for vote in ballot}
    return not others and all(
        gold_of(example, other) is None for other in GOLD_FIELDS if other != task
    )


def _asked(reward: Reward, rows: Sequence[VotedExample]) -> Iterator[NDArray[np.float64]]:
    """[V, K] rewards of each row, each vote given to the reward as the gold of its example."""
    golds = [_as_gold(example, vote) for example, _, ballot in rows for vote in ballot]
    scored = iter(reward.score(golds, [ranked for _, ranked, ballot in rows for _ in ballot]))
    for _, ranked, ballot in rows:
        values = [next(scored) for _ in ballot]
        yield np.array(values, dtype=float).reshape(len(ballot), len(ranked))  # None becomes nan


def _mean_over_votes(rewards: NDArray[np.float64], weights: Sequence[float]) -> list[float | None]:
    """Mean over the rows of rewards [V, K] by weights [V]; nan is missing and left out."""
    weight = np.array(weights, dtype=float)
    is_known = ~np.isnan(rewards)  # [V, K]
    known = weight @ is_known  # [K] weight of the votes that have a reward
    total = weight @ np.where(is_known, rewards, 0.0)  # [K]
    return [float(t / w) if w > 0 else None for t, w in zip(total, known, strict=True)]
