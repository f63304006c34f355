"""Classifiers of texts learn which whole output is better, and are refused what needs prefixes."""

import pytest
import torch

from groot.data.preferences import Preference
from groot.errors import ConfigError, DataError
from groot.recipes.reward_model import (
    RewardModelSettings,
    plan_reward_model,
    train_reward_model,
)
from groot.reward_models.classifier_reward import ClassifierReward, load_classifier
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
