"""Weights are chosen on prompts that nothing is tested on."""

import pytest

from groot.errors import ConfigError
from groot.studies.guide_weights import choose_weights, with_chosen_weights
from groot.types import Example


def test_the_smallest_of_equally_good_weights_is_chosen():
    best, tried = choose_weights(["cd"], [2.0, 1.0, 4.0], lambda name, weight: min(weight, 2.0))
    assert best == {"cd": 2.0}
    assert tried == {"cd": {"1": 1.0, "2": 2.0, "4": 2.0}}


def test_weights_are_not_chosen_on_prompts_that_are_compared_on(contenders, prompts, reward):
    """The same request in other capitals is the same prompt."""
    own = [Example("turn it off"), Example("stop")]
    mixed = [*own, Example(prompts[0].text.upper() + " "), prompts[1]]
    chosen, trials = with_chosen_weights(
        contenders, ["pargs"], [0.0, 4.0], mixed, reward, compared_on=prompts
    )
    assert (trials.n_prompts, trials.n_left_out) == (2, 2)
    alone, same = with_chosen_weights(
        contenders, ["pargs"], [0.0, 4.0], own, reward, compared_on=prompts
    )
    assert trials.tried == same.tried
    assert chosen.settings.weights == alone.settings.weights
    assert chosen.settings.weights["pargs"] in (0.0, 4.0)
    with pytest.raises(ConfigError, match="all 4 prompts for choosing weights"):
        with_chosen_weights(contenders, ["pargs"], [1.0], prompts, reward, compared_on=prompts)
