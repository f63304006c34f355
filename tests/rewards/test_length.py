from groot.rewards.length import Length
from groot.types import Candidate, Example


def test_values():
    texts = ["", "a", "a b", " a  b\nc ", "a b c d", "a b c d e f"]
    values = Length(2, 4)(Example(""), [Candidate("", text) for text in texts])
    assert values == [1 / 3, 1 / 2, 1.0, 1.0, 1.0, 1 / 3]


def test_a_window_from_zero_takes_the_empty_text():
    assert Length(0, 0)(Example(""), [Candidate("", "")]) == [1.0]
