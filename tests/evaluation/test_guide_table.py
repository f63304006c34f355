"""The comparison of guides, each number by hand on tables that fit in the head."""

import dataclasses

import numpy as np
import pytest

from groot.errors import ShapeError
from groot.evaluation.guide_table import (
    GuideRun,
    guide_table,
    holm,
    mean_rewards,
    pairs_of,
    row_of,
    sign_test,
    win_shares,
)


def run(rewards, *, seconds=2.0, calls=0, read=0, lm_tokens=None):
    """Samples of two tokens each, at -1 nat a token."""
    return GuideRun(
        texts=[["play it"] * len(row) for row in rewards],
        rewards=rewards,
        log_p=[[-2.0] * len(row) for row in rewards],
        n_tokens=[[2] * len(row) for row in rewards],
        seconds=seconds,
        reward_calls=calls,
        reward_tokens=read,
        lm_tokens=lm_tokens,
    )


PLAIN = run([[0.0, 1.0], [0.0, 0.0], [1.0, None]])


def test_a_row_by_hand():
    row = row_of(run([[1.0, 1.0], [0.0, 1.0], [1.0]], calls=20, read=40, lm_tokens=30), PLAIN)
    # means of prompts: 1, 1/2, 1; their standard deviation is sqrt(1/12), over sqrt(3)
    assert row["reward"] == pytest.approx(5 / 6)
    assert row["standard_error"] == pytest.approx(np.sqrt(1 / 12) / np.sqrt(3))
    assert row["tokens"] == 10
    assert row["tokens_per_second"] == 5.0
    assert row["reward_calls_per_token"] == 2.0
    assert row["reward_tokens_per_token"] == 4.0
    assert row["lm_tokens_per_token"] == 3.0
    assert row["fluency"] == -1.0
    assert row["words_per_text"] == 2.0
    assert row["rouge_l"] == 1.0  # all samples are equal
    assert row["distinct_1"] == 0.5  # 2 different of 4 words; the prompt with one sample is out
    # baseline means 1/2, 0, 1: differences 1/2, 1/2, 0
    assert row["difference"] == pytest.approx(1 / 3)
    # wins: prompt 1 of 4 pairs 2 wins and 2 ties, prompt 2 of 4 pairs 2 wins and 2 ties, tie
    assert row["win_rate"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert row["sign_p_value"] == 0.5  # 2 of 2
    low, high = row["intervals"]["reward"]
    assert 0.5 <= low <= 5 / 6 <= high <= 1.0


def test_missing_rewards_are_left_out_and_counted():
    assert mean_rewards(PLAIN).tolist() == [0.5, 0.0, 1.0]
    assert row_of(PLAIN)["missing_rewards"] == 1
    gone = run([[None], [1.0]])
    assert np.isnan(mean_rewards(gone)[0])
    assert row_of(gone)["reward"] == 1.0
    assert np.isnan(win_shares(gone, run([[0.0], [0.0]]))[0])
    assert row_of(run([[None]]))["reward"] is None


def test_a_guide_against_itself_wins_half():
    assert win_shares(PLAIN, PLAIN).tolist() == [0.5, 0.5, 0.5]
    same = row_of(PLAIN, PLAIN)
    assert (same["win_rate"], same["difference"], same["p_value"]) == (0.5, 0.0, 1.0)
    assert same["sign_p_value"] is None


def test_sign_test_is_the_binomial_by_hand():
    # 6 won, 1 lost: 2 * (1 + 7) / 128
    assert sign_test(np.array([1.0] * 6 + [0.0])) == pytest.approx(16 / 128)
    assert sign_test(np.array([0.5, np.nan])) is None


def test_holm_by_hand():
    # 3 * 0.01; 2 * 0.02; 1 * 0.03 is raised to the 0.04 before it
    found = holm({"x": 0.03, "y": 0.01, "z": 0.02, "none": None})
    assert found == {
        "x": pytest.approx(0.04),
        "y": pytest.approx(0.03),
        "z": pytest.approx(0.04),
        "none": None,
    }
    assert holm({"x": 0.9, "y": 0.8}) == {"x": 1.0, "y": 1.0}


def test_the_table_keeps_the_order_given_and_compares_with_the_baseline():
    better = run([[1.0], [1.0], [1.0]])
    rows = guide_table({"mine": better, "pargs": better, "top_k": PLAIN, "args": PLAIN})
    assert list(rows) == ["mine", "pargs", "top_k", "args"]
    assert "win_rate" not in rows["top_k"]
    assert rows["pargs"]["difference"] == pytest.approx(0.5)
    assert rows["pargs"]["holm_p_value"] >= rows["pargs"]["p_value"]


def test_the_table_of_a_clear_difference_is_significant():
    worse, better = run([[0.0]] * 12), run([[1.0]] * 12)
    (claim,) = pairs_of({"a": better, "b": worse}, [("a", "b"), ("a", "absent")]).items()
    assert claim[0] == "a > b"
    assert claim[1]["difference"] == 1.0
    assert claim[1]["p_value"] == pytest.approx(2 / 2**12)


def test_claims_are_corrected_for_the_number_of_those_that_could_be_tested():
    worse, better = run([[0.0]] * 12), run([[1.0]] * 12)
    runs = {"a": better, "b": worse, "c": worse}
    claims = pairs_of(runs, [("a", "b"), ("a", "c"), ("a", "absent")])
    assert list(claims) == ["a > b", "a > c"]
    for claim in claims.values():
        assert claim["holm_p_value"] == pytest.approx(2 * claim["p_value"])


def test_other_prompts_are_refused():
    with pytest.raises(ShapeError, match="3 prompts against 2"):
        row_of(PLAIN, run([[1.0], [1.0]]))


def test_without_time_or_tokens_there_is_no_speed():
    empty = dataclasses.replace(run([[1.0]]), n_tokens=[[0]], seconds=0.0)
    row = row_of(empty)
    assert row["tokens_per_second"] is None
    assert row["fluency"] is None
