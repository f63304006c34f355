"""The report of a reward model, from results as the command writes them."""

import json

import pytest

from groot.errors import DataError
from groot.evaluation.reward_pairs import PairScores, pair_report
from groot.report import write_report
from groot.report.reward_pairs import read_reward_model


@pytest.fixture
def folder(tmp_path):
    right = [PairScores([0.1 * n, 1.0], [0.0, -1.0, 0.5]) for n in range(4)]
    wrong = [PairScores([0.0, 0.2], [0.1, 0.9], n_shared=1)]
    results = {
        "kind": "partial",
        "pairs": {"train": 4, "held_out": 1, "unusable": 2},
        "train": pair_report(right),
        "held_out": pair_report(wrong),
    }
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return tmp_path


def test_the_page_has_both_plots_and_the_numbers(folder):
    page = write_report(folder).read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    for shown in ("A reward model of kind partial", "2 that could not be used", "Calibration"):
        assert shown in page
    assert ">1.000<" in page  # all training pairs are in order
    assert ">0.000<" in page
    assert "<script" not in page


def test_other_results_are_not_taken_for_those_of_a_reward_model(folder):
    path = folder / "results.json"
    assert read_reward_model(folder)["kind"] == "partial"
    for other in ("[]", "{", '{"kind": "x", "pairs": {}, "train": {}, "held_out": {}}'):
        path.write_text(other)
        assert read_reward_model(folder) is None
        with pytest.raises(DataError):
            write_report(folder)
