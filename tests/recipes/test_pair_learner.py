"""Backbones that are to learn rewards: what is trained, and by what weights are chosen."""

import pytest
import torch

from groot.models.loading import load_model
from groot.recipes.pair_learner import open_learner
from groot.recipes.pair_losses import pair_loss
from groot.recipes.reward_model_settings import RewardModelSettings
from groot.recipes.spelled_pairs import SpelledPair


@pytest.fixture(scope="module")
def untied(make_model_folder, tmp_path_factory):
    """A causal model whose output rows are its own."""
    at = tmp_path_factory.mktemp("untied")
    text_model = load_model(make_model_folder("gpt2", at / "tied"))
    model = text_model.model
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.save_pretrained(at / "untied")
    text_model.tokenizer.save_pretrained(at / "untied")
    return at / "untied"


@pytest.mark.parametrize(("kind", "is_trained"), [("partial", False), ("vocabulary", True)])
def test_output_rows_that_nothing_reads_are_not_trained(untied, kind, is_trained):
    learner = open_learner(untied, RewardModelSettings(kind=kind))
    output = learner.model.backbone.model.get_output_embeddings()
    assert output.weight.requires_grad is is_trained


def test_weights_are_chosen_by_the_order_of_pairs_alone(untied):
    """The consistency of kind "vocabulary" moves with the model, so it measures nothing."""
    learner = open_learner(untied, RewardModelSettings(kind="vocabulary"))
    items = [SpelledPair([7, 8], [20, 21, 1], [22, 1]), SpelledPair([9], [23, 1], [24, 25, 1])]
    measured = learner.measure(items)["minus_loss"]
    wanted = -pair_loss(learner.model, items, is_measured=True).mean().item()
    assert measured == pytest.approx(wanted, abs=1e-5)
    assert measured != pytest.approx(-pair_loss(learner.model, items).mean().item(), abs=1e-3)
