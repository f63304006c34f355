"""Numbers on pairs, worked by hand."""

import math

import pytest

from groot.evaluation.reward_pairs import PairScores, pair_report


def test_accuracy_by_tenth_freezes_the_shorter_output_and_skips_what_is_still_the_same():
    pairs = [
        # four tokens and two: gaps at lengths 1 to 4: -1, 1, 0, 2
        PairScores([0.0, 2.0, 1.0, 3.0], [1.0, 1.0]),
        # the same for one of two tokens, then lost
        PairScores([5.0, 0.0], [5.0, 1.0], n_shared=1),
    ]
    report = pair_report(pairs)
    assert report["n_pairs"] == 2
    assert report["accuracy"] == 0.5
    # lengths of the first: ceil(.4) = 1, 1, 2, 2, 2, 3, 3, 4, 4, 4; the second from 0.6 on
    found = [(tenth["accuracy"], tenth["n"]) for tenth in report["by_tenth"]]
    assert found == [
        *[(0.0, 1)] * 2,
        *[(1.0, 1)] * 3,
        *[(0.25, 2)] * 2,
        *[(0.5, 2)] * 3,
    ]


def test_calibration_sees_each_pair_from_both_sides():
    # three of four pairs are won with probability 3/4, one is lost with the same confidence
    gap = math.log(3)
    pairs = [PairScores([gap], [0.0])] * 3 + [PairScores([0.0], [gap])]
    calibration = pair_report(pairs)["calibration"]
    assert calibration["probability"] == pytest.approx([0.25, 0.75])
    assert calibration["share_won"] == [0.25, 0.75]
    assert calibration["n"] == [4, 4]
    assert calibration["error"] == pytest.approx(0.0, abs=1e-12)
    surer = [PairScores([800.0], [0.0])] * 3 + [PairScores([0.0], [800.0])]
    assert pair_report(surer)["calibration"]["error"] == 0.25


def test_no_pairs_give_no_numbers():
    report = pair_report([])
    assert (report["accuracy"], report["calibration"]["error"]) == (None, None)
    assert {tenth["n"] for tenth in report["by_tenth"]} == {0}
