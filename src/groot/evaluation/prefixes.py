"""What `groot diagnose` asks about prefixes: are they worth steering by?

A pair is a winner and a loser of one prompt, by reward. It is cut at each tenth of its length: at
share s, the prefix of an output of T tokens has `cut_length(T, s)` tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.errors import ShapeError
from groot.evaluation.guide_table import holm, sign_test
from groot.evaluation.significance import bootstrap_intervals, mean_of

TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


def cut_length(n_tokens: int, share: float) -> int:
    """Tokens of a prefix that is a share of an output, at least 1.

    >>> [cut_length(12, share) for share in (0.1, 0.5, 1.0)]
    [2, 6, 12]
    """
    return min(n_tokens, max(1, math.ceil(round(share * n_tokens, 9))))


# Rewards of the rollouts from the prefix of a text at each cut; None where there is no prefix
# shorter than the text.
Rollouts = list[list[float] | None]


def continuations(
    winners: Sequence[Rollouts],
    losers: Sequence[Rollouts],
    *,
    cuts: Sequence[float] = TENTHS,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Whether the prefix of the winner really has the better continuation, at each cut.

    Args:
        winners: of each pair, at each cut, the rewards of rollouts from the winner's prefix; at a
            cut of 1, the reward of the whole text. Pairs without rollouts at a cut are left out
            there.
        losers: the same from the loser's.
        cuts: shares of the length, which are copied into the result.

    Returns:
        for each cut: "cut"; for "mean" and for "best", where the continuation of a prefix is the
        mean or the best of its rollouts: winner and loser, their means over pairs; better, the
        share of pairs whose winner has the better one, ties one half, and difference, winner -
        loser, both with an interval over pairs; the p_value of a sign test, and holm_p_value,
        corrected for all tests of the list; and n_pairs. Whole texts are not tested: their
        rewards are what made one of them the winner.

    Raises:
        ShapeError: if a pair lacks a cut, or a prefix has no rollout.
    """
    for pair, (ours, theirs) in enumerate(zip(winners, losers, strict=True)):
        if len(ours) != len(cuts) or len(theirs) != len(cuts):
            raise ShapeError(
                f"pair {pair} has {len(ours)} and {len(theirs)} cuts, want {len(cuts)}"
            )
        if [] in [*ours, *theirs]:
            raise ShapeError(f"pair {pair} has a prefix without a rollout: give at least one")
    rows = []
    for place, cut in enumerate(cuts):
        sides = [
            (ours, theirs)
            for ours, theirs in zip(
                (pair[place] for pair in winners), (pair[place] for pair in losers), strict=True
            )
            if ours is not None and theirs is not None
        ]
        row: dict[str, Any] = {"cut": cut, "n_pairs": len(sides)}
        for name, over_rollouts in (("mean", np.mean), ("best", np.max)):
            won = np.array([float(over_rollouts(ours)) for ours, _ in sides])
            lost = np.array([float(over_rollouts(theirs)) for _, theirs in sides])
            row[name] = {"winner": _mean(won), "loser": _mean(lost)}
            row[name] |= _comparison(won - lost, is_tested=cut < 1, seed=seed)
        rows.append(row)
    tests = {
        f"{name} {place}": row[name]["p_value"]
        for place, row in enumerate(rows)
        for name in ("mean", "best")
    }
    corrected = holm(tests)
    for place, row in enumerate(rows):
        for name in ("mean", "best"):
            row[name]["holm_p_value"] = corrected[f"{name} {place}"]
    return rows


def _comparison(gaps: NDArray[np.float64], *, is_tested: bool, seed: int) -> dict[str, Any]:
    """How often, and by how much, winners are ahead; gaps [pairs], which may be none."""
    # rewards that are equal but for rounding are equal
    shares = np.where(np.abs(gaps) < 1e-9, 0.5, (gaps > 0).astype(float))
    statistics = {"better": mean_of(shares), "difference": mean_of(gaps)} if len(gaps) else {}
    ends = bootstrap_intervals(statistics, seed=seed)
    return {
        "better": _mean(shares),
        "better_interval": _list(ends.get("better")),
        "difference": _mean(gaps),
        "difference_interval": _list(ends.get("difference")),
        "p_value": sign_test(shares) if is_tested else None,
    }


def gini(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    """How unevenly a total is spread: 0 where all are equal, 1 - 1/n where one has it all.

    None without a value above 0.

    Source: Gini, Variabilità e mutabilità (1912), as the mean absolute difference.

    >>> gini([1.0, 1.0]), gini([0.0, 0.0, 0.0, 2.0])
    (0.0, 0.75)

    Raises:
        ShapeError: for a negative value.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.size and ordered[0] < 0:
        raise ShapeError("gini of a negative value: give absolute values")
    if not ordered.size or not ordered.sum() > 0:
        return None
    n = len(ordered)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (n * ordered.sum()))


def spread(prefix_rewards: Sequence[Sequence[float]], *, seed: int = 0) -> dict[str, Any]:
    """Whether reward comes evenly over the tokens of an output, or with one of them.

    The increment of a token is how much the reward of the prefix changes with it; the first token
    has none, as nothing says what the empty prefix is worth.

    Args:
        prefix_rewards: of each output, the rewards of its prefixes of 1, 2, ... tokens.

    Returns:
        gini of the absolute increments, mean over outputs, with its interval; largest, the share
        of the largest increment; even, what the largest share would be if all were equal; and
        by_tenth, the share of the absolute increments that falls into each tenth of the length.
        None where no output has two tokens and a change.
    """
    ginis, largest, even, tenths = [], [], [], []
    for rewards in prefix_rewards:
        sizes = np.abs(np.diff(np.asarray(rewards, dtype=float)))
        value = gini(sizes)
        if value is None:
            continue
        ginis.append(value)
        largest.append(float(sizes.max() / sizes.sum()))
        even.append(1 / len(sizes))
        places = (np.arange(len(sizes)) + 0.5) / len(sizes)  # middle of the token, as a share
        by_tenth, _ = np.histogram(places, bins=10, range=(0.0, 1.0), weights=sizes / sizes.sum())
        tenths.append(by_tenth)
    ends = bootstrap_intervals({"gini": mean_of(np.array(ginis))}, seed=seed) if ginis else {}
    return {
        "n_outputs": len(ginis),
        "gini": _mean(ginis),
        "gini_interval": _list(ends.get("gini")),
        "largest": _mean(largest),
        "even": _mean(even),
        "by_tenth": [float(share) for share in np.mean(tenths, axis=0)] if tenths else None,
    }


def mean_reciprocal_rank(ranks: Sequence[Sequence[int]], *, seed: int = 0) -> dict[str, Any]:
    """Token mean reciprocal rank: how near the top a distribution has the tokens of an output.

    Args:
        ranks: of each output, the rank of each of its tokens, from 1, among all next tokens.

    Returns:
        value, the mean over outputs of the mean 1 / rank of its tokens, its interval, first, the
        share of tokens at rank 1, and n_outputs.

    >>> mean_reciprocal_rank([[1, 2], [4]])["value"]  # (0.75 + 0.25) / 2
    0.5

    Raises:
        ShapeError: for an output without tokens, or a rank below 1.
    """
    if not all(map(len, ranks)):
        raise ShapeError("an output without tokens has no ranks")
    if any(rank < 1 for row in ranks for rank in row):
        raise ShapeError("ranks count from 1")
    means = np.array([float(np.mean([1 / rank for rank in row])) for row in ranks])
    flat = [rank for row in ranks for rank in row]
    ends = bootstrap_intervals({"value": mean_of(means)}, seed=seed) if ranks else {}
    return {
        "n_outputs": len(ranks),
        "value": _mean(means),
        "interval": _list(ends.get("value")),
        "first": _mean([rank == 1 for rank in flat]),
    }


def order_reversals(
    winners: Sequence[Sequence[float]],
    losers: Sequence[Sequence[float]],
    *,
    cuts: Sequence[float] = TENTHS,
    seed: int = 0,
) -> dict[str, Any]:
    """How often a reward model orders the prefixes of a pair against the order of the whole.

    Prefixes have equal numbers of tokens, up to the length of the longer output; the shorter one
    keeps its last prefix.

    Args:
        winners: of each pair, the model's rewards of the winner's prefixes of 1, 2, ... tokens.
        losers: the same of the loser.

    Returns:
        n_pairs; whole, the share of the pairs that it orders right as wholes; reversed, the share
        of prefixes that it orders against its own order of the wholes, mean over pairs, with its
        interval; flips, how often the order changes along a pair; and by_cut, at each share of
        the length, right: the share of pairs whose winner's prefix has the higher reward, ties
        one half, with its interval.

    Raises:
        ShapeError: if the two differ in number, or an output has no prefix.
    """
    if len(winners) != len(losers):
        raise ShapeError(f"{len(winners)} winners but {len(losers)} losers")
    gaps = [_gaps(ours, theirs) for ours, theirs in zip(winners, losers, strict=True)]
    signs = [np.sign(pair_gaps) for pair_gaps in gaps]
    reversed_shares = [
        float(np.mean(order[:-1] == -order[-1]))
        for order in signs
        if len(order) > 1 and order[-1] != 0
    ]
    flips = [_flips(order) for order in signs]
    at_cuts = {
        cut: np.array([(order[cut_length(len(order), cut) - 1] + 1) / 2 for order in signs])
        for cut in cuts
    }
    statistics = {f"{cut}": mean_of(values) for cut, values in at_cuts.items()} if gaps else {}
    if reversed_shares:
        reversals = {"reversed": mean_of(np.array(reversed_shares))}
        reversed_ends = bootstrap_intervals(reversals, seed=seed)["reversed"]
    else:
        reversed_ends = None
    ends: Mapping[str, Any] = bootstrap_intervals(statistics, seed=seed)
    return {
        "n_pairs": len(gaps),
        "whole": _mean([(order[-1] + 1) / 2 for order in signs]),
        "reversed": _mean(reversed_shares),
        "reversed_interval": _list(reversed_ends),
        "flips": _mean(flips),
        "by_cut": [
            {"cut": cut, "right": _mean(values), "interval": _list(ends.get(f"{cut}"))}
            for cut, values in at_cuts.items()
        ],
    }


def _gaps(ours: Sequence[float], theirs: Sequence[float]) -> NDArray[np.float64]:
    """Reward of the winner's prefix - of the loser's, at each length of the longer one."""
    if not len(ours) or not len(theirs):
        raise ShapeError("an output without tokens has no prefix")
    longest = max(len(ours), len(theirs))
    sides = [[*side, *[side[-1]] * (longest - len(side))] for side in (ours, theirs)]
    return np.asarray(sides[0], dtype=float) - np.asarray(sides[1], dtype=float)


def _flips(signs: NDArray[Any]) -> int:
    told = signs[signs != 0]
    return int((told[1:] != told[:-1]).sum())


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _list(ends: Any) -> list[float] | None:
    return None if ends is None else [float(ends[0]), float(ends[1])]
