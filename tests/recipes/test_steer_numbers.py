"""What counts as a gain: better, and by more than chance explains."""

import pytest

from groot.evaluation.significance import PairedDifference
from groot.recipes.steer_numbers import is_gain


@pytest.mark.parametrize(
    ("moved", "gains"),
    [
        (PairedDifference(0.02, 0.01, 0.03, 0.004), True),
        (PairedDifference(0.02, -0.01, 0.05, 0.21), False),
        (PairedDifference(-0.02, -0.03, -0.01, 0.004), False),  # significantly worse
        (PairedDifference(None, None, None, None), False),
    ],
)
def test_a_gain_is_better_and_significant(moved, gains):
    assert is_gain(moved) is gains
