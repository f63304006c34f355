from groot.rewards.word_lists import make_forbidden_words, make_wanted_words
from groot.types import Candidate, Example


def values(reward, *texts):
    return reward(Example(""), [Candidate("", text) for text in texts])


def test_wanted_words():
    reward = make_wanted_words("Book,now")
    assert values(reward, "book book", "Now, book!", "booking", "") == [0.5, 1.0, 0.0, 0.0]


def test_forbidden_words():
    reward = make_forbidden_words("the,a")
    assert values(reward, "The a", "they", "", "a.") == [1 / 3, 1.0, 1.0, 0.5]
