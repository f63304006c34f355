import itertools

import numpy as np
import pytest

from groot.errors import ShapeError
from groot.evaluation.corpus_metrics import MICRO_PRECISION, MicroF
from groot.evaluation.significance import (
    UNDEFINED,
    SumStatistic,
    bootstrap_intervals,
    mean_of,
    metric_of,
    paired_difference,
)


def test_a_mean_leaves_missing_values_out():
    assert mean_of(np.array([1.0, np.nan, 0.0])).estimate() == 0.5
    assert np.isnan(mean_of(np.array([np.nan, np.nan])).estimate())


def test_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_intervals({"mean": mean_of(values)}, seed=1)["mean"]
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(5)
    truth, hits = 0.7, 0
    for seed in range(100):
        drawn = (rng.random(120) < truth).astype(float)
        low, high = bootstrap_intervals({"m": mean_of(drawn)}, seed=seed, n_resamples=400)["m"]
        hits += low <= truth <= high
    assert 88 <= hits <= 100


def test_a_micro_metric_is_resampled_over_examples_not_spans():
    # examples are all right or all wrong, so they carry the spread: 50 of 100, 10 spans each
    counts = np.array([[10, 0, 0]] * 50 + [[0, 10, 10]] * 50)
    low, high = bootstrap_intervals({"p": metric_of(counts, MICRO_PRECISION)})["p"]
    # a share of 0.5 over 100 examples has half-width 0.098; over 1000 spans it would be 0.031
    assert high - low == pytest.approx(2 * 0.098, abs=0.03)


def test_the_seed_fixes_the_interval_and_order_of_names_does_not_matter():
    numbers = {
        "a": mean_of(np.random.default_rng(1).random(50)),
        "b": mean_of(np.random.default_rng(2).random(50)),
    }
    first = bootstrap_intervals(numbers, seed=4)
    assert first == bootstrap_intervals(dict(reversed(numbers.items())), seed=4)
    assert first["a"] != bootstrap_intervals(numbers, seed=5)["a"]


def test_undefined_has_no_interval():
    empty = np.zeros((5, 3))
    assert bootstrap_intervals({"f": metric_of(empty, MicroF(1))}) == {"f": None}
    assert bootstrap_intervals({"m": mean_of(np.array([1.0]))}) == {"m": None}
    assert bootstrap_intervals({"m": mean_of(np.array([]))}) == {"m": None}
    assert bootstrap_intervals({}) == {}


def test_a_number_that_most_resamples_do_not_have_has_no_interval():
    """Defined where one example of 40 is drawn just once: in 37 of 100 resamples."""
    columns = np.zeros((40, 1))
    columns[0] = 1
    once = SumStatistic(columns, lambda sums: np.where(sums[..., 0] == 1, 0.5, np.nan))
    assert once.estimate() == 0.5
    assert bootstrap_intervals({"once": once}) == {"once": None}


def test_a_rare_label_has_an_interval_over_the_resamples_that_drew_it():
    counts = np.zeros((40, 3))
    counts[0], counts[1] = (1, 0, 0), (0, 0, 1)
    low, high = bootstrap_intervals({"f": metric_of(counts, MicroF(1))})["f"]
    assert (low, high) == (0.0, 1.0)


def test_p_value_against_every_swap_by_hand():
    before, after = np.array([0.1, 0.4, 0.2, 0.9, 0.3]), np.array([0.5, 0.6, 0.1, 1.0, 0.8])
    moved = after - before
    sums = [np.dot(moved, signs) for signs in itertools.product([1, -1], repeat=5)]
    observed = moved.sum()
    upper = sum(one >= observed - 1e-12 for one in sums) / len(sums)
    result = paired_difference(mean_of(before), mean_of(after))
    assert result.difference == pytest.approx(observed / 5)
    assert result.p_value == pytest.approx(min(1.0, 2 * upper))


def test_p_value_of_a_micro_metric_against_every_swap_by_hand():
    """Swapping an example moves its counts from each side to the other, not on one side only."""
    rng = np.random.default_rng(0)
    gold = rng.integers(1, 4, 9)
    right = rng.binomial(gold, 0.4), rng.binomial(gold, 0.8)
    before, after = (
        np.stack([r, rng.poisson(extra, 9), gold - r], axis=1)
        for r, extra in zip(right, (0.3, 0.8), strict=True)
    )

    def difference(is_swapped):
        sides = np.where(is_swapped, after, before), np.where(is_swapped, before, after)
        f1 = [2 * s[:, 0].sum() / (2 * s[:, 0] + s[:, 1] + s[:, 2]).sum() for s in sides]
        return f1[1] - f1[0]

    swaps = [np.array(each)[:, None] for each in itertools.product([False, True], repeat=9)]
    every = np.array([difference(each) for each in swaps])
    observed = difference(swaps[0])
    tails = (every >= observed - 1e-12).mean(), (every <= observed + 1e-12).mean()
    metric = MicroF(1)
    result = paired_difference(metric_of(before, metric), metric_of(after, metric))
    assert result.difference == pytest.approx(observed)
    assert result.p_value == pytest.approx(min(1.0, 2 * min(tails)))
    assert 0.01 < result.p_value < 0.9


def test_p_value_is_two_sided_and_symmetric():
    rng = np.random.default_rng(3)
    before = rng.random(200)
    after = before + rng.normal(0.1, 0.2, size=200)
    up = paired_difference(mean_of(before), mean_of(after))
    down = paired_difference(mean_of(after), mean_of(before))
    assert up.difference == pytest.approx(-down.difference)
    assert up.p_value < 0.001
    assert down.p_value < 0.001
    assert up.low == pytest.approx(-down.high)


def test_no_effect_gives_p_values_spread_over_0_to_1():
    rng = np.random.default_rng(8)
    p_values = [
        paired_difference(
            mean_of(rng.random(60)), mean_of(rng.random(60)), n_resamples=10, n_permutations=199
        ).p_value
        for _ in range(100)
    ]
    assert sum(p < 0.1 for p in p_values) <= 22
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.12)


def test_equal_sides_differ_by_nothing():
    values = mean_of(np.random.default_rng(0).random(30))
    assert paired_difference(values, values) == (0.0, 0.0, 0.0, 1.0)


def test_undefined_on_one_side_is_undefined():
    counts = np.array([[1, 0, 0], [0, 1, 1]])
    metric = MicroF(1)
    assert paired_difference(metric_of(counts, metric), metric_of(counts * 0, metric)) == UNDEFINED


def test_different_examples_are_refused():
    with pytest.raises(ShapeError, match="same examples"):
        paired_difference(mean_of(np.zeros(3)), mean_of(np.zeros(4)))
