import random

from hypothesis import given
from hypothesis import strategies as st

from groot.correction import correct
from groot.correction.text import edit_script
from groot.types import Candidate, Example

texts = st.lists(st.sampled_from(["a", "b", "c", "the", "\u2028x"]), max_size=6).map(" ".join)


def outputs_of(said, gold, **settings):
    found = correct(
        Example("x", reference=gold), Candidate("", said), rng=random.Random(0), **settings
    )
    return [one.output for one in found]


def test_two_edits_worked_by_hand():
    assert outputs_of("the cat sat here", "the dog sat", kinds=["single"]) == [
        "the dog sat here",
        "the cat sat",
    ]
    assert outputs_of("the cat sat here", "the dog sat", kinds=["all_but_one"]) == [
        "the cat sat",
        "the dog sat here",
    ]


def test_line_breaks_stay_with_their_words():
    gold = "first line\n  second line\nthird"
    assert (
        outputs_of("first row\n  second line\nlast", gold)[0] == "first line\n  second line\nlast"
    )
    assert outputs_of("first line second line third", gold) == [gold]


@given(said=texts, gold=texts, seed=st.integers(0, 5))
def test_chain_comes_closer_by_one_edit_and_ends_in_the_gold(said, gold, seed):
    example = Example("x", reference=gold)
    chain = correct(example, Candidate("", said), rng=random.Random(seed), kinds=["chain"])
    if said == gold:
        assert chain == []
        return
    assert chain[-1].output == gold
    edits = sum(is_error for _, _, is_error in edit_script(said, gold))
    assert len(chain) <= max(edits, 1)
    assert said not in [one.output for one in chain]


def test_malformed_becomes_the_gold():
    example = Example("x", reference="y")
    [one] = correct(example, Candidate("?", None), rng=random.Random(0))
    assert one.output == "y"
