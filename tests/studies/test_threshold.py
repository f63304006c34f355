"""Thresholds from a labeler's predictions: what they promise, and what they are bound to."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

import groot
from fixtures.labelled_files import write_spans
from groot.config import load_config
from groot.data.sample import read_sample
from groot.errors import ConfigError
from groot.evaluation.calibration_map import fit_map
from groot.evaluation.choose_thresholds import choose_thresholds
from groot.evaluation.thresholds import Target, parse_target, read_thresholds
from groot.outputs.marginals import Marginal, Marginals
from groot.recipes.make_writer import make_labeler
from groot.studies.calibrate import calibrate_folder
from groot.studies.labelled_data import LabelledData
from groot.studies.predicted_items import PredictedItems
from groot.studies.probability_settings import ProbabilitySettings, model_mark
from groot.studies.threshold import (
    ThresholdSettings,
    above_thresholds,
    open_thresholds,
    threshold_folder,
    thresholds_of,
)
from groot.types import Candidate, Span
from groot.writer.prediction import Prediction

EXAMPLES = read_sample("dev").examples[:20]
SPAN = Span(0, 4, "artist")
SETTINGS = ProbabilitySettings(candidates=8)


def make(seed):
    """An untrained labeler; its labels are as good as random."""
    small = ["width=32", "feed_forward=32", "encoder_layers=1", "vocabulary_size=400"]
    small += ["window_words=16", "window_overlap=5"]
    made = make_labeler(load_config(settings=[f"model.{name}" for name in small]), EXAMPLES)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make(5).save(folder / "model")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.jsonl"
    return LabelledData(write_spans(path, EXAMPLES))


def prediction(own, told):
    """One span of the labeler's own probability, which is told as another one."""
    marginals = Marginals(1.0, {SPAN: Marginal(own, own, own)})
    return Prediction([Candidate("", (SPAN,), 0.0)], 1.0, {SPAN: told}, marginals)


def test_a_calibration_of_the_same_texts_does_not_break_the_promise():
    """The worst case: precision is just below the target at every probability.

    An isotonic map that was fitted on the texts pools them by what is right: thresholds of the
    probabilities that it tells would break the promise of 5 % in 8 to 10 %.
    """
    n, golds = 300, (frozenset(), frozenset([SPAN]))
    target = ThresholdSettings(Target("precision", 0.8))
    broken = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        p = np.sort(rng.random(n))[::-1]
        is_right = (rng.random(n) < 0.7999).astype(int)
        told = fit_map("isotonic", p, is_right.astype(float))(p)
        predictions = list(map(prediction, p, told))
        items = PredictedItems.of(predictions, [golds[right] for right in is_right])
        broken += thresholds_of(items, target).all.threshold is not None
    assert broken / 600 <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


def test_what_is_kept_is_decided_by_the_own_probability():
    chosen = choose_thresholds(
        [0.9] * 60 + [0.2] * 9,
        [True] * 60 + [False] * 9,
        ["artist"] * 69,
        range(69),
        {"artist": 60},
        Target("precision", 0.9),
    )
    for own, n_kept in ((0.9, 1), (0.2, 0)):
        found = above_thresholds(prediction(own, 0.5), chosen)
        assert len(found.candidates[0].spans) == n_kept
    malformed = Prediction([Candidate("?", None), Candidate("", "a text")])
    assert above_thresholds(malformed, chosen) == malformed


def test_a_folder_is_calibrated_and_its_thresholds_stay(folder, data):
    f1 = ThresholdSettings(
        parse_target("f1"), per_label=True, predict=ProbabilitySettings(candidates=8)
    )
    before = threshold_folder(folder, data, f1)
    calibration = calibrate_folder(folder, data, candidates=8)  # finds the model/ of a run
    assert groot.load(folder).calibration == calibration
    scores, kind = calibration.scores["others"], calibration.others.kind
    assert kind != "none"  # such a model is much too sure
    assert scores[kind]["brier"] < scores["none"]["brier"]
    assert threshold_folder(folder, data, f1) == before
    assert before.n_texts == len(EXAMPLES)
    assert before.all.f1 >= before.all.f1_held_out
    assert set(before.labels) <= set(groot.load(folder).form.labels)
    assert before.combined.n_kept == sum(each.n_kept for each in before.labels.values())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"candidates": 9}, "Give --candidates 8"),
        ({"top_k": 3}, "Give --top-k 1"),
        ({"top_k": 9}, "Give --candidates 8"),
        ({"choose": "mbr"}, "Give --choose top"),
        ({"exact": False}, "Give --exact"),
        ({"dtype": "bfloat16"}, "Give --dtype float32"),
    ],
    ids=str,
)
def test_thresholds_are_bound_to_all_that_changes_probabilities(
    folder, data, tmp_path, changed, told
):
    labeler, mark = groot.load(folder), model_mark(folder)
    path = tmp_path / "thresholds.json"
    chosen = threshold_folder(folder, data, ThresholdSettings(parse_target("f1"), predict=SETTINGS))
    chosen.save(path)
    assert open_thresholds(path, SETTINGS.binding(labeler, mark)) == read_thresholds(path)
    other = dataclasses.replace(SETTINGS, **changed)
    with pytest.raises(ConfigError, match=told):
        open_thresholds(path, other.binding(labeler, mark))


def test_thresholds_of_mbr_are_bound_to_its_reward_and_not_to_top_k(folder):
    labeler, mbr = groot.load(folder), ProbabilitySettings(choose="mbr")
    own = mbr.binding(labeler, "")
    assert own["reward"] == list(labeler.reward_specs)
    assert dataclasses.replace(mbr, reward=("exact",)).binding(labeler, "") != own
    assert dataclasses.replace(mbr, top_k=3).binding(labeler, "") == own
    top = ProbabilitySettings()
    assert dataclasses.replace(top, reward=("exact",)).binding(labeler, "") == top.binding(
        labeler, ""
    )


def test_settings_of_one_binding_give_the_same_probabilities(folder):
    labeler = groot.load(folder)

    def own(settings):
        found = settings.predict(labeler, EXAMPLES)
        return [p.probability for each in found for p in each.marginals.of.values()]

    quick = ProbabilitySettings(exact=False, candidates=8)
    wider = dataclasses.replace(quick, top_k=7)
    assert quick.binding(labeler, "") == wider.binding(labeler, "")
    assert own(quick) == pytest.approx(own(wider), abs=1e-6)


def test_thresholds_are_bound_to_the_contents_of_the_model(folder, data, tmp_path):
    path, copy = tmp_path / "thresholds.json", tmp_path / "copy"
    chosen = threshold_folder(folder, data, ThresholdSettings(parse_target("f1"), predict=SETTINGS))
    chosen.save(path)
    labeler = groot.load(folder)
    shutil.copytree(folder / "model", copy)
    (copy / "README.md").write_text("a copy of the same model")
    chosen.save(copy / "thresholds.json")
    assert open_thresholds(path, SETTINGS.binding(labeler, model_mark(copy))).target == "f1=max"
    make(6).save(copy)  # other weights of the same size
    with pytest.raises(ConfigError, match="the model is another one"):
        open_thresholds(path, SETTINGS.binding(groot.load(copy), model_mark(copy)))


def test_settings_that_cannot_be():
    with pytest.raises(ConfigError, match="candidates is 1"):
        ProbabilitySettings(candidates=1)
    with pytest.raises(ConfigError, match="top_k is 0"):
        ProbabilitySettings(top_k=0)
