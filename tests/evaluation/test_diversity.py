"""Rouge-L between samples and distinct n-grams, by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.evaluation.diversity import common_subsequence, distinct_n, rouge_l, self_rouge_l

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


def test_rouge_l_by_hand():
    # "the cat sat" in "the black cat sat down": 3 of 3 and 3 of 5, F1 = 2 * 3 / 8
    assert rouge_l("the cat sat", "the black cat sat down") == pytest.approx(0.75)
    assert rouge_l("The CAT", "the cat") == 1.0  # case does not matter
    assert rouge_l("a b", "b a") == 0.5  # order does: one word in common


@pytest.mark.parametrize(("texts", "value"), [(("", ""), 1.0), (("", "a"), 0.0), (("a", " "), 0.0)])
def test_empty_texts(texts, value):
    assert rouge_l(*texts) == value


@given(WORDS, WORDS)
def test_common_subsequence_is_what_trying_all_gives(first, second):
    def is_in(part, whole):
        rest = iter(whole)
        return all(word in rest for word in part)

    longest = max(
        n
        for n in range(len(first) + 1)
        if any(is_in(part, second) for part in itertools.combinations(first, n))
    )
    assert common_subsequence(first, second) == longest == common_subsequence(second, first)


def test_self_rouge_l_is_the_mean_over_pairs():
    # pairs: (a b, a b) 1, (a b, a c) 1/2 twice
    assert self_rouge_l(["a b", "a b", "a c"]) == pytest.approx(2 / 3)
    assert self_rouge_l(["alone"]) is None


def test_distinct_n_by_hand():
    texts = ["a b a b", "a b c"]
    assert distinct_n(texts, 1) == pytest.approx(3 / 7)
    assert distinct_n(texts, 2) == pytest.approx(3 / 5)  # ab ba bc of ab ba ab, ab bc
    assert distinct_n(texts, 5) is None
    assert distinct_n(["The CAT the cat"], 1) == 0.5  # case does not matter
