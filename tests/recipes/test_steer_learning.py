"""Heads are judged on texts that they had no part in: what is learnt by heart gains nothing."""

import numpy as np
import pytest
import torch

from groot.errors import ConfigError
from groot.recipes.steer_candidates import SteerTable
from groot.recipes.steer_choice import Steering
from groot.recipes.steer_learning import SteerSettings, judge, learn, rewards_of


def make_table(*, n_texts, k, width, seed, is_signal=False, n_labels=3):
    """Candidates of one label each, with random states; rewards of noise, or of the label."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    column = torch.randint(n_labels, (n_texts, k, 1), generator=generator)
    rewards = (column[:, :, 0] == 0).float() if is_signal else draw(n_texts, k).sigmoid()
    return SteerTable(
        texts=tuple(map(str, range(n_texts))),
        log_p=draw(n_texts, k).sort(descending=True).values,
        rewards=rewards,
        counts=torch.zeros(n_texts, k, 3, dtype=torch.long),
        pairs=torch.full((n_texts, k, k), torch.nan),
        states=torch.cat([draw(n_texts * k, width), torch.ones(n_texts * k, 1)], 1),
        place=torch.arange(n_texts * k).view(n_texts, k, 1),
        column=column,
        is_label=torch.ones(n_texts, k, 1, dtype=torch.bool),
        n_labels=n_labels,
        scale=1.0,
    )


def gains(table, first):
    """What each judged text gains over its likeliest candidate."""
    is_judged = first >= 0
    judged = table.of_texts(is_judged)
    return rewards_of(judged, first[is_judged]) - judged.rewards[:, 0].numpy()


MEMORISING = SteerSettings(strengths=(1e-4,), weights=(2.0,), folds=3, iterations=20)


def test_a_head_that_learns_noise_by_heart_shows_no_gain():
    """With more states than texts a head puts the best candidate of each text that it saw first."""
    table = make_table(n_texts=40, k=6, width=60, seed=1)
    lesson = learn(table, MEMORISING)
    by_heart = gains(table, lesson.first(table))
    best = table.rewards.max(1).values - table.rewards[:, 0]
    assert by_heart.mean() > 0.8 * float(best.mean())
    for first in (*lesson.tried.values(), judge(table, MEMORISING, on_lesson=lambda _: None)):
        assert gains(table, first).mean() < 0.3 * by_heart.mean()


def test_what_can_be_learnt_is_found_by_texts_that_come_later():
    table = make_table(n_texts=60, k=6, width=4, seed=1, is_signal=True)
    lessons = []
    first = judge(table, MEMORISING, on_lesson=lessons.append)
    assert len(lessons) == 2
    assert (first >= 0).sum() == 40
    judged = table.of_texts(first >= 0)
    reachable = judged.rewards.max(1).values.mean()
    assert rewards_of(judged, first[first >= 0]).mean() > 0.95 * float(reachable)


def test_a_text_is_never_judged_by_its_twin():
    """Every text stands twice: whoever learnt one by heart would know the other."""
    table = make_table(n_texts=30, k=6, width=80, seed=2)
    twice = torch.arange(60) % 30
    table = SteerTable(
        texts=tuple(table.texts[i] for i in twice),
        **{
            name: getattr(table, name)[twice]
            for name in ("log_p", "rewards", "counts", "pairs", "place", "column", "is_label")
        },
        states=table.states,
        n_labels=3,
        scale=1.0,
    )
    lesson = learn(table, MEMORISING)
    for first in (*lesson.tried.values(), judge(table, MEMORISING, on_lesson=lambda _: None)):
        assert gains(table, first).mean() < 0.3 * gains(table, lesson.first(table)).mean()


def test_over_many_rewards_of_noise_the_mean_gain_is_nothing():
    """The real fits and choices; on the texts that chose, the mean gain is far above nothing."""
    settings = SteerSettings(strengths=(0.1, 1.0), weights=(0.5, 1.0, 2.0), folds=3, iterations=6)
    fair, hopeful = [], []
    for seed in range(30):
        table = make_table(n_texts=36, k=5, width=2, seed=seed)
        lesson = learn(table, settings)
        first = judge(table, settings, on_lesson=lambda _: None)
        for found, chosen in ((fair, first), (hopeful, lesson.tried[lesson.way])):
            moved = gains(table, chosen)
            found.append(moved.mean() / (moved.std() / len(moved) ** 0.5 + 1e-9))
    error = 1 / len(fair) ** 0.5
    assert abs(np.mean(fair)) < 2 * error
    assert np.mean(hopeful) > 3 * error


def test_some_texts_keep_their_own_candidates_and_states():
    table = make_table(n_texts=7, k=4, width=3, seed=3)
    head = torch.randn(3, 4, generator=torch.Generator().manual_seed(5))
    is_kept = torch.tensor([False, True, False, True, True, False, False])
    part = table.of_texts(is_kept)
    assert part.texts == ("1", "3", "4")
    assert len(part.states) == 3 * 4
    torch.testing.assert_close(part.added_by(head), table.added_by(head)[is_kept])
    torch.testing.assert_close(part.rewards, table.rewards[is_kept])


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="folds=1"):
        SteerSettings(folds=1)
    with pytest.raises(ConfigError, match="above 0"):
        SteerSettings(strengths=(0.0,))
    ways = SteerSettings(strengths=(0.1,), weights=(1.0, 2.0)).ways
    assert Steering(0.1, 2.0, "mbr") in ways
    assert len(ways) == 4
