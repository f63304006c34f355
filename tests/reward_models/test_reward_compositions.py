"""Ensembles, log-sigmoid and the implicit reward: sums by hand, and one pass equals steps."""

from __future__ import annotations

import math

import pytest
import torch

from groot.errors import ConfigError, ModelError
from groot.models.embedded_text import make_text_model
from groot.models.loading import load_model
from groot.models.text_scoring import token_log_p
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.reward_compositions import ImplicitReward, LogSigmoidReward, RewardEnsemble

INPUTS = [[5, 6, 7], [8]]
OUTPUTS = [[9, 10, 11], [12, 13]]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def folder(request, make_model_folder, tmp_path_factory):
    return make_model_folder(request.param, tmp_path_factory.mktemp(request.param))


def shaken(folder, seed):
    """The model with its weights moved a little."""
    model = load_model(folder)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def members(folder):
    return [RewardModel(shaken(folder, seed), "partial").eval() for seed in (1, 2, 3)]


def check_steps(model, **bounds):
    """Step by step, with forking prefixes, the rewards of one pass come out."""
    scoring = model.begin(INPUTS, torch.tensor([0, 1]))
    scoring.advance(torch.tensor([0, 0, 1]), torch.tensor([9, 14, 12]))
    found = scoring.score(torch.tensor([[10, 15], [10, 15], [13, 15]]))
    inputs = [INPUTS[0], INPUTS[0], INPUTS[1]]
    for column, tokens in enumerate(([10, 10, 13], [15, 15, 15])):
        longer = [[start, token] for start, token in zip((9, 14, 12), tokens, strict=True)]
        torch.testing.assert_close(found[:, column], model.rewards(inputs, longer), **bounds)
    started = model.begin(INPUTS, torch.tensor([0, 1]), torch.tensor([[9], [12]]))
    again = started.score(torch.tensor([[10], [13]]))[:, 0]
    torch.testing.assert_close(again, found[[0, 2], 0], **bounds)
    return scoring


@torch.no_grad()
@pytest.mark.parametrize("how", ["mean", "worst", "uncertainty"])
def test_ensembles_by_hand_and_step_by_step(members, how):
    ensemble = RewardEnsemble(members, how=how, penalty=2.0)
    each = torch.stack([model.prefix_rewards(INPUTS, OUTPUTS)[0] for model in members])
    mean = (each[0] + each[1] + each[2]) / 3
    wanted = {
        "mean": mean,
        "worst": each.min(0).values,
        "uncertainty": mean - 2.0 * ((each - mean) ** 2).sum(0) / 3,
    }[how]
    rewards, is_real = ensemble.prefix_rewards(INPUTS, OUTPUTS)
    assert is_real.tolist() == [[True] * 3, [True, True, False]]
    torch.testing.assert_close(rewards, wanted, **CLOSE)
    torch.testing.assert_close(
        ensemble.rewards(INPUTS, OUTPUTS), torch.stack([wanted[0, 2], wanted[1, 1]]), **CLOSE
    )
    assert ensemble.kind == "partial"
    scoring = check_steps(ensemble, **CLOSE)
    # three models, each advanced once (2 prefixes become 3) and asked once (3 times 2 candidates)
    assert (scoring.calls, scoring.tokens) == (3 * 2, 3 * (3 + 6))


@torch.no_grad()
def test_log_sigmoid_by_hand_and_step_by_step(members):
    model = LogSigmoidReward(members[0], reference=0.5)
    plain = members[0].rewards(INPUTS, OUTPUTS).tolist()
    wanted = [-math.log(1 + math.exp(0.5 - reward)) for reward in plain]
    torch.testing.assert_close(model.rewards(INPUTS, OUTPUTS), torch.tensor(wanted), **CLOSE)
    rewards, is_real = model.prefix_rewards(INPUTS, OUTPUTS)
    assert not rewards[~is_real].any()
    check_steps(model, **CLOSE)


@torch.no_grad()
def test_the_implicit_reward_adds_up_log_ratios(folder):
    tuned, reference = shaken(folder, 4).eval(), load_model(folder).eval()
    model = ImplicitReward(tuned, reference, beta=0.5)
    rewards, is_real = model.prefix_rewards(INPUTS, OUTPUTS)
    by_token = [token_log_p(one, INPUTS, OUTPUTS, [0, 1])[0] for one in (tuned, reference)]
    gap = 0.5 * (by_token[0] - by_token[1])
    torch.testing.assert_close(rewards[0, 1], gap[0, 0] + gap[0, 1], **CLOSE)
    torch.testing.assert_close(model.rewards(INPUTS, OUTPUTS), gap.sum(1), **CLOSE)
    assert not rewards[~is_real].any()
    check_steps(model, **CLOSE)
    same = ImplicitReward(reference, reference)
    assert not same.begin(INPUTS, torch.tensor([0, 1])).score_all().any()


def test_what_does_not_fit_together_is_refused(members, folder):
    other = RewardModel(load_model(folder), "value")
    with pytest.raises(ConfigError, match="partial', 'value"):
        RewardEnsemble([members[0], other])
    with pytest.raises(ConfigError, match="got none"):
        RewardEnsemble([])
    with pytest.raises(ConfigError, match="how='median'"):
        RewardEnsemble(members, how="median")
    stranger = make_text_model(["a text"], shape="causal", width=8, layers=1, heads=1)
    with pytest.raises(ModelError, match="different vocabularies"):
        ImplicitReward(stranger, members[0].backbone)
