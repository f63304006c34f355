"""Choosing among the candidates of a text: the model's own first, or the best expected reward.

Minimum Bayes risk: where the model is unsure, the candidate that agrees most with all the others,
each counted by its probability, is often better for a metric than the most probable one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from groot.errors import ConfigError, ShapeError
from groot.outputs.items import task_of
from groot.outputs.votes import Reward, expected, votes_of, without_gold
from groot.types import Candidate, Example

Choice = Literal["top", "mbr"]


def expected_rewards(
    example: Example, candidates: Sequence[Candidate], reward: Reward
) -> list[float | None]:
    """Reward that the model itself expects of each candidate: the candidates are the votes.

    No gold of the example is used. None (missing) where the reward is missing against every
    candidate.

    >>> from groot.types import Span
    >>> from groot.rewards import parse_rewards
    >>> artist, song = (Span(0, 4, "artist"),), (Span(0, 4, "song"),)
    >>> ranked = [Candidate("", artist, math.log(0.6)), Candidate("", song, math.log(0.2))]
    >>> rewards = expected_rewards(Example("nina"), ranked, parse_rewards(["f1"]))
    >>> [round(value, 2) for value in rewards]
    [0.75, 0.25]
    """
    return _by_own_votes([example], [candidates], reward)[0]


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
    return choose_all([example], [candidates], reward, how)[0]


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
    if how not in ("top", "mbr"):
        raise ConfigError(f"choose is {how!r}; it can be 'top' or 'mbr'.")
    by_log_p = [
        _ordered(ranked, [candidate.log_p for candidate in ranked]) for ranked in candidates
    ]
    if how == "top":
        return by_log_p
    rewards = _by_own_votes(examples, by_log_p, reward)
    return [_ordered(ranked, values) for ranked, values in zip(by_log_p, rewards, strict=True)]


def _by_own_votes(
    examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]], reward: Reward
) -> list[list[float | None]]:
    votes = [
        votes_of(ranked, task_of([example], [ranked]))
        for example, ranked in zip(examples, candidates, strict=True)
    ]
    return expected(reward, [without_gold(example) for example in examples], candidates, votes)


def _ordered(candidates: Sequence[Candidate], keys: Sequence[float | None]) -> list[Candidate]:
    """Highest key first, None last; equal keys in the given order."""
    ranks = [-math.inf if key is None else key for key in keys]
    return [candidates[place] for place in sorted(range(len(ranks)), key=lambda i: -ranks[i])]
