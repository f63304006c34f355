"""Measuring a model, and two models by one reward; what thresholds leave is measured too."""

import dataclasses

import numpy as np
import pytest
import torch

import groot
from fixtures.labelled_files import write_spans
from groot.config import load_config
from groot.data.sample import read_sample
from groot.engine.ledger import Ledger
from groot.errors import ConfigError
from groot.evaluation.thresholds import parse_target
from groot.recipes.make_writer import make_labeler
from groot.studies.evaluate_folder import (
    EvaluationSettings,
    compare_evaluations,
    evaluate_folder,
    evaluate_two,
)
from groot.studies.labelled_data import LabelledData
from groot.studies.predicted_items import predicted_items
from groot.studies.probability_settings import ProbabilitySettings
from groot.studies.threshold import ThresholdSettings, threshold_folder

EXAMPLES = read_sample("dev").examples[:20]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same weights twice, once optimised for recall and once for precision."""
    place = tmp_path_factory.mktemp("models")
    small = ["width=32", "feed_forward=32", "encoder_layers=1", "vocabulary_size=400"]
    labeler = make_labeler(load_config(settings=[f"model.{name}" for name in small]), EXAMPLES)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in labeler.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    for name in ("recall", "precision"):
        labeler.reward_specs = (name,)
        labeler.save(place / name)
    return place / "recall", place / "precision"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.jsonl"
    return LabelledData(write_spans(path, EXAMPLES))


def test_two_models_are_measured_by_one_reward(folders, data):
    settings = EvaluationSettings(reward=("f0.5",), k=1)
    before, after = evaluate_two(folders, data, settings)
    assert before.measurement.reward == after.measurement.reward == "f0.5"
    paired = compare_evaluations(before, after)
    assert paired["reward_rank_1"] == {"difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}
    assert paired["metric"]["p_value"] == 1.0


def test_models_of_different_rewards_are_not_compared_unasked(folders, data):
    with pytest.raises(ConfigError) as caught:
        evaluate_two(folders, data)
    for told in (f"{folders[0]} for recall", f"{folders[1]} for precision", "--reward"):
        assert told in str(caught.value)
    before, after = evaluate_two((folders[0], folders[0]), data, EvaluationSettings(k=1))
    assert before.measurement.reward == after.measurement.reward == "recall"


def test_the_command_says_the_reward_and_refuses_as_well(request, folders, data):
    command = request.getfixturevalue("groot")
    words = ("evaluate", *folders, "--data", data.source, "-k", 1, "--no-exact")
    told = command(*words)
    assert told.code == 2
    assert "for recall and" in told.err
    told = command(*words, "--reward", "f0.5", "--bootstrap-samples", 10)
    assert told.code == 0
    assert "each predicted by both; reward: f0.5" in told.out


def test_what_is_below_its_threshold_is_not_measured(folders, data, tmp_path):
    path, asked = tmp_path / "thresholds.json", ProbabilitySettings(candidates=8)
    chosen = threshold_folder(
        folders[0], data, ThresholdSettings(parse_target("f1"), predict=asked)
    )
    labeler = groot.load(folders[0])
    own = np.sort(predicted_items(labeler, EXAMPLES, asked).probabilities)
    cut = dataclasses.replace(chosen.all, threshold=float(np.median(own)), reason="")
    dataclasses.replace(chosen, all=cut).save(path)
    every, kept = (
        evaluate_folder(
            folders[0], data, EvaluationSettings(k=1, candidates=8, thresholds=thresholds)
        )
        for thresholds in (None, path)
    )
    n_said = sum(len(ranked[0].spans) for ranked in every.candidates)
    left = [
        marginal.probability >= cut.threshold
        for prediction in asked.predict(labeler, EXAMPLES)
        for span, marginal in prediction.marginals.of.items()
        if span in prediction.candidates[0].spans
    ]
    assert len(left) == n_said
    assert sum(len(ranked[0].spans) for ranked in kept.candidates) == sum(left)
    assert 0 < sum(left) < n_said
    with pytest.raises(ConfigError, match="Give --candidates 8"):
        evaluate_folder(folders[0], data, EvaluationSettings(k=1, thresholds=path))


def test_what_the_model_has_seen_of_the_texts_is_said(folders, data, tmp_path):
    """Texts that the model was chosen on give no p-value; others are counted and told."""
    texts = [example.text for example in EXAMPLES]
    labeler = groot.load(folders[0])
    ledgers = {
        "chosen": Ledger().with_texts("chosen_on", texts),
        "learnt": Ledger().with_texts("learnt_from", texts[:3]),
    }
    for name, ledger in ledgers.items():
        labeler.ledger = ledger
        labeler.save(tmp_path / name)
    settings = EvaluationSettings(k=1, exact=False)
    chosen, learnt = evaluate_two((tmp_path / "chosen", tmp_path / "learnt"), data, settings)
    assert chosen.summary(n_resamples=0)["seen"] == {"chosen_on": 20}
    assert learnt.seen_sentences() == [
        "3 of 20 texts stand among those that the model learnt from."
    ]
    paired = compare_evaluations(chosen, learnt)["f1"]
    assert paired == {"difference": 0.0, "low": None, "high": None, "p_value": None}
    assert compare_evaluations(learnt, learnt)["f1"]["p_value"] == 1.0


def test_texts_have_no_thresholds_and_no_proofs(folders, data, monkeypatch):
    import groot.studies.evaluate_folder as module

    writer = groot.load(folders[0])
    monkeypatch.setattr(type(writer), "writes_labels", False)
    monkeypatch.setattr(module, "load", lambda folder: writer)
    with pytest.raises(ConfigError, match="this model writes texts"):
        evaluate_folder(folders[0], data, EvaluationSettings(exact=False))
