from groot.outputs.items import (
    Counts,
    count_by_label,
    count_items,
    gold_of,
    gold_task,
    is_exact,
    items_of,
    key_of,
    label_of,
    task_of,
)
from groot.types import Candidate, Example, Span

SPAN = Span(0, 4, "artist")


def test_the_task_is_what_the_candidates_say():
    both = Example("nina", spans=(SPAN,), classes=("play",), reference="x")
    assert task_of([both], [[Candidate("", ("play",))]]) == "classes"
    assert task_of([both], [[Candidate("", None), Candidate("", (SPAN,))]]) == "spans"
    assert task_of([both], [[Candidate("x", "x")]]) == "text"


def test_without_a_word_from_the_candidates_the_gold_tells():
    assert task_of([Example("a", classes=("play",))], [[Candidate("", ())]]) == "classes"
    assert task_of([Example("a"), Example("a", reference="b")], []) == "text"
    assert task_of([], []) == "spans"


def test_gold_of_the_task():
    both = Example("nina", spans=(SPAN,), classes=("play",))
    assert gold_of(both, "classes") == ("play",)
    assert gold_of(both, "text") is None


def test_exactness():
    assert is_exact((), ())
    assert not is_exact((), None)
    assert not is_exact((SPAN,), (SPAN, SPAN))
    assert is_exact("a b", "a b")
    assert not is_exact("a b", "a  b")


def test_a_text_has_no_counts():
    assert count_by_label("gold", "said") == {}
    assert count_by_label(None, (SPAN,)) == {}


GOLD = (Span(0, 4, "artist"), Span(5, 9, "album"), Span(12, 15, "year"))


def test_each_kind_of_error():
    predicted = (
        Span(0, 4, "artist"),  # right
        Span(5, 9, "artist"),  # wrong label: one false positive, one missed
        Span(12, 16, "year"),  # wrong boundary: one false positive, one missed
        Span(20, 22, "year"),  # spurious
    )
    assert count_items(GOLD, predicted) == Counts(1, 3, 2)


def test_a_repeated_span_is_right_once():
    assert count_items(GOLD, (GOLD[0],) * 3) == Counts(1, 2, 2)


def test_malformed_misses_all_and_is_never_better_than_an_empty_prediction():
    assert count_items(GOLD, None) == count_items(GOLD, ()) == Counts(0, 0, 3)


def test_only_the_place_and_label_count():
    predicted = (Span(0, 4, "artist", text="nina", probability=0.3),)
    assert count_items(GOLD[:1], predicted) == Counts(1, 0, 0)


def test_labels_add_up_to_the_whole():
    predicted = (Span(0, 4, "artist"), Span(5, 9, "artist"), Span(30, 31, "new"))
    by_label = count_by_label(GOLD, predicted)
    assert list(by_label) == ["album", "artist", "new", "year"]
    assert by_label["artist"] == Counts(1, 1, 0)
    assert sum(by_label.values(), start=Counts()) == count_items(GOLD, predicted)
    assert count_by_label(GOLD, None)["year"] == Counts(0, 0, 1)


def test_classes_by_hand():
    assert count_items(("a",), ("a",)) == Counts(1, 0, 0)
    assert count_items(("a",), ("b",)) == Counts(0, 1, 1)
    assert count_items(("a", "b"), ("b", "c", "d")) == Counts(1, 2, 1)
    assert count_items((), ()) == Counts(0, 0, 0)
    assert count_items(("a", "b"), None) == Counts(0, 0, 2)
    assert count_items(("a",), ("a", "a")) == Counts(1, 1, 0)
    by_label = count_by_label(("a", "b"), ("b", "c"))
    assert by_label == {"a": Counts(0, 0, 1), "b": Counts(1, 0, 0), "c": Counts(0, 1, 0)}


def test_the_task_of_the_gold_is_that_of_the_gold_property():
    both = Example("nina", spans=(), classes=("play",), reference="x")
    assert gold_task(both) == "spans"
    assert gold_task(Example("x", reference="")) == "text"
    assert gold_task(Example("x")) is None
    for example in (both, Example("x", classes=()), Example("x", reference="y")):
        assert gold_of(example, gold_task(example)) == example.gold


def test_items_are_the_same_where_their_keys_are():
    told = Span(0, 4, "artist", text="nina", probability=0.2)
    assert key_of(told) == key_of(SPAN)
    assert label_of(told) == "artist"
    assert items_of((told, told)) == (SPAN, SPAN)
    assert items_of("artist") == items_of(None) == ()
