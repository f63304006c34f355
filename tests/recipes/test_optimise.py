"""What the rounds of a run go for."""

import pytest

from groot.config import config_from
from groot.recipes.optimise import aim_of
from groot.recipes.rounds import rounds_of

OPTIMISE = {
    "rounds": 1,
    "contrast_weight": 0.5,
    "nll_weight": 0.25,
    "learning_rate": 0.01,
    "gold_share": 0.75,
    "selects_on": "both",
    "average_decay": 0.5,
}
DISTIL = {
    "rounds": 1,
    "contrast_weight": 0.125,
    "gold_weight": 2.0,
    "learning_rate": 0.02,
    "average_decay": 0.25,
}


@pytest.fixture
def aims():
    config = config_from({"optimise": OPTIMISE, "distil": DISTIL})
    return [aim_of(config, round) for round in rounds_of(config)]


def test_contrast_learns_rewards_and_not_the_choice_of_mbr(aims):
    contrast, _ = aims
    learnt = contrast.maximised
    assert (learnt.contrast_weight, learnt.nll_weight, learnt.mbr_weight) == (0.5, 0.25, 0.0)
    assert learnt.learning_rate == 0.01
    assert (contrast.gold_share, contrast.selects_on, contrast.average_decay) == (0.75, "both", 0.5)


def test_distillation_learns_what_the_model_expects_and_is_chosen_by_rank_1(aims):
    _, distil = aims
    learnt = distil.maximised
    assert (learnt.contrast_weight, learnt.nll_weight, learnt.mbr_weight) == (0.125, 2.0, 1.0)
    assert learnt.learning_rate == 0.02
    assert (distil.gold_share, distil.selects_on, distil.average_decay) == (0.0, "metric", 0.25)
