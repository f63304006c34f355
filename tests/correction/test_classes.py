import random

from hypothesis import given
from hypothesis import strategies as st

from groot.correction import correct
from groot.types import Candidate, Example

names = st.lists(st.sampled_from("abcdef"), max_size=4, unique=True).map(tuple)


def outputs_of(said, gold):
    example = Example("x", classes=gold)
    return [one.output for one in correct(example, Candidate("", said), rng=random.Random(0))]


def test_one_class_has_one_correction():
    assert outputs_of(("music",), ("weather",)) == [("weather",)]


def test_swaps_drops_and_adds():
    assert outputs_of(("a", "x"), ("a", "b", "c")) == [("a", "b"), ("a", "c", "x"), ("a", "b", "c")]
    assert outputs_of(("a", "x"), ("a",)) == [("a",)]


@given(said=names, gold=names)
def test_ends_in_the_gold_and_never_repeats(said, gold):
    outputs = outputs_of(said, gold)
    assert all(len(set(one)) == len(one) for one in outputs)
    assert len(set(map(frozenset, outputs))) == len(outputs)
    assert frozenset(said) not in map(frozenset, outputs)
    if set(said) != set(gold):
        assert outputs[-1] == gold
    else:
        assert outputs == []


def test_corners():
    example = Example("x", classes=("a",))
    assert correct(Example("x"), Candidate("", ("a",)), rng=random.Random(0)) == []
    [one] = correct(example, Candidate("?", None), rng=random.Random(0))
    assert one.output == ("a",)
