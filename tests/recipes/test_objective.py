"""The objective that a run names, with its settings, against its own signature."""

import pytest
import torch

from groot.errors import ConfigError, UnknownNameError
from groot.objectives import OBJECTIVES
from groot.recipes.objective import objective_of

ROWS = (torch.tensor([[-1.0, -2.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[True, True]]))


@pytest.mark.parametrize("name", ["pair_margin", "pair_square", "pair_logistic", "reward_match"])
def test_without_settings_it_is_the_function_with_its_own_defaults(name):
    torch.testing.assert_close(objective_of(name, {})(*ROWS), OBJECTIVES[name](*ROWS))


def test_settings_are_bound():
    loss = objective_of("pair_margin", {"margin": 0.5})(*ROWS)
    torch.testing.assert_close(loss, torch.tensor([1.5]))  # 0.5 * 1 - (-2 + 1)


def test_a_setting_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ConfigError, match=r"pair_logistic has no setting 'margin'; it has beta\."):
        objective_of("pair_logistic", {"margin": 1.0})
    with pytest.raises(UnknownNameError, match="Did you mean 'pair_margin'"):
        objective_of("pair_magin", {})


@pytest.mark.parametrize("name", ["dpo", "grpo"])
def test_what_needs_a_frozen_model_is_sent_to_tune(name):
    with pytest.raises(ConfigError, match=f"groot tune DIR --objective {name} --out"):
        objective_of(name, {})
