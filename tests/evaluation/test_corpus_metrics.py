import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.evaluation.corpus_metrics import (
    MICRO_PRECISION,
    MICRO_RECALL,
    MicroF,
    f_beta,
    precision,
    recall,
)
from groot.outputs.items import Counts

counts_of_one = st.builds(Counts, *[st.integers(0, 50)] * 3)


def test_values_by_hand():
    # tp 3, fp 1, fn 3: precision 3/4, recall 3/6, F1 6/10, F0.5 3.75/5.5, F2 15/28
    counts = Counts(3, 1, 3)
    assert precision(counts) == 3 / 4
    assert recall(counts) == 3 / 6
    assert f_beta(counts, 1) == 6 / 10
    assert f_beta(counts, 0.5) == pytest.approx(3.75 / 5.5)
    assert f_beta(counts, 2) == 15 / 28
    assert f_beta(counts, 0) == precision(counts)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(0, 0, 0), (None, None, None)),
        (Counts(0, 0, 2), (None, 0.0, 0.0)),
        (Counts(0, 2, 0), (0.0, None, 0.0)),
        (Counts(0, 1, 1), (0.0, 0.0, 0.0)),
    ],
)
def test_undefined_is_none_and_not_zero(counts, expected):
    assert (precision(counts), recall(counts), f_beta(counts, 0.5)) == expected


@given(counts_of_one, st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_f_lies_between_precision_and_recall(counts, beta):
    parts = precision(counts), recall(counts)
    if None not in parts:
        assert min(parts) - 1e-12 <= f_beta(counts, beta) <= max(parts) + 1e-12


@given(st.lists(counts_of_one, min_size=1, max_size=6))
def test_the_array_form_agrees_with_the_plain_one(many):
    table = np.array([tuple(counts) for counts in many])
    for metric in (MicroF(0.5), MicroF(1), MicroF(2), MICRO_PRECISION, MICRO_RECALL):
        values = metric.over(table)
        assert values.shape == (len(many),)
        for value, counts in zip(values, many, strict=True):
            plain = metric(counts)
            assert np.isnan(value) if plain is None else value == pytest.approx(plain)
