import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.correction import CORRECTORS, MendingPlan, correct
from groot.correction.spans import correct_spans, error_regions
from groot.errors import ConfigError
from groot.rewards.overlap import FBeta
from groot.types import Candidate, Example, Span

WORDS = ("w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7")
STARTS = tuple(3 * i for i in range(len(WORDS)))
TEXT = " ".join(WORDS)


@st.composite
def labellings(draw):
    """Well-formed spans over the words: no overlap, in order."""
    spans, word = [], 0
    while word < len(WORDS):
        length = draw(st.integers(1, 3))
        label = draw(st.sampled_from([None, "a", "b"]))
        last = min(word + length, len(WORDS)) - 1
        if label:
            spans.append(Span(STARTS[word], STARTS[last] + 2, label))
        word = last + 1
    return tuple(spans)


def example_with(gold):
    return Example(TEXT, WORDS, STARTS, spans=gold)


def words(first, last, label):
    return Span(STARTS[first], STARTS[last] + 2, label)


def check_well_formed(spans):
    reach = 0
    for span in spans:
        assert reach <= span.start < span.end
        assert span.start in STARTS
        assert span.end - 2 in STARTS
        reach = span.end


def test_regions_join_what_overlaps():
    gold = (words(0, 1, "a"), words(2, 3, "b"), words(6, 6, "a"))
    said = (words(1, 2, "a"), words(5, 5, "b"), words(6, 6, "a"))
    first, second = error_regions(gold, said)
    assert first.wrong == said[:1]
    assert first.missing == gold[:2]
    assert second.wrong == said[1:2]
    assert second.missing == ()


def test_spans_that_only_touch_are_separate_regions():
    assert len(error_regions((words(0, 1, "a"),), (words(0, 0, "a"), words(2, 2, "a")))) == 2


def test_three_errors_worked_by_hand():
    gold = (words(0, 0, "a"), words(2, 2, "b"))
    said = (words(0, 0, "b"), words(4, 4, "a"))  # wrong label, one missing, one spurious
    found = correct(example_with(gold), Candidate("", said), rng=random.Random(3))
    a0, b0, b2, a4 = words(0, 0, "a"), words(0, 0, "b"), words(2, 2, "b"), words(4, 4, "a")
    outputs = [one.output for one in found]
    assert outputs[:3] == [(a0, a4), (b0, b2, a4), (b0,)]  # single
    assert outputs[3:6] == [(b0, b2), (a0,), (a0, b2, a4)]  # all but one
    assert outputs[6:] == [gold]  # of the chain all but its end are there already
    assert found[0].note == "mend 0:2 b -> 0:2 a"
    assert found[1].note == "mend add 6:8 b"
    assert found[3].note == "mend all but 0:2 b -> 0:2 a"


@given(gold=labellings(), said=labellings(), seed=st.integers(0, 9))
def test_always_well_formed_different_and_ends_in_the_gold(gold, said, seed):
    found = correct(example_with(gold), Candidate("", said), rng=random.Random(seed))
    outputs = [one.output for one in found]
    assert len(set(outputs)) == len(outputs)
    assert said not in outputs
    for spans in outputs:
        check_well_formed(spans)
    assert (gold in outputs) == (gold != said)
    if found:
        assert outputs[-1] == gold


@given(
    gold=labellings(),
    said=labellings(),
    seed=st.integers(0, 9),
    beta=st.sampled_from([0.0, 0.5, 1.0, 2.0, float("inf")]),
)
def test_reward_never_falls_along_a_chain(gold, said, seed, beta):
    example = example_with(gold)
    plan = MendingPlan(random.Random(seed), ["chain"])
    chain = correct_spans(example, Candidate("", said), plan)
    links = [said, *(one.output for one in chain)]
    rewards = FBeta(beta)(example, [Candidate("", link) for link in links])
    assert rewards == sorted(rewards)
    assert links[-1] == gold
    assert rewards[-1] == 1.0


@given(
    gold=labellings(),
    said=st.lists(
        st.builds(Span, st.integers(-1, 25), st.integers(-1, 25), st.sampled_from("ab")), max_size=5
    ),
)
def test_junk_from_outside_is_not_passed_on(gold, said):
    found = correct(example_with(gold), Candidate("", tuple(said)), rng=random.Random(0))
    for one in found:
        check_well_formed(one.output)
    assert tuple(said) == gold or found[-1].output == gold


def test_corners():
    gold = (words(0, 0, "a"),)
    rng = random.Random(0)
    assert correct(example_with(gold), Candidate("", gold), rng=rng) == []
    assert [c.output for c in correct(example_with(gold), Candidate("?", None), rng=rng)] == [gold]
    assert correct(Example(TEXT), Candidate("", gold), rng=rng) == []
    assert [c.output for c in correct(example_with(()), Candidate("", gold), rng=rng)] == [()]
    twice = Candidate("", gold * 2)
    assert [c.output for c in correct(example_with(gold), twice, rng=rng)] == [gold]


def test_limit_keeps_the_gold_and_the_same_seed_gives_the_same():
    gold = tuple(words(i, i, "a") for i in range(8))
    said = Candidate("", tuple(words(i, i, "b") for i in range(8)))
    found = correct(example_with(gold), said, rng=random.Random(5), limit=4)
    assert len(found) == 4
    assert found[-1].output == gold
    assert found == correct(example_with(gold), said, rng=random.Random(5), limit=4)
    with pytest.raises(ConfigError, match="at least one"):
        correct(example_with(gold), said, rng=random.Random(5), limit=0)


def test_every_corrector_gives_nothing_without_gold():
    for name, corrector in CORRECTORS.items():
        plan = MendingPlan(random.Random(0))
        assert corrector(Example("x"), Candidate("y", "y"), plan) == [], name


def test_errors_that_touch_without_a_space_are_mended_one_by_one():
    """Words may follow each other without a space; spans that only touch are two errors."""
    example = Example("w0w1", ("w0", "w1"), (0, 2), spans=(Span(0, 2, "a"), Span(2, 4, "b")))
    wrong = Candidate("", (Span(0, 2, "b"), Span(2, 4, "a")))
    mended = correct(example, wrong, rng=random.Random(0), kinds=["single"])
    assert [one.output for one in mended] == [
        (Span(0, 2, "a"), Span(2, 4, "a")),
        (Span(0, 2, "b"), Span(2, 4, "b")),
    ]
