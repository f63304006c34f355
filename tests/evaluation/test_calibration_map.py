import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import DataError, ModelError, ShapeError
from groot.evaluation.calibration import calibration_error
from groot.evaluation.calibration_map import (
    CALIBRATION_FILE,
    Calibration,
    Map,
    fit_calibration,
    read_calibration,
)


def drawn(true_p, n=4000, seed=0):
    """Probabilities of a model, and outcomes whose real probability is a function of them."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0, 1, n)
    return p, rng.uniform(0, 1, n) < true_p(p), np.arange(n) // 4


def too_sure(p):
    """What is right as often as p says at temperature 3."""
    odds = (p / (1 - p)) ** (1 / 3)
    return odds / (1 + odds)


def fitted(p, right, texts, **settings):
    """What is fitted where the likeliest candidates say everything."""
    found = fit_calibration(p, right, texts, np.ones(len(p)), **settings)
    assert (found.others, found.scores["others"]) == (Map(), {})
    return found.likeliest, found.scores["likeliest"]


def test_maps_by_hand():
    # logit(0.9) / 2 = ln(9) / 2 = ln(3), and 1 / (1 + 1/3) = 0.75
    assert Map("temperature", temperature=2.0)(0.9) == pytest.approx(0.75)
    ends = Map("temperature", temperature=2.0)([0.0, 1.0])
    assert 0 < ends[0] < 0.01 < 0.99 < ends[1] < 1
    assert Map()([0.3]).tolist() == [0.3]
    curve = Map("isotonic", x=(0.2, 0.6), y=(0.1, 0.5))
    assert curve([0.0, 0.4, 1.0]).tolist() == pytest.approx([0.1, 0.3, 0.5])


def test_a_temperature_is_found_again():
    p, right, texts = drawn(too_sure)
    found, scores = fitted(p, right, texts)
    assert found.kind == "temperature"
    assert found.temperature == pytest.approx(3.0, rel=0.15)
    before, after = scores["none"], scores["temperature"]
    assert before["calibration_error"] > 0.1
    assert after["calibration_error"] < 0.03
    assert after["brier"] < before["brier"]
    fresh, fresh_right, _ = drawn(too_sure, seed=1)
    assert calibration_error(found(fresh), fresh_right) < 0.03


def test_a_curve_that_no_temperature_has_is_found_too():
    p, right, texts = drawn(lambda p: 0.3 + 0.4 * (p > 0.7))
    found, _ = fitted(p, right, texts)
    assert found.kind == "isotonic"
    assert found([0.2, 0.5, 0.9]).tolist() == pytest.approx([0.3, 0.3, 0.7], abs=0.06)
    assert found([0.0])[0] > 0
    assert found([1.0])[0] < 1


@pytest.mark.parametrize("seed", range(4))
def test_good_probabilities_stay_as_they_are(seed):
    p, right, texts = drawn(lambda p: p, n=400, seed=seed)
    found, scores = fitted(p, right, texts)
    assert found.kind == "none"
    assert found(p).tolist() == p.tolist()
    # what looks like an error is the accident of 400 examples
    assert 0.01 < scores["none"]["calibration_error_of_chance"] < 0.08
    assert scores["none"]["calibration_error"] < 2 * scores["none"]["calibration_error_of_chance"]


def test_a_gain_within_one_standard_error_is_no_reason_for_a_map():
    """Of true probabilities every gain is an accident; most are within one standard error."""
    kept = []
    for seed in range(40):
        p, right, texts = drawn(lambda p: p, n=400, seed=seed)
        found, scores = fitted(p, right, texts)
        if min(scores, key=lambda kind: scores[kind]["brier"]) != "none":
            kept.append(found.kind == "none")
    assert len(kept) >= 5  # there are such accidents
    assert sum(kept) / len(kept) >= 0.6


def test_what_only_other_candidates_say_has_a_map_of_its_own():
    p, _, texts = drawn(lambda p: p)
    rng = np.random.default_rng(1)
    is_first = rng.uniform(size=len(p)) < 0.5
    truth = p + 0.9 * p * (1 - p) * np.where(is_first, 1, -1)
    right = rng.uniform(size=len(p)) < truth
    found = fit_calibration(p, right, texts, is_first)
    assert np.abs(found(p, is_first) - truth).mean() < 0.05
    assert found([0.5, 0.5], [True, False]).tolist() == pytest.approx([0.725, 0.275], abs=0.08)
    assert (found.n_likeliest, found.n_others) == (is_first.sum(), (~is_first).sum())
    assert found.scores["likeliest"]["none"]["calibration_error"] > 0.1
    # together the two errors hide each other
    assert calibration_error(p, right) < 0.05


def test_numbers_are_of_texts_that_were_not_fitted_on():
    """Each text says one thing many times: only a map that has seen it would know."""
    rng = np.random.default_rng(0)
    p = np.repeat(rng.uniform(0.4, 0.6, 30), 20)
    right = np.repeat(rng.integers(0, 2, 30), 20)
    _, scores = fitted(p, right, np.repeat(np.arange(30), 20))
    _, leaky = fitted(p, right, np.arange(600))
    assert scores["isotonic"]["brier"] > leaky["isotonic"]["brier"] + 0.02


@given(
    p=st.lists(st.floats(0, 1), min_size=4, max_size=30),
    seed=st.integers(0, 5),
)
def test_every_map_rises_and_stays_a_probability(p, seed):
    right = np.random.default_rng(seed).integers(0, 2, len(p))
    right[:2] = (0, 1)
    found, _ = fitted(p, right, np.arange(len(p)), seed=seed)
    grid = found(np.linspace(0, 1, 101))
    assert (np.diff(grid) >= 0).all()
    assert 0 <= grid[0] <= grid[-1] <= 1


def test_saved_and_read(tmp_path):
    assert read_calibration(tmp_path) is None
    p, right, texts = drawn(lambda p: 0.5 * p)
    found = fit_calibration(p, right, texts, p > 0.6, candidates=16, data="dev.conll")
    found.save(tmp_path)
    again = read_calibration(tmp_path)
    assert again == found
    assert again(p, p > 0.6).tolist() == found(p, p > 0.6).tolist()
    assert again.fingerprint == found.fingerprint != Calibration().fingerprint


BROKEN = [
    {"kind": "magic"},
    {"temperature": 0},
    {"temperature": "hot"},
    {"x": [0.5, 0.1], "y": [0.1, 0.2]},
    {"x": [0.1, 0.5], "y": [0.2, 7]},
    {"x": [0.1]},
    {"x": None},
    {"kind": "isotonic", "x": [], "y": []},
    {"x": [0.1, math.nan], "y": [0.1, 0.2]},
    {"unheard_of": 1},
]


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_a_file_that_is_no_calibration(tmp_path, change):
    Calibration().save(tmp_path)
    path = tmp_path / CALIBRATION_FILE
    written = json.loads(path.read_text())
    written["others"] |= change
    path.write_text(json.dumps(written))
    with pytest.raises(ModelError, match=r"calibration\.json: no calibration"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{", '{"version": 2}'])
def test_a_file_of_something_else(tmp_path, text):
    (tmp_path / CALIBRATION_FILE).write_text(text)
    with pytest.raises(ModelError, match="groot calibrate"):
        read_calibration(tmp_path)


def test_nothing_to_learn():
    for p, right, texts, is_first in (
        ([], [], [], []),
        ([0.5, 0.6], [1, 1], [0, 1], [1, 1]),
        ([0.5, 0.6], [0, 0], [0, 1], [1, 1]),
        ([0.5, 0.6], [0, 1], [0, 0], [1, 1]),
        ([0.5, 0.6], [0, 1], [0, 1], [1, 0]),
    ):
        with pytest.raises(DataError, match="no calibration can be learnt"):
            fit_calibration(p, right, texts, is_first)
    with pytest.raises(ShapeError):
        fit_calibration([0.5], [1, 0], [0], [1])
