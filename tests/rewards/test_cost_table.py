import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import RewardError
from groot.rewards.cost_table import CostTable, common_order
from groot.types import Candidate, Example, Span

COSTS = CostTable(
    {
        "default": {"missing": 2.0, "spurious": 3.0, "wrong_label": 4.0, "wrong_boundary": 0.5},
        "artist": {"missing": 5.0, "wrong_label": 7.0},
        "song": {"spurious": 11.0},
    }
)
GOLD = Example("nina simone jazz", spans=(Span(0, 11, "artist"), Span(12, 16, "genre")))


def cost(*spans, example=GOLD):
    return COSTS(example, [Candidate("", spans)])


def test_each_kind_of_error_worked_by_hand():
    artist, genre = GOLD.spans
    assert cost(artist, genre) == [0.0]
    assert cost(genre) == [-5.0]  # artist missing: its own price
    assert cost(artist) == [-2.0]  # genre missing: the default's
    assert cost(Span(0, 11, "song"), genre) == [-7.0]  # wrong label, at the gold's label
    assert cost(Span(0, 4, "artist"), genre) == [-0.5]  # wrong boundary
    assert cost(Span(0, 4, "song"), genre) == [-7.5]  # both
    assert cost() == [-7.0]
    assert cost(Span(0, 4, "song"), example=Example("nina", spans=())) == [-11.0]


def test_a_repeated_span_is_spurious():
    artist, genre = GOLD.spans
    assert cost(artist, artist, genre) == [-3.0]


def test_malformed_is_worse_than_nothing():
    [junk, nothing] = COSTS(GOLD, [Candidate("?", None), Candidate("", ())])
    assert junk == -(5.0 + 2.0 + 11.0)
    assert junk < nothing
    assert COSTS(Example("x", spans=()), [Candidate("?", None)]) == [-11.0]


def test_classes():
    example = Example("x", classes=("artist", "genre"))
    said = [("artist", "genre"), ("song", "genre"), ("artist",), ("artist", "genre", "song"), ()]
    values = COSTS(example, [Candidate("", one) for one in said])
    assert values == [0.0, -7.0, -2.0, -11.0, -7.0]


def test_without_gold_or_prices():
    assert COSTS(Example("x"), [Candidate("", ())]) == [None]
    assert CostTable({})(GOLD, [Candidate("", ())]) == [-2.0]


# any spans of a text of ten characters, also some that overlap each other
PLACES = st.tuples(st.integers(0, 9), st.integers(1, 5), st.sampled_from(["artist", "song", "x"]))
SPANS = st.sets(PLACES, max_size=4).map(lambda some: tuple(Span(a, a + n, c) for a, n, c in some))
IN_ORDER = SPANS.map(lambda some: tuple(sorted(some, key=lambda s: (s.start, s.end, s.label))))
CLASSES = st.sets(st.sampled_from(["artist", "genre", "song", "x"])).map(sorted).map(tuple)


@pytest.mark.parametrize(("gold_field", "outputs"), [("spans", IN_ORDER), ("classes", CLASSES)])
@given(data=st.data())
def test_pairwise_is_the_cost_with_each_as_gold(gold_field, outputs, data):
    drawn = data.draw(st.lists(st.none() | outputs, min_size=1, max_size=7))
    candidates = [Candidate("", output) for output in drawn]
    matrix = COSTS.pairwise(candidates)
    for row, gold in zip(matrix, drawn, strict=True):
        if gold is not None:
            values = COSTS(Example("", **{gold_field: gold}), candidates)
            np.testing.assert_allclose(row, values, rtol=0, atol=1e-12)


def test_pairwise_is_not_known_where_the_order_would_matter():
    a, b = Span(0, 4, "artist"), Span(5, 9, "song")
    for outputs in ([(b, a)], [(a, a)], [("x", "song"), ("song", "x")], [("x", "x")]):
        assert COSTS.pairwise([Candidate("", output) for output in outputs]) is None
    assert common_order([]) == []


def test_free_text_is_refused_and_not_free_of_cost():
    example, candidate = Example("x", reference="y"), Candidate("y", "y")
    with pytest.raises(RewardError, match="not free text"):
        COSTS(example, [candidate])
    assert COSTS.pairwise([candidate]) is None


def test_malformed_pays_the_dearest_spurious_label_though_the_table_does_not_name_it():
    cheap = CostTable({"artist": {"spurious": 0.1, "missing": 2.0}})  # any other label costs 1
    example = Example("nina", spans=(Span(0, 4, "artist"),))
    assert cheap(example, [Candidate("junk", None)]) == [-3.0]
