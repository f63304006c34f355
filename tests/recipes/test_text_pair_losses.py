"""Classifiers learn from whole outputs, and are asked for prefixes at each tenth of the length."""

import math

import pytest
import torch

from groot.evaluation.reward_pairs import PairScores
from groot.recipes.spelled_pairs import SpelledTextPair
from groot.recipes.text_pair_losses import text_pair_loss, text_pair_scores
from groot.reward_models.classifier_reward import new_classifier


def item(prompt, chosen, rejected, model):
    ids = [model.spell(text)[0] for text in (chosen, rejected)]
    return SpelledTextPair([], *ids, 1.0, 0.0, prompt, chosen, rejected)


def test_the_loss_is_bradley_terry_of_whole_outputs(make_encoder_folder, tmp_path):
    model = new_classifier(make_encoder_folder("bert", tmp_path, num_labels=1)).eval()
    items = [item("play", "nina", "what is it", model), item("book a table", "two", "may", model)]
    loss = text_pair_loss(model, items)
    for row, one in enumerate(items):
        better = model.text_rewards([one.prompt], [one.chosen_text]).item()
        worse = model.text_rewards([one.prompt], [one.rejected_text]).item()
        assert loss[row].item() == pytest.approx(math.log1p(math.exp(worse - better)), abs=1e-5)
    loss.sum().backward()
    assert all(weight.grad is not None for weight in model.model.classifier.parameters())


@torch.no_grad()
def test_prefixes_are_read_at_each_tenth(make_encoder_folder, tmp_path):
    model = new_classifier(make_encoder_folder("bert", tmp_path, num_labels=2)).eval()
    one = item("play", "nina 🎷 in the kitchen please by the river in paris", "what é", model)
    (found,) = text_pair_scores(model, [one])
    assert isinstance(found, PairScores)
    assert (len(found.chosen), len(found.rejected)) == (len(one.chosen), len(one.rejected))
    ends = model.spell(one.chosen_text)[1]
    longest = len(one.chosen)
    for tenth in range(1, 11):
        length = math.ceil(longest * tenth / 10)
        read = one.chosen_text[: ends[length - 1]]
        wanted = model.text_rewards(["play"], [read]).item()
        assert found.chosen[length - 1] == pytest.approx(wanted, abs=1e-5)
    whole = model.text_rewards(["play"], [one.rejected_text]).item()
    assert found.rejected[-1] == pytest.approx(whole, abs=1e-5)
