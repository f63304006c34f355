"""How a guide is used is chosen with caution, and no text is judged by what it had a part in."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from groot.recipes.steer_choice import Steering, cautious_choice, fold_of_each, judged_by_the_past
from groot.recipes.steer_learning import SteerSettings

WAYS = SteerSettings().ways


def test_of_what_is_as_good_as_the_best_the_lightest_is_chosen():
    plain = np.full(100, 0.4)
    means = {
        Steering(0.1, 1.0, "mbr"): 0.52,
        Steering(0.1, 0.5, "top"): 0.47,
        Steering(0.3, 0.5, "mbr"): 0.48,
        Steering(0.1, 0.25, "mbr"): 0.44,
    }

    def rewards(spread):
        around = np.array([spread, -spread] * 50)
        return {way: mean + around for way, mean in means.items()}

    assert cautious_choice(rewards(0.01), plain) == (0.1, 1.0, "mbr")
    assert cautious_choice(rewards(0.5), plain) == (0.3, 0.5, "mbr")  # standard error 0.05
    assert cautious_choice(rewards(1.0), plain) == (0.1, 0.25, "mbr")


def test_equal_texts_share_a_fold_and_no_fold_is_empty():
    texts = ["a", "b", "a", "c", "a", "d", "b", "e"]
    folds = fold_of_each(texts, 3)
    assert all(
        len({folds[i] for i, other in enumerate(texts) if other == text}) == 1 for text in texts
    )
    assert set(folds) == {0, 1, 2}


def test_a_fold_is_judged_by_all_folds_before_it_and_by_no_other():
    fold_of = fold_of_each(range(10), 4)
    seen = []

    def first_after(is_past):
        seen.append(set(fold_of[is_past]))
        return np.full(10, len(seen))

    judged = judged_by_the_past(fold_of, first_after)
    assert seen == [{0}, {0, 1}, {0, 1, 2}]
    assert judged.tolist() == np.where(fold_of == 0, -1, fold_of).tolist()


def noise(rng, n_texts, k=8):
    """Which candidate comes first in every way, and rewards [N, K] that know nothing of it."""
    log_p = np.sort(-rng.exponential(2.0, (n_texts, k)))[:, ::-1]
    rewards = rng.choice([0.0, 0.5, 0.8, 1.0], (n_texts, k), p=[0.1, 0.2, 0.3, 0.4])
    heads = {way.strength: rng.normal(size=(n_texts, k)) / (1 + 10 * way.strength) for way in WAYS}
    first = {}
    for way in WAYS:
        shaken = 0.3 * rng.normal(size=(n_texts, k)) * (way.choose == "mbr")
        first[way] = (log_p + way.weight * heads[way.strength] + shaken).argmax(1)
    return first, rewards


@pytest.fixture(scope="module")
def p_values():
    """Of 400 rewards that are pure noise: judged by the past, and on the texts that chose."""
    rng, n_texts = np.random.default_rng(1), 120
    rows, fold_of = np.arange(n_texts), fold_of_each(range(n_texts), SteerSettings().folds)
    found = {"judged by the past": [], "on the texts that chose": []}
    for _ in range(400):
        first, rewards = noise(rng, n_texts)
        unguided = rewards[:, 0]
        gained = {way: rewards[rows, first[way]] for way in WAYS}

        def best_of(is_asked, first=first, gained=gained, unguided=unguided):
            asked = {way: values[is_asked] for way, values in gained.items()}
            return first[cautious_choice(asked, unguided[is_asked])]

        guided = judged_by_the_past(fold_of, best_of)
        hopeful = best_of(np.full(n_texts, True))
        for name, chosen, is_counted in (
            ("judged by the past", guided, guided >= 0),
            ("on the texts that chose", hopeful, hopeful >= 0),
        ):
            moved = (rewards[rows, chosen] - unguided)[is_counted]
            found[name].append(ttest_1samp(moved, 0.0).pvalue)
    return {name: np.array(values) for name, values in found.items()}


def test_under_a_reward_of_noise_one_p_value_in_twenty_is_small(p_values):
    # 400 draws at 5 %: 95 % of the shares lie between 0.03 and 0.073
    assert 0.03 <= (p_values["judged by the past"] < 0.05).mean() <= 0.073


def test_on_the_texts_that_chose_it_would_be_far_more(p_values):
    assert (p_values["on the texts that chose"] < 0.05).mean() > 0.12
