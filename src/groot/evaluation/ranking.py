"""How good the candidates below rank 1 are, and whether the model's order is the reward's order.

`rewards` are those of one example in rank order; None is missing and is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from scipy import stats

Rewards = Sequence[float | None]


def mean_of_top(rewards: Rewards, k: int) -> float | None:
    """Mean reward of the first k candidates; None where none of them has a reward.

    >>> mean_of_top([1.0, None, 0.5, 0.0], k=3)
    0.75
    """
    known = [reward for reward in rewards[:k] if reward is not None]
    return sum(known) / len(known) if known else None


def oracle(rewards: Rewards, k: int) -> float | None:
    """The best reward among the first k: what a perfect choice would get.

    >>> oracle([0.2, 0.9, 1.0], k=2)
    0.9
    """
    return max((reward for reward in rewards[:k] if reward is not None), default=None)


def reciprocal_rank_of_best(rewards: Rewards, k: int) -> float | None:
    """1 / rank of the first candidate that has the best reward of the first k.

    >>> reciprocal_rank_of_best([0.2, None, 0.9, 0.9], k=4)
    0.3333333333333333
    """
    best = oracle(rewards, k)
    if best is None:
        return None
    return 1 / (1 + list(rewards[:k]).index(best))


def kendall_tau(rewards: Rewards, k: int) -> float | None:
    """Kendall's tau-b of the model's order against the order by reward, over the first k.

    1 where the rewards fall with the rank, -1 where they rise. None with fewer than two rewards,
    or where all are equal: there is no order to agree with.

    >>> kendall_tau([0.9, 0.5, 0.1], k=3), kendall_tau([0.5, 0.5], k=2)
    (1.0, None)
    """
    return _tau(tuple(reward for reward in rewards[:k] if reward is not None))


@lru_cache(maxsize=65536)  # few different lists of rewards among thousands of examples
def _tau(rewards: tuple[float, ...]) -> float | None:
    if len(set(rewards)) < 2:
        return None
    order = range(len(rewards), 0, -1)
    return float(stats.kendalltau(order, rewards, variant="b").statistic)
