import pytest

from groot.errors import RewardError
from groot.rewards.exact import Exact
from groot.rewards.token_accuracy import token_accuracy
from groot.types import Candidate, Example, Span

WORDS = ("play", "nina", "simone", "jazz")
STARTS = (0, 5, 10, 17)
TEXT = "play nina simone jazz"


def exact(example, *outputs):
    return Exact()(example, [Candidate("", output) for output in outputs])


def accuracy(gold, *outputs):
    example = Example(TEXT, WORDS, STARTS, spans=gold)
    return token_accuracy(example, [Candidate("", output) for output in outputs])


def test_exact_match():
    a, b = Span(0, 4, "a"), Span(5, 9, "b")
    assert exact(Example(TEXT, spans=(a, b)), (a, b), (b, a), (a,), (a, b, b), None) == [
        1.0, 1.0, 0.0, 0.0, 0.0,
    ]  # fmt: skip
    assert exact(Example("x", spans=()), (), None) == [1.0, 0.0]
    assert exact(Example("x", reference=" a b\n"), "a b", "a  b", None) == [1.0, 0.0, 0.0]
    assert exact(Example("x", classes=("a", "b")), ("b", "a"), ("a",)) == [1.0, 0.0]


def test_class_accuracy_looks_at_classes_even_where_there_are_spans():
    example = Example("x", spans=(), classes=("a",))
    assert Exact(of="classes")(example, [Candidate("", ("a",)), Candidate("", ())]) == [1.0, 0.0]


def test_token_accuracy_worked_by_hand():
    artist = Span(5, 16, "artist")
    split = (Span(5, 9, "artist"), Span(10, 16, "artist"))
    assert accuracy((artist,), (artist,), (), split, None) == [1.0, 0.5, 0.75, 0.0]
    assert accuracy((), (), (Span(0, 4, "x"),)) == [1.0, 0.75]
    assert accuracy((artist,), (Span(5, 16, "song"), Span(17, 21, "x"))) == [0.25]


def test_token_accuracy_of_text():
    example = Example("x", reference="a b c d")
    said = ["a b c d", "a x c", "a b c d e", "", None]
    values = token_accuracy(example, [Candidate("", one) for one in said])
    assert values == [1.0, 0.5, 0.8, 0.0, 0.0]
    assert token_accuracy(Example("x", reference=""), [Candidate("", "")]) == [1.0]


def test_token_accuracy_of_classes_is_refused():
    with pytest.raises(RewardError, match="class_accuracy"):
        token_accuracy(Example("x", classes=("a",)), [Candidate("", ("a",))])
