import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import ConfigError, ShapeError
from groot.rewards.compose import OwnPart, Reward, cap_malformed
from groot.types import Candidate, Example

LEGAL, JUNK = Candidate("O", ()), Candidate("junk", None)


def constant(*values):
    return OwnPart("constant", lambda example, candidates: list(values))


def test_missing_in_one_part_is_missing_in_the_sum():
    reward = Reward([constant(1.0, None), constant(None, 2.0)])
    scores = reward.score_parts([Example("x")], [[LEGAL, LEGAL]])
    assert scores.total == [[None, None]]
    assert reward.counts()["constant"] == {"asked": 2, "none": 1}


def test_malformed_never_above_the_worst_legal_one():
    reward = Reward([constant(0.3, 5.0, 0.7)])
    assert reward.score([Example("x")], [[LEGAL, JUNK, LEGAL]]) == [[0.3, 0.3, 0.7]]
    # a negative weight would turn a cap of the parts around
    assert Reward([constant(0.3, 0.0)], [-1.0]).score([Example("x")], [[LEGAL, JUNK]]) == [
        [-0.3, -0.3]
    ]


@given(
    st.lists(
        st.tuples(st.none() | st.floats(-5, 5), st.booleans()),
        max_size=6,
    )
)
def test_cap_changes_nothing_but_malformed_ones_that_are_too_high(pairs):
    rewards = [value for value, _ in pairs]
    candidates = [JUNK if is_junk else LEGAL for _, is_junk in pairs]
    legal = [v for v, is_junk in pairs if v is not None and not is_junk]
    for before, after, candidate in zip(
        rewards, cap_malformed(rewards, candidates), candidates, strict=True
    ):
        if candidate is LEGAL or before is None or not legal:
            assert after == before
        else:
            assert after == min(before, min(legal))


def test_mistakes():
    with pytest.raises(ConfigError, match="2 reward weights for 1"):
        Reward([constant(1.0)], [1.0, 2.0])
    with pytest.raises(ConfigError, match="finite"):
        Reward([constant(1.0)], [float("nan")])
    with pytest.raises(ShapeError, match="2 examples but candidates for 1"):
        Reward([constant(1.0)]).score([Example("x"), Example("y")], [[LEGAL]])


def test_close_is_called_by_with():
    closed = []
    with Reward([constant(1.0)], close=lambda: closed.append(True)) as reward:
        assert reward.score([Example("x")], [[LEGAL]]) == [[1.0]]
    assert closed == [True]
