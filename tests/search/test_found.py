"""What a search hands back: sums of parts in order, and what counts as proven."""

import itertools

import pytest

from groot.search.found import Goal, best_sums


@pytest.mark.parametrize("k", [1, 4, 100])
def test_best_sums_are_those_of_all_combinations(k):
    # gaps of different sizes at every rank, so that each step down has a cost of its own
    lists = [[-1.0, -1.5, -9.0, -9.25], [-2.0, -6.0, -6.125], [0.0, -3.0, -3.0625]]
    sums = {
        ranks: sum(numbers[rank] for numbers, rank in zip(lists, ranks, strict=True))
        for ranks in itertools.product(*(range(len(numbers)) for numbers in lists))
    }
    best = best_sums(lists, k)
    assert [total for _, total in best] == sorted(sums.values(), reverse=True)[:k]
    assert all(total == sums[ranks] for ranks, total in best)
    assert len({ranks for ranks, _ in best}) == len(best)


def test_an_empty_list_leaves_no_sum():
    assert best_sums([[0.0], []], 3) == []


@pytest.mark.parametrize(("n_proven", "is_exact"), [(1, True), (2, False), (3, False)])
def test_as_many_as_were_to_be_proven_decide(n_proven, is_exact):
    # what was dropped may be as good as -1.5: the first is proven, those behind it are not
    found = Goal(3, n_proven, 3).found([["a"], ["b"], ["c"]], [-1.0, -2.0, -3.0], -1.5)
    assert found.exact is is_exact
    assert len(found.paths) == 3
