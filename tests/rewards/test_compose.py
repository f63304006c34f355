import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import ConfigError, ShapeError
from groot.rewards.compose import OwnPart, Reward
from groot.types import Candidate, Example

LEGAL, JUNK = Candidate("O", ()), Candidate("junk", None)


def constant(*values):
    return OwnPart("constant", lambda example, candidates: list(values))


def test_missing_in_one_part_is_missing_in_the_sum():
    reward = Reward([constant(1.0, None), constant(None, 2.0)])
    scores = reward.score_parts([Example("x")], [[LEGAL, LEGAL]])
    assert scores.total == [[None, None]]
    assert reward.counts()["constant"] == {"asked": 2, "none": 1}


# Rewards of text that know no malformed output: they go by what was written, cut or whole.
BY_TEXT = {
    "longer is better": lambda example, some: [float(len(one.text)) for one in some],
    "shorter is better": lambda example, some: [-float(len(one.text)) for one in some],
    "every second letter": lambda example, some: [float(len(one.text) % 2) for one in some],
    "vowels less length": lambda example, some: [
        sum(map(one.text.count, "aeiou")) - len(one.text) / 2 for one in some
    ],
}
texts = st.text("abei ", max_size=9)


@given(
    name=st.sampled_from(sorted(BY_TEXT)),
    weight=st.sampled_from([1.0, -1.0, 0.3]),
    cut=texts,
    beside=st.lists(st.tuples(texts, st.booleans()), max_size=4),
)
def test_malformed_gets_the_same_in_every_list_and_never_more_than_saying_nothing(
    name, weight, cut, beside
):
    reward, example = Reward([OwnPart(name, BY_TEXT[name])], [weight]), Example("p")
    junk = Candidate(cut, None)
    others = [Candidate(text, text if is_legal else None) for text, is_legal in beside]
    [[alone]] = reward.score([example], [[junk]])
    assert reward.score([example], [[*others, junk]])[0][-1] == alone
    assert reward.score([example] * 2, [others, [junk, *others]])[1][0] == alone
    [[nothing]] = reward.score([example], [[Candidate("", "")]])
    assert alone <= nothing
    assert alone <= weight * BY_TEXT[name](example, [junk])[0]


def test_what_a_cut_text_gets_by_hand():
    reward = Reward([OwnPart("length", BY_TEXT["longer is better"])])
    cut, whole = Candidate("a long text without an end", None), Candidate("ok", "ok")
    assert reward.score([Example("p")], [[cut]]) == [[0.0]]
    assert reward.score([Example("p")], [[cut, whole]]) == [[0.0, 2.0]]


def test_nothing_is_what_the_task_can_say():
    asked = []

    def remember(example, some):
        asked.extend(candidate.output for candidate in some)
        return [1.0] * len(some)

    reward = Reward([OwnPart("remember", remember)])
    for example in (
        Example("x", spans=()),
        Example("x", classes=("a",)),
        Example("x", reference="b"),
        Example("x"),
    ):
        reward.score([example], [[JUNK]])
    assert asked == [None, (), None, (), None, "", None, ""]
    assert reward.counts()["remember"]["asked"] == 4  # nothing is no candidate


def test_without_a_bound_a_malformed_reward_is_missing():
    def no_empty_text(example, some):
        return [None if not candidate.text else 1.0 for candidate in some]

    reward = Reward([OwnPart("no_empty_text", no_empty_text)])
    whole = Candidate("ok", "ok")
    assert reward.score([Example("p")], [[JUNK, whole]]) == [[None, 1.0]]


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
