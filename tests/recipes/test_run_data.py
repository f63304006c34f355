"""What a run reads, and what its final numbers are of."""

import pytest

from groot.config import load_config
from groot.data import ReadResult, Splits
from groot.errors import RewardError
from groot.evaluation.duplicates import text_key
from groot.recipes.run_data import checked, try_reward
from groot.rewards import parse_rewards
from groot.types import Example

TEXTS = ["play nina", "stop", "fly to paris", "play abba", "go on", "book it", "in may", "call me"]


def examples_of(texts):
    return [Example(text, tuple(text.split()), (0,), spans=(), id=text) for text in texts]


def splits(texts=TEXTS, test=None):
    dev = ReadResult(examples=examples_of(["dev text"]), where="dev")
    held = None if test is None else ReadResult(examples=examples_of(test), where="test")
    return Splits(ReadResult(examples=examples_of(texts), where="train"), dev, held)


def test_without_a_test_set_the_numbers_are_of_dev_and_say_so():
    data = checked(splits(), load_config())
    assert data.split == "dev"
    assert data.test == data.dev


def test_a_test_set_is_cut_off_and_no_text_stands_on_both_sides():
    doubled = [*TEXTS, *TEXTS]
    data = checked(splits(doubled), load_config(settings=["data.test_share=0.25"]))
    assert data.split == "test"
    sides = [{text_key(example.text) for example in side} for side in (data.train, data.test)]
    assert not sides[0] & sides[1]
    assert len(data.train) + len(data.test) == len(doubled)
    assert len(data.test) == 4


def test_a_test_set_that_is_given_is_taken():
    data = checked(splits(test=["given"]), load_config(settings=["data.test_share=0.5"]))
    assert [example.text for example in data.test] == ["given"]
    assert len(data.train) == len(TEXTS)


def test_a_reward_that_says_nothing_is_known_before_training(tmp_path):
    code = "def score(example, candidates):\n    return [None] * len(candidates)\n"
    (tmp_path / "silent.py").write_text(code)
    data = checked(splits(), load_config())
    with (
        parse_rewards([f"{tmp_path / 'silent.py'}:score"]) as reward,
        pytest.raises(RewardError, match="says nothing about the gold of the first 8 training"),
    ):
        try_reward(data, reward, lambda example: "")
    with parse_rewards(["f1"]) as reward:
        try_reward(data, reward, lambda example: "")
