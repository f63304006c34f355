import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from groot.evaluation.intervals import binomial_interval, lower_bound


@given(st.integers(1, 60), st.data())
def test_intervals_are_those_of_scipy(n, data):
    right = data.draw(st.integers(0, n))
    expected = binomtest(right, n).proportion_ci(0.95, method="exact")
    assert binomial_interval(right, n) == pytest.approx((expected.low, expected.high))
    one_sided = binomtest(right, n, alternative="greater").proportion_ci(0.9, method="exact")
    assert float(lower_bound(right, n, 0.1)) == pytest.approx(one_sided.low)
    assert binomial_interval(0, 0) is None
