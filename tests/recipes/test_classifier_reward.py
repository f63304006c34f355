"""Classifiers of texts learn which whole output is better, and are refused what needs prefixes."""

import math

import pytest
import torch

from groot.data.preferences import Preference
from groot.errors import ConfigError, DataError
from groot.evaluation.reward_pairs import PairScores
from groot.recipes.pair_items import TextPairItem
from groot.recipes.pair_losses import pair_loss, pair_scores
from groot.recipes.reward_model import (
    RewardModelSettings,
    plan_reward_model,
    train_reward_model,
)
from groot.reward_models.classifier_reward import ClassifierReward, load_classifier, new_classifier
from groot.reward_models.folders import open_reward_model
from groot.types import Span

PAIRS = [
    Preference(prompt, f"please {rest}", f"what {rest}", source=f"m:{number}")
    for number, (prompt, rest) in enumerate(
        (f"{verb} {noun}", rest)
        for verb in ("play", "book", "in")
        for noun in ("paris", "may", "table", "nina")
        for rest in ("the weather", "two", "city of the river")
    )
]
FAST = {"kind": "sequence", "batch_size": 8, "learning_rate": 1e-2, "evaluations": 2}


def item(prompt, chosen, rejected, model):
    ids = [model.spell(text)[0] for text in (chosen, rejected)]
    return TextPairItem([], *ids, 1.0, 0.0, prompt, chosen, rejected)


@pytest.mark.parametrize("model_type", ["bert", "deberta-v2"])
def test_an_encoder_learns_is_saved_and_opened_again(model_type, make_encoder_folder, tmp_path):
    folder = make_encoder_folder(model_type, tmp_path / "encoder")
    settings = RewardModelSettings(**FAST, passes=4)
    results = train_reward_model(PAIRS, folder, out=tmp_path / "run", settings=settings)
    assert results["kind"] == "sequence"
    assert results["held_out"]["accuracy"] == 1.0
    assert len(results["held_out"]["by_tenth"]) == 10
    model = open_reward_model(tmp_path / "run" / "model")
    assert isinstance(model, ClassifierReward)
    texts = ["play nina"] * 2, ["please two", "what two"]
    with torch.no_grad():
        better, worse = model.text_rewards(*texts)
        assert better > worse
        again = load_classifier(tmp_path / "run")  # the folder of the run will do
        assert torch.equal(again.text_rewards(*texts), torch.stack([better, worse]))
    # a finished run answers at once
    assert train_reward_model(PAIRS, folder, out=tmp_path / "run", settings=settings) == results
    # and what was learnt may be learnt on
    more = train_reward_model(
        PAIRS, tmp_path / "run", out=tmp_path / "more", settings=RewardModelSettings(**FAST)
    )
    assert more["held_out"]["accuracy"] == 1.0


def test_the_loss_is_bradley_terry_of_whole_outputs(make_encoder_folder, tmp_path):
    model = new_classifier(make_encoder_folder("bert", tmp_path, num_labels=1)).eval()
    items = [item("play", "nina", "what is it", model), item("book a table", "two", "may", model)]
    loss = pair_loss(model, items)
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
    (found,) = pair_scores(model, [one])
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


@pytest.mark.parametrize("kind", ["partial", "value", "rad", "vocabulary"])
def test_rewards_of_prefixes_need_a_causal_model(kind, make_encoder_folder, tmp_path):
    folder = make_encoder_folder("bert", tmp_path / "encoder")
    settings = RewardModelSettings(kind=kind)
    with pytest.raises(ConfigError, match=r"not causal.*(?s:.)*--kind sequence"):
        train_reward_model(PAIRS, folder, out=tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_trained_is_refused(make_encoder_folder, tmp_path):
    folder = make_encoder_folder("bert", tmp_path / "encoder")
    with pytest.raises(ConfigError, match="leave out --lora-r"):
        plan_reward_model(PAIRS, folder, settings=RewardModelSettings(kind="sequence", lora_r=2))
    long = [Preference(f"p {n}", "what " * 65, "may", source=f"m:{n}") for n in range(4)]
    labels = [
        Preference(f"play {n}", "a", "b", chosen_output=(), rejected_output=(Span(0, 1, "x"),))
        for n in range(4)
    ]
    for pairs, said in ((long, "reads 64 at most"), (labels, "a classifier reads texts")):
        with pytest.raises(DataError, match=said):
            train_reward_model(
                pairs, folder, out=tmp_path / "run", settings=RewardModelSettings(**FAST)
            )
    assert not (tmp_path / "run").exists()
