import dataclasses
import json

import pytest

from groot.errors import ConfigError
from groot.evaluation.choose_thresholds import choose_thresholds
from groot.evaluation.thresholds import Target, parse_target, read_thresholds


def test_targets():
    assert parse_target("recall = 0.8") == Target("recall", 0.8)
    assert parse_target("f1") == parse_target("f1=max") == Target("f1", None)
    for target in ("precision=0.95", "recall=0.5", "f1=max"):
        assert str(parse_target(target)) == target


@pytest.mark.parametrize(
    "text",
    ["", "precision", "precision=1", "recall=0", "precision=x", "recall=nan", "f1=0.9", "f2"],
)
def test_targets_that_are_none(text):
    with pytest.raises(ConfigError, match="target"):
        parse_target(text)


def of_labels():
    p, right = [0.9] * 70, [True] * 60 + [False] * 10
    labels = ["a"] * 60 + ["b"] * 10
    target = Target("precision", 0.9)
    return choose_thresholds(p, right, labels, range(70), {"a": 60, "c": 5}, target, per_label=True)


def test_saved_and_read(tmp_path):
    path = tmp_path / "sub" / "thresholds.json"
    settings = {"choose": "mbr", "candidates": 16, "reward": ["f1"], "top_k": None}
    found = dataclasses.replace(of_labels(), settings=settings, n_texts=70, data="dev.conll")
    found.save(path)
    again = read_thresholds(path)
    assert again.as_json() == json.loads(json.dumps(found.as_json()))
    for label in ("a", "b", "other"):
        assert again.keeps(label, 0.9) == found.keeps(label, 0.9)


def test_a_confidence_that_is_none():
    assert parse_target("precision=0.9", confidence=0.8).confidence == 0.8
    with pytest.raises(ConfigError, match="confidence is 1"):
        parse_target("precision=0.9", confidence=1)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 9},
        {"version": 1},
        {"unreachable": "x"},
        {"labels": 3},
        {"all": {}},
        {"more": 1},
        {"settings": 1},
    ],
    ids=str,
)
def test_files_that_are_no_thresholds(tmp_path, change):
    path = tmp_path / "thresholds.json"
    of_labels().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match="no thresholds"):
        read_thresholds(path)
    with pytest.raises(ConfigError, match="groot threshold"):
        read_thresholds(tmp_path / "none.json")
