"""Probabilities of single spans and classes, from the candidates of a text and their log_p.

The candidates of a search are different targets, so their probabilities add up. Where log_p is
normalised over what the grammar allows, all targets together have probability one: what the
candidates lack of one is all that can be said of the targets that were not looked at, and it
bounds every marginal from both sides, whatever the model does with the rest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from groot.outputs.items import Item, items_of
from groot.types import Candidate


class Marginal(NamedTuple):
    """The probability that a target of the model says an item.

    Args:
        probability: among the candidates: low / covered. It lies between the two bounds.
        low: what the candidates that say the item have together; certain.
        high: low and all that is not covered; certain.
    """

    probability: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Marginals:
    """The items that the candidates of a text say.

    Args:
        covered: probability of the candidates together, in [0, 1]; of a text in windows, of all
            ways to take one candidate from each window.
        of: each span, or class, that a candidate says.
    """

    covered: float
    of: Mapping[Item, Marginal]

    def probability(self, item: Item) -> float:
        """Of an item among the candidates; 0.0 where none says it.

        >>> Marginals(0.9, {"buy": Marginal(0.5, 0.45, 0.55)}).probability("sell")
        0.0
        """
        marginal = self.of.get(item)
        return 0.0 if marginal is None else marginal.probability


def candidate_probability(candidate: Candidate) -> float | None:
    """exp(log_p): the model's probability of the whole candidate; None if it is not scored.

    >>> candidate_probability(Candidate("", (), log_p=0.0))
    1.0
    """
    if candidate.log_p is None or math.isnan(candidate.log_p):
        return None
    return min(1.0, math.exp(min(candidate.log_p, 0.0)))


def candidate_shares(candidates: Sequence[Candidate]) -> list[float]:
    """softmax(log_p) over the candidates; one without log_p gets 0, all of them where none has one.

    >>> candidate_shares([Candidate("", (), log_p=-1.0), Candidate("", (), log_p=-1.0)])
    [0.5, 0.5]
    """
    log_p = [
        -math.inf if candidate.log_p is None or math.isnan(candidate.log_p) else candidate.log_p
        for candidate in candidates
    ]
    top = max(log_p, default=-math.inf)
    if top == -math.inf:
        return [0.0] * len(candidates)
    weights = [math.exp(value - top) for value in log_p]
    total = sum(weights)
    return [weight / total for weight in weights]


def item_shares(candidates: Sequence[Candidate]) -> dict[Item, float]:
    """Probability of each span (or class) that any candidate says: the share of those that say it.

    Normalised over the given candidates, so it is too sure where they hold little of the model's
    mass; a malformed candidate keeps its share and says nothing.

    >>> item_shares([Candidate("", ("buy",), log_p=-1.0), Candidate("", (), log_p=-1.0)])
    {'buy': 0.5}
    """
    mass: dict[Item, float] = {}
    for candidate, share in zip(candidates, candidate_shares(candidates), strict=True):
        for item in dict.fromkeys(items_of(candidate.output)):
            mass[item] = min(1.0, mass.get(item, 0.0) + share)
    return mass


def marginals(candidates: Sequence[Candidate]) -> Marginals:
    """The marginals of the spans, or classes, of different candidates of one text.

    Args:
        candidates: with log_p as label search gives it, normalised over the allowed tokens;
            no target twice. They need not be the top k: the bounds hold for any of them. One
            without log_p plays no part; a malformed one keeps its probability and says nothing.

    >>> likely = Candidate("a", ("buy",), math.log(0.6))
    >>> known = marginals([likely, Candidate("b", (), math.log(0.2))])
    >>> round(known.covered, 2), [round(value, 2) for value in known.of["buy"]]
    (0.8, [0.75, 0.6, 0.8])
    """
    covered = math.fsum(candidate_probability(candidate) or 0.0 for candidate in candidates)
    lost = max(0.0, 1.0 - covered)
    marginal_of: dict[Item, Marginal] = {}
    # Shares, not low / covered: of very unlikely candidates both are zero.
    for item, share in item_shares(candidates).items():
        low = min(1.0, share * covered)
        high = min(1.0, low + lost)
        marginal_of[item] = Marginal(min(max(share, low), high), low, high)
    return Marginals(min(1.0, covered), marginal_of)


def joined(parts: Sequence[Marginals]) -> Marginals:
    """The marginals of a text from those of its windows, which count as independent.

    An item keeps the marginal of its window, so that long texts lose no certainty.

    >>> joined([Marginals(0.9, {}), Marginals(0.5, {})]).covered
    0.45
    """
    return Marginals(
        math.prod(part.covered for part in parts),
        {item: marginal for part in parts for item, marginal in part.of.items()},
    )


def with_probabilities(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Fill in each span's probability: the share of the candidates' mass whose spans include it.

    Normalised over the candidates given, so it is 1 for a span that all of them have.
    """
    if all(candidate.log_p is None for candidate in candidates):
        return list(candidates)
    known = marginals(candidates)
    probabilities = {item: marginal.probability for item, marginal in known.of.items()}
    return [filled_in(candidate, probabilities) for candidate in candidates]


def filled_in(candidate: Candidate, probabilities: Mapping[Item, float]) -> Candidate:
    """The candidate, each of its spans with its probability."""
    if not candidate.spans or not probabilities:
        return candidate
    spans = tuple(
        dataclasses.replace(span, probability=probabilities.get(span)) for span in candidate.spans
    )
    return dataclasses.replace(candidate, output=spans)
