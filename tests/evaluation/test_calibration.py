import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.evaluation.calibration import (
    calibration_error,
    calibration_error_of,
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


def test_nothing_is_undefined():
    assert calibration_error([], []) is None
    assert reliability_curve([], []).probability == []
    assert precision_recall([], [], n_gold=3).precision == []
    assert precision_recall([0.5], [False], n_gold=3).precision == []


def test_missing_probabilities_are_left_out():
    numbers = calibration_error_of(np.array([0.95, math.nan, 0.3]), np.array([1.0, 1.0, math.nan]))
    assert numbers.estimate() == pytest.approx(0.05)


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
