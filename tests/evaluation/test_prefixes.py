"""The numbers of `groot diagnose`, on pairs whose answers are known."""

import numpy as np
import pytest

from groot.errors import ShapeError
from groot.evaluation.prefixes import (
    TENTHS,
    continuations,
    cut_length,
    gini,
    mean_reciprocal_rank,
    order_reversals,
    spread,
)


@pytest.mark.parametrize(
    ("tokens", "share", "length"),
    [(1, 0.1, 1), (10, 0.1, 1), (10, 0.3, 3), (12, 0.25, 3), (7, 0.5, 4), (7, 1.0, 7)],
)
def test_cut_length(tokens, share, length):
    assert cut_length(tokens, share) == length


def test_continuations_by_hand():
    # pair 1: means 0.5 against 0.25, best 1 against 0.5; pair 2: means 0 against 0.5, best 0, 1
    winners = [[[0.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]]
    losers = [[[0.0, 0.5], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]
    first, last = continuations(winners, losers, cuts=(0.5, 1.0))
    assert (first["cut"], first["n_pairs"]) == (0.5, 2)
    assert first["mean"]["better"] == 0.5
    assert first["mean"]["difference"] == pytest.approx((0.25 - 0.5) / 2)
    assert (first["best"]["winner"], first["best"]["loser"]) == (0.5, 0.75)
    assert first["best"]["difference"] == pytest.approx((0.5 - 1.0) / 2)
    assert last["mean"]["better"] == 1.0
    assert last["best"]["difference_interval"] == [1.0, 1.0]


def test_mean_and_best_continuation_can_disagree():
    # a steady winner against a gambling loser
    (found,) = continuations([[[0.6, 0.6]]] * 10, [[[0.0, 1.0]]] * 10, cuts=(0.1,))
    assert found["mean"]["better"] == 1.0
    assert found["mean"]["p_value"] == pytest.approx(2 / 2**10)
    assert found["best"]["better"] == 0.0


def test_ties_are_one_half():
    (found,) = continuations([[[0.1 + 0.2]]], [[[0.3]]], cuts=(0.9,))
    assert found["mean"]["better"] == 0.5
    assert found["mean"]["p_value"] is None


def test_pairs_without_a_shorter_prefix_are_left_out_at_that_cut():
    winners = [[[1.0], [1.0]], [None, [1.0]], [None, [1.0]]]
    losers = [[[0.0], [0.0]], [[5.0], [0.0]], [None, [0.0]]]
    half, whole = continuations(winners, losers, cuts=(0.5, 1.0))
    assert (half["n_pairs"], half["mean"]["winner"], half["mean"]["better"]) == (1, 1.0, 1.0)
    assert whole["n_pairs"] == 3
    (none,) = continuations([[None]], [[None]], cuts=(0.5,))
    assert (none["n_pairs"], none["mean"]["better"], none["mean"]["p_value"]) == (0, None, None)
    assert none["best"]["better_interval"] is None


def test_whole_texts_are_not_tested_and_prefixes_are_corrected_for_the_number_of_tests():
    winners, losers = [[[1.0]] * 3] * 8, [[[0.0]] * 3] * 8
    rows = continuations(winners, losers, cuts=(0.3, 0.6, 1.0))
    assert rows[2]["mean"]["better"] == 1.0
    assert rows[2]["mean"]["p_value"] is rows[2]["best"]["holm_p_value"] is None
    for row in rows[:2]:  # four tests of 8 of 8
        assert row["mean"]["p_value"] == pytest.approx(2 / 2**8)
        assert row["best"]["holm_p_value"] == pytest.approx(4 * 2 / 2**8)


def test_missing_cuts_and_rollouts_are_refused():
    with pytest.raises(ShapeError, match="pair 0 has 1 and 1 cuts, want 10"):
        continuations([[[1.0]]], [[[1.0]]])
    with pytest.raises(ShapeError, match="without a rollout"):
        continuations([[[]]], [[[1.0]]], cuts=(1.0,))


def test_gini_by_hand():
    # 1, 3: mean absolute difference of all ordered pairs 4/4 = 1, over 2 * mean 2
    assert gini([3.0, 1.0]) == pytest.approx(0.25)
    assert gini([2.0]) == 0.0
    assert gini([]) is None
    assert gini([0.0, 0.0]) is None
    with pytest.raises(ShapeError, match="negative"):
        gini([-1.0])


def test_gini_is_the_mean_absolute_difference():
    values = np.random.default_rng(0).random(20)
    direct = np.abs(values[:, None] - values[None, :]).mean() / (2 * values.mean())
    assert gini(values.tolist()) == pytest.approx(direct)


def test_spread_tells_even_from_concentrated():
    even = spread([[0.0, 1.0, 2.0, 3.0, 4.0]] * 3)
    assert even["gini"] == 0.0
    assert even["largest"] == even["even"] == 0.25
    jump = spread([[0.0, 0.0, 0.0, 5.0, 5.0]])
    assert jump["gini"] == 0.75
    assert jump["largest"] == 1.0
    # 4 increments stand in the middle of 0-1/4, ..., the third at 0.625
    assert jump["by_tenth"] == [0.0] * 6 + [1.0] + [0.0] * 3
    assert sum(even["by_tenth"]) == pytest.approx(1.0)


def test_spread_of_nothing():
    assert spread([[1.0], [2.0, 2.0]])["gini"] is None


def test_mean_reciprocal_rank_by_hand():
    found = mean_reciprocal_rank([[1, 1, 2], [1, 4]])
    assert found["value"] == pytest.approx((2.5 / 3 + 1.25 / 2) / 2)
    assert found["first"] == pytest.approx(3 / 5)
    assert mean_reciprocal_rank([])["value"] is None
    for wrong in ([[]], [[0]]):
        with pytest.raises(ShapeError):
            mean_reciprocal_rank(wrong)


def test_order_reversals_by_hand():
    # gaps: -1, -1, +1 (one flip, two of two prefixes reversed); +1, +1 (none)
    found = order_reversals([[0.0, 0.0, 2.0], [1.0, 1.0]], [[1.0, 1.0, 1.0], [0.0, 0.0]])
    assert found["whole"] == 1.0
    assert found["reversed"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["flips"] == 0.5
    by_cut = {row["cut"]: row["right"] for row in found["by_cut"]}
    assert tuple(by_cut) == TENTHS
    assert by_cut[0.1] == 0.5
    assert by_cut[0.5] == 0.5
    assert by_cut[1.0] == 1.0


def test_the_shorter_output_keeps_its_last_prefix():
    # winner 2 tokens, loser 4: gaps 1, 1, 1 - 0.5, 1 - 2
    found = order_reversals([[1.0, 1.0]], [[0.0, 0.0, 0.5, 2.0]])
    assert found["whole"] == 0.0
    assert found["reversed"] == 1.0
    assert found["flips"] == 1


def test_ties_of_a_reward_model_are_one_half():
    found = order_reversals([[1.0]], [[1.0]])
    assert found["whole"] == 0.5
    assert found["reversed"] is None


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="1 winners but 0 losers"):
        order_reversals([[1.0]], [])
    with pytest.raises(ShapeError, match="no prefix"):
        order_reversals([[]], [[1.0]])


def test_a_model_that_misleads_on_prefixes_is_seen():
    # right at the end only, against one that is right from the second token on
    misled = order_reversals([[-1.0] * 9 + [1.0]] * 5, [[0.0] * 10] * 5)
    steady = order_reversals([[-1.0] + [1.0] * 9] * 5, [[0.0] * 10] * 5)
    assert misled["whole"] == steady["whole"] == 1.0
    assert misled["reversed"] == 1.0
    assert steady["reversed"] == pytest.approx(1 / 9)
