import dataclasses
import random

import numpy as np
import pytest

from groot.errors import DataError
from groot.evaluation.comparison import compare, measured_on
from groot.evaluation.corpus_metrics import MicroF
from groot.evaluation.measure import measure
from groot.types import Candidate, Example, Span

A, B, C = Span(0, 4, "artist"), Span(5, 9, "album"), Span(10, 14, "artist")


def example(*spans, id="1"):
    return Example("nina blue soul", spans=spans, id=id)


def candidate(*spans, reward=None):
    return Candidate("", spans, log_p=-1.0, reward=reward)


def some_set(seed, n_examples, good):
    rng = random.Random(seed)
    examples = [example(A, B, id=str(i)) for i in range(n_examples)]
    candidates = []
    for _ in examples:
        right = rng.random() < good
        first = candidate(A, B) if right else candidate(A, C)
        first = dataclasses.replace(first, reward=1.0 if right else 0.5)
        candidates.append([first, candidate(A, reward=0.7)])
    return examples, candidates


def test_compare_sees_a_gain():
    before = measure(*some_set(1, 150, 0.4), k=2, metric=MicroF(0.5))
    after = measure(*some_set(2, 150, 0.8), k=2, metric=MicroF(0.5))
    paired = compare(before, after)
    assert list(paired) == ["reward_rank_1", "reward_top_k_mean", "metric", "f1"]
    for result in paired.values():
        assert list(result) == ["difference", "low", "high", "p_value"]
        assert 0 < result["low"] < result["difference"] < result["high"]
        assert result["p_value"] < 0.01
    gain = after.summary(n_resamples=0)["f1"] - before.summary(n_resamples=0)["f1"]
    assert paired["f1"]["difference"] == pytest.approx(gain)


def test_compare_pairs_by_id_whatever_the_order():
    examples, candidates = some_set(1, 40, 0.5)
    before = measure(examples, candidates, k=2)
    turned = measure(examples[::-1], candidates[::-1], k=2)
    for name, result in compare(before, turned).items():
        if name == "metric":
            assert set(result.values()) == {None}  # the reward has no corpus form
        else:
            assert result == {"difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}


def test_compare_leaves_out_examples_without_a_reward_on_either_side():
    examples = [example(A, id="1"), example(A, id="2"), example(A, id="3")]
    before = measure(examples, [[candidate(A, reward=r)] for r in (0.0, 0.5, None)], k=1)
    after = measure(examples, [[candidate(A, reward=r)] for r in (None, 0.75, 1.0)], k=1)
    assert compare(before, after)["reward_rank_1"]["difference"] == pytest.approx(0.25)


def test_compare_refuses_other_examples():
    one = measure([example(id="1")], [[]], k=1)
    other = measure([example(id="2")], [[]], k=1)
    with pytest.raises(DataError, match="'1' is in one of them only"):
        compare(one, other)
    twice = measure([example(A, id="1"), example(id="1"), example(id="2")], [[]] * 3, k=1)
    turned = measure([example(id="2"), example(id="1"), example(A, id="1")], [[]] * 3, k=1)
    with pytest.raises(DataError, match="ids repeat"):
        compare(twice, turned)
    assert compare(twice, twice)["f1"]["difference"] == 0.0


def test_compare_refuses_numbers_of_different_rewards():
    """The same predictions measured by recall and by precision would differ "significantly"."""
    examples, candidates = some_set(1, 40, 0.5)
    before = measure(examples, candidates, k=1, reward="recall")
    after = measure(examples, candidates, k=1, reward="precision")
    with pytest.raises(DataError, match="reward recall, the second with precision"):
        compare(before, after)
    assert compare(before, dataclasses.replace(after, reward="recall"))["f1"]["p_value"] == 1.0
    compare(before, measure(examples, candidates, k=1))  # of one the reward is not known


def test_what_chose_is_not_tested_on():
    before = measure(*some_set(1, 60, 0.4), k=2, metric=MicroF(0.5))
    after = measure(*some_set(2, 60, 0.8), k=2, metric=MicroF(0.5))
    tested, told = compare(before, after), compare(before, after, is_tested=False)
    for name, difference in told.items():
        assert difference.pop("difference") == pytest.approx(tested[name]["difference"])
        assert difference == {"low": None, "high": None, "p_value": None}
    assert measured_on("dev") == "dev, which chose the weights"


def test_a_test_on_what_chose_would_find_what_is_not_there():
    """The reason for `is_tested`: the best of ten models that are no better is "significant"."""
    rng = np.random.default_rng(0)
    examples = [example(A, id=str(i)) for i in range(100)]

    def drawn(is_right):
        said = [[candidate(A) if right else candidate(B)] for right in is_right]
        return measure(examples, said, k=1)

    found = 0
    for _ in range(20):
        base = rng.random(100) < 0.6
        others = [np.where(rng.random(100) < 0.1, rng.random(100) < 0.6, base) for _ in range(10)]
        best = max([base, *others], key=np.sum)
        paired = compare(drawn(base), drawn(best), n_resamples=50, n_permutations=199)["f1"]
        found += paired["low"] > 0
    assert found >= 3
