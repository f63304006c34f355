from groot.rewards.distinct import Distinct
from groot.types import Candidate, Example


def test_values():
    texts = ["a b a b", "a a a", "a", "", "a b c"]
    values = Distinct(2)(Example(""), [Candidate("", text) for text in texts])
    assert values == [2 / 3, 1 / 2, 1.0, 1.0, 1.0]
