import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.evaluation.calibration import (
    calibration_error,
    calibration_error_of_chance,
    precision_recall,
    reliability_curve,
)
from groot.types import Span

A, B = Span(0, 4, "a"), Span(5, 9, "b")


def test_error_by_hand():
    # bin 0.9: two of probability 0.95, one right: gap 0.45; bin 0.1: one of 0.15, wrong: gap 0.15
    error = calibration_error([0.95, 0.95, 0.15], [True, False, False])
    assert error == pytest.approx((2 * 0.45 + 1 * 0.15) / 3)


def test_the_edges_belong_somewhere():
    assert calibration_error([0.0, 1.0], [False, True]) == 0.0
    curve = reliability_curve([0.0, 1.0, 0.5], [False, True, True])
    assert sum(curve.n_in_bin) == 3
    # bins are (0, 0.1], ..., (0.9, 1], and 0 is in the first
    assert reliability_curve([0.0, 0.1, 0.2, 0.9, 1.0], [1, 1, 1, 1, 1]).n_in_bin == [2, 1, 1, 1]


def test_nothing_is_undefined():
    assert calibration_error([], []) is None
    assert reliability_curve([], []).probability == []
    assert precision_recall([], [], n_gold=3).precision == []
    assert precision_recall([0.5], [False], n_gold=3).precision == []


@pytest.mark.parametrize("n", [60, 1000])
def test_true_probabilities_are_above_chance_as_often_as_told(n):
    """In 5 of 100 data sets, whatever the number of examples; and the mean of chance is right."""
    rng = np.random.default_rng(n)
    errors, chances = [], []
    for _ in range(200):
        p = rng.beta(5, 2, n)
        errors.append(calibration_error(p, rng.random(n) < p))
        chances.append(calibration_error_of_chance(p, seed=int(rng.integers(1 << 30))))
    above = np.mean([e > chance.high for e, chance in zip(errors, chances, strict=True)])
    assert 0.01 <= above <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert np.mean([chance.mean for chance in chances]) == pytest.approx(np.mean(errors), rel=0.06)


def test_probabilities_that_are_too_sure_are_above_chance():
    rng = np.random.default_rng(0)
    p = rng.beta(5, 2, 1000)
    error = calibration_error(p, rng.random(1000) < p - 0.1)
    assert error > 1.5 * calibration_error_of_chance(p).high
    assert calibration_error_of_chance([]) is None
    assert calibration_error_of_chance(p) == calibration_error_of_chance(p)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30),
)
def test_error_follows_from_the_curve(pairs):
    p, right = zip(*pairs, strict=True)
    curve = reliability_curve(p, right)
    gaps = np.abs(np.subtract(curve.share_right, curve.probability))
    expected = float(np.dot(gaps, curve.n_in_bin)) / len(pairs)
    assert calibration_error(p, right) == pytest.approx(expected, abs=1e-9)


def test_recall_counts_gold_that_no_candidate_says():
    curve = precision_recall([0.9, 0.8, 0.3], [True, False, True], n_gold=4)
    # keep all: 2 right of 3 said, 2 of 4 gold found; keep p >= 0.9: 1 of 1, 1 of 4
    assert curve.threshold == [0.3, 0.8, 0.9]
    assert curve.precision == pytest.approx([2 / 3, 1 / 2, 1.0])
    assert curve.recall == pytest.approx([2 / 4, 1 / 4, 1 / 4])
