import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.data.overlaps import flatten, one_part, overlapping
from groot.types import Span

SPANS = st.lists(
    st.builds(
        lambda start, length, label: Span(start, start + length, label),
        st.integers(0, 12),
        st.integers(1, 6),
        st.sampled_from("ab"),
    ),
    max_size=8,
)
WAYS = ("outermost", "innermost", "longest")


def meet(one, other):
    return one.start < other.end and other.start < one.end


@pytest.mark.parametrize("overlap", WAYS)
@given(spans=SPANS, order=st.randoms())
def test_what_is_kept_is_flat_and_as_much_as_can_be(overlap, spans, order):
    kept = flatten(spans, overlap)
    assert overlapping(kept) is None
    assert list(kept) == sorted(kept, key=lambda span: span.start)
    # each span that is left out meets one that is kept
    assert all(any(meet(span, other) for other in kept) for span in spans if span not in kept)
    shuffled = list(spans)
    order.shuffle(shuffled)
    assert flatten(shuffled, overlap) == kept


def test_by_hand():
    # a span around two others, then two that cross
    spans = [
        Span(0, 10, "out"),
        Span(0, 4, "in"),
        Span(5, 10, "in"),
        Span(12, 16, "x"),
        Span(14, 20, "y"),
    ]
    labels = {way: [span.label for span in flatten(spans, way)] for way in WAYS}
    assert labels == {
        "outermost": ["out", "x"],
        "innermost": ["in", "in", "x"],
        "longest": ["out", "y"],
    }


def test_spans_of_several_parts():
    parts = [(0, 4), (10, 16), (20, 22)]
    assert one_part(parts, "outermost") == (0, 22)
    assert one_part(parts, "innermost") == one_part(parts, "longest") == (10, 16)
