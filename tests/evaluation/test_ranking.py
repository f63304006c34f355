import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from groot.evaluation.ranking import kendall_tau, mean_of_top, oracle, reciprocal_rank_of_best

rewards = st.lists(st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=6)


def test_values_by_hand():
    given_rewards = [0.5, 1.0, None, 0.0]
    assert mean_of_top(given_rewards, 4) == 0.5
    assert mean_of_top(given_rewards, 1) == 0.5
    assert oracle(given_rewards, 4) == 1.0
    assert oracle(given_rewards, 1) == 0.5
    assert reciprocal_rank_of_best(given_rewards, 4) == 1 / 2
    assert reciprocal_rank_of_best(given_rewards, 1) == 1.0
    # pairs of 0.5, 1.0, 0.0: one rises, two fall: (2 - 1) / 3
    assert kendall_tau(given_rewards, 4) == pytest.approx(1 / 3)


def test_ties_weigh_as_tau_b_says():
    # 2 concordant, 0 discordant, 1 tie among the rewards: 2 / sqrt(3 * 2)
    assert kendall_tau([1.0, 0.0, 0.0], 3) == pytest.approx(2 / 6**0.5)


@pytest.mark.parametrize("number", [mean_of_top, oracle, reciprocal_rank_of_best, kendall_tau])
def test_nothing_to_rank_is_undefined(number):
    assert number([], 5) is None
    assert number([None, None], 5) is None


def test_one_reward_and_equal_rewards_have_no_order():
    assert kendall_tau([0.5], 5) is None
    assert kendall_tau([0.5, None, 0.5], 5) is None
    assert reciprocal_rank_of_best([0.5, 0.5], 5) == 1.0


@given(rewards, st.integers(1, 6))
def test_missing_rewards_are_not_zeros(row, k):
    there = [one for one in row[:k] if one is not None]
    assert oracle(row, k) == (max(there) if there else None)
    if there:
        assert min(there) <= mean_of_top(row, k) <= max(there)
        place = round(1 / reciprocal_rank_of_best(row, k)) - 1
        assert row[place] == max(there)


@given(rewards)
def test_tau_is_scipys(row):
    tau = kendall_tau(row, 6)
    ranked = [(-place, one) for place, one in enumerate(row) if one is not None]
    if tau is not None:
        assert tau == pytest.approx(stats.kendalltau(*zip(*ranked, strict=True)).statistic)
