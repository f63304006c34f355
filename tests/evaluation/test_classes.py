from groot.evaluation.classes import count_by_class, count_classes
from groot.evaluation.spans import Counts


def test_counts_by_hand():
    assert count_classes(("a",), ("a",)) == Counts(1, 0, 0)
    assert count_classes(("a",), ("b",)) == Counts(0, 1, 1)
    assert count_classes(("a", "b"), ("b", "c", "d")) == Counts(1, 2, 1)
    assert count_classes((), ()) == Counts(0, 0, 0)
    assert count_classes(("a", "b"), None) == Counts(0, 0, 2)


def test_a_repeated_class_is_right_once():
    assert count_classes(("a",), ("a", "a")) == Counts(1, 1, 0)


def test_classes_add_up_to_the_whole():
    by_class = count_by_class(("a", "b"), ("b", "c"))
    assert by_class == {"a": Counts(0, 0, 1), "b": Counts(1, 0, 0), "c": Counts(0, 1, 0)}
    assert sum(by_class.values(), start=Counts()) == count_classes(("a", "b"), ("b", "c"))
