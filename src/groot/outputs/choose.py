"""Choosing among the candidates of a text: the model's own first, or the best expected reward.

Minimum Bayes risk: where the model is unsure, the candidate that agrees most with all the others,
each counted by its probability, is often better for a metric than the most probable one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

import numpy as np

from groot.errors import ConfigError, ShapeError
from groot.rewards.compose import Reward
from groot.types import Candidate, Example, Gold, Span

Choice = Literal["top", "mbr"]

# Examples whose candidates are scored against each other in one call of the reward.
EXAMPLES_PER_CALL = 16


def expected_rewards(
    example: Example, candidates: Sequence[Candidate], reward: Reward
) -> list[float | None]:
    """Reward that the model itself expects of each candidate.

        sum over j of softmax(log_p)[j] * reward(candidate, with candidate j as the gold)

    No gold of the example is used. A malformed candidate, or one without log_p, is no gold.
    None (missing) where the reward is missing against every candidate.

    >>> from groot.rewards import parse_rewards
    >>> one, other = (Span(0, 4, "artist"),), (Span(0, 4, "song"),)
    >>> some = [Candidate("", one, log_p=math.log(0.6)), Candidate("", other, log_p=math.log(0.2))]
    >>> expected = expected_rewards(Example("nina"), some, parse_rewards(["f1"]))
    >>> [round(value, 2) for value in expected]
    [0.75, 0.25]

    Source: Kumar and Byrne, Minimum Bayes-risk decoding for statistical machine translation, 2004.
    """
    return next(_expected([example], [candidates], reward))


def choose(
    example: Example, candidates: Sequence[Candidate], reward: Reward, how: Choice = "top"
) -> list[Candidate]:
    """The candidates of one example in order of choice, best first.

    Args:
        example: its text; its gold, if any, plays no part.
        candidates: of the example, with log_p.
        reward: what is expected under "mbr".
        how: "top" orders by log_p, "mbr" by expected reward. Ties keep the order of log_p, then
            the given one; candidates without the number come last.
    """
    return next(_chosen([example], [candidates], reward, how))


def choose_all(
    examples: Sequence[Example],
    candidates: Sequence[Sequence[Candidate]],
    reward: Reward,
    how: Choice = "top",
) -> list[list[Candidate]]:
    """`choose` for many examples, in few calls of the reward."""
    if len(examples) != len(candidates):
        raise ShapeError(
            f"{len(examples)} examples but candidates for {len(candidates)}. "
            "Give one list of candidates for each example."
        )
    return list(_chosen(examples, candidates, reward, how))


def _chosen(
    examples: Sequence[Example],
    candidates: Sequence[Sequence[Candidate]],
    reward: Reward,
    how: Choice,
) -> Iterator[list[Candidate]]:
    if how not in ("top", "mbr"):
        raise ConfigError(f"choose is {how!r}; it can be 'top' or 'mbr'.")
    by_log_p = [_ordered(some, [candidate.log_p for candidate in some]) for some in candidates]
    if how == "top":
        yield from by_log_p
        return
    for some, values in zip(by_log_p, _expected(examples, by_log_p, reward), strict=True):
        yield _ordered(some, values)


def _ordered(candidates: Sequence[Candidate], keys: Sequence[float | None]) -> list[Candidate]:
    """Highest key first, None last; equal keys in the given order."""
    ranks = [-math.inf if key is None else key for key in keys]
    return [candidates[i] for i in sorted(range(len(ranks)), key=lambda i: -ranks[i])]


def _expected(
    examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]], reward: Reward
) -> Iterator[list[float | None]]:
    for some, values in zip(candidates, pair_rewards(examples, candidates, reward), strict=True):
        yield _mean_over_golds(some, values)


def pair_rewards(
    examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]], reward: Reward
) -> Iterator[np.ndarray]:
    """For each example [K, K] reward of each candidate (column) with each (row) as gold.

    nan where it is missing, and where a candidate is no gold.
    """
    rows = iter(zip(examples, candidates, strict=True))
    while batch := list(islice(rows, EXAMPLES_PER_CALL)):
        matrices = [reward.pairwise(some) for _, some in batch]
        unknown = [pair for pair, matrix in zip(batch, matrices, strict=True) if matrix is None]
        scored = iter(_score_pairs(unknown, reward))
        for matrix in matrices:
            yield next(scored) if matrix is None else matrix


def _mean_over_golds(candidates: Sequence[Candidate], rewards: np.ndarray) -> list[float | None]:
    """Mean over the rows (golds) of rewards [K, K] by softmax(log_p); nan is missing."""
    weights = gold_weights(candidates)  # [K]
    is_known = ~np.isnan(rewards)  # [K, K]
    known = weights @ is_known  # [K] weight of the golds that have a reward
    total = weights @ np.where(is_known, rewards, 0.0)  # [K]
    return [float(t / w) if w > 0 else None for t, w in zip(total, known, strict=True)]


def gold_weights(candidates: Sequence[Candidate]) -> np.ndarray:
    """[K] softmax of log_p over the candidates that can be a gold, 0 for the others.

    >>> gold_weights([Candidate("", (), log_p=-1.0), Candidate("", None, log_p=-1.0)]).tolist()
    [1.0, 0.0]
    """
    log_p = np.array(
        [
            -np.inf if candidate.log_p is None or candidate.is_malformed else candidate.log_p
            for candidate in candidates
        ],
        dtype=float,
    )
    if not np.isfinite(log_p).any():
        return np.zeros(len(candidates))
    p = np.exp(log_p - log_p.max())
    weights: np.ndarray = p / p.sum()
    return weights


def _score_pairs(
    pairs: Sequence[tuple[Example, Sequence[Candidate]]], reward: Reward
) -> list[np.ndarray]:
    """For each example [K, K] reward of each candidate (column) with each (row) as gold."""
    golds = [
        (b, k, _with_gold(example, some, candidate.output))
        for b, (example, some) in enumerate(pairs)
        for k, candidate in enumerate(some)
        if candidate.output is not None and candidate.log_p is not None
    ]
    rewards = reward.score([gold for _, _, gold in golds], [pairs[b][1] for b, _, _ in golds])
    matrices = [np.full((len(some), len(some)), np.nan) for _, some in pairs]
    for (b, k, _), row in zip(golds, rewards, strict=True):
        matrices[b][k] = [np.nan if value is None else value for value in row]
    return matrices


def _with_gold(example: Example, candidates: Sequence[Candidate], output: Gold) -> Example:
    """The example with an output of one of its candidates in the place of its gold."""
    if isinstance(output, str):
        return replace(example, spans=None, classes=None, reference=output)
    said = next(
        (one for candidate in candidates for one in (*candidate.spans, *candidate.classes)), None
    )
    is_classes = isinstance(said, str) or (
        said is None and example.spans is None and bool(example.classes)
    )
    if is_classes:
        return replace(example, spans=None, classes=tuple(map(str, output)), reference=None)
    spans = tuple(item for item in output if isinstance(item, Span))
    return replace(example, spans=spans, classes=None, reference=None)
