from hypothesis import given
from hypothesis import strategies as st

from groot.evaluation.errors import Match, class_confusion, confusion, count_kinds, match_spans
from groot.outputs.items import count_items
from groot.types import Span

one_span = st.builds(
    lambda start, size, label: Span(start, start + size, label),
    st.integers(0, 20),
    st.integers(1, 6),
    st.sampled_from("abc"),
)
some_spans = st.lists(one_span, max_size=6, unique=True)


def kinds_of(gold, said):
    return [match.kind for match in match_spans(gold, said)]


def test_each_kind():
    gold = [Span(start, start + 4, "a") for start in (0, 5, 10, 15, 20)]
    said = [
        Span(0, 4, "a"),
        Span(5, 9, "b"),
        Span(10, 12, "a"),
        Span(15, 17, "b"),
        Span(30, 31, "a"),
    ]
    assert kinds_of(gold, said) == ["right", "label", "boundary", "both", "missing", "spurious"]


def test_the_closest_pair_meets_first():
    # one wide prediction over two gold spans: it meets the one that it shares more with
    gold = [Span(0, 4, "a"), Span(5, 12, "b")]
    matches = match_spans(gold, [Span(0, 12, "a")])
    assert matches == [Match(gold[0], None), Match(gold[1], Span(0, 12, "a"))]
    # the same place beats a larger overlap, the same label beats the same place
    gold = [Span(2, 4, "a")]
    assert match_spans(gold, [Span(0, 9, "a"), Span(2, 4, "b")])[1].kind == "label"
    assert "right" in kinds_of(gold, [Span(2, 4, "b"), Span(2, 4, "a")])


def test_malformed_output_misses_everything():
    assert kinds_of([Span(0, 4, "a")], None) == ["missing"]
    assert match_spans([], None) == []


def test_a_label_called_none_keeps_its_own_row():
    matches = match_spans([Span(0, 4, "none")], [])
    assert confusion(matches) == {("'none'", "none"): 1}


@given(some_spans, some_spans)
def test_matches_agree_with_the_counts(gold, said):
    matches = match_spans(gold, said)
    kinds = count_kinds(matches)
    counts = count_items(gold, said)
    assert kinds["right"] == counts.true_positives
    assert sum(match.gold is not None for match in matches) == len(gold)
    assert sum(match.predicted is not None for match in matches) == len(said)
    assert sum(confusion(matches).values()) == len(matches)


def test_of_several_wrong_classes_none_is_taken_for_another():
    """Which of two missing classes a spurious one was mistaken for is not known."""
    assert class_confusion(("a", "b", "x"), ("c", "d", "x")) == {
        ("x", "x"): 1, ("a", "none"): 1, ("b", "none"): 1, ("none", "c"): 1, ("none", "d"): 1,
    }  # fmt: skip
    assert class_confusion(("a", "b"), ("c",)) == {
        ("a", "none"): 1, ("b", "none"): 1, ("none", "c"): 1,
    }  # fmt: skip


def test_matches_come_in_order_of_their_first_character():
    gold, wide, apart = Span(5, 9, "a"), Span(0, 9, "a"), Span(3, 4, "b")
    assert match_spans([gold], [apart, wide]) == [Match(gold, wide), Match(None, apart)]
    inner = Span(5, 6, "b")  # starts with the gold, and stands behind it
    assert match_spans([gold], [inner, gold]) == [Match(gold, gold), Match(None, inner)]
