"""groot predict --guide: a guide by name or from its folder, on a generator of free text."""

import json

import pytest

from fixtures.json_lines import read_lines, write_lines
from groot.reward_models.prefix_model import RewardModel


@pytest.fixture(scope="module")
def folders(tiny_generator, tmp_path_factory):
    at = tmp_path_factory.mktemp("guided")
    generator = tiny_generator("causal")
    generator.save(at / "generator")
    RewardModel(generator.model, "partial").save(at / "partial")
    RewardModel(generator.model, "sequence").save(at / "whole")
    prompts = [{"id": 1, "text": "play"}, {"id": 2, "text": "book"}, {"id": 3, "text": "play"}]
    write_lines(at / "prompts.jsonl", prompts)
    return at


def predict(groot, folders, out, *more):
    return groot(
        "predict", folders / "generator", "--in", folders / "prompts.jsonl", "--out", out, *more
    )


def test_a_guide_steers_and_is_saved_with_its_settings(groot, folders, tmp_path):
    by_name = ("--guide", "pargs", "--reward-model", folders / "partial", "--weight", 8)
    told = predict(
        groot, folders, tmp_path / "one", *by_name, "-k", 2, "--save-guide", tmp_path / "guide"
    )
    assert told.code == 0, told.err
    lines = read_lines(tmp_path / "one")
    assert [line["id"] for line in lines] == [1, 2, 3]
    assert all(len(line["candidates"]) == 2 for line in lines)
    assert lines[0]["candidates"] == lines[2]["candidates"]  # the same prompt, the same texts
    saved = json.loads((tmp_path / "guide" / "guide.json").read_text())
    assert (saved["name"], saved["settings"]["weight"]) == ("pargs", 8)

    again = predict(groot, folders, tmp_path / "two", "--guide", tmp_path / "guide", "-k", 2)
    assert again.code == 0, again.err
    assert read_lines(tmp_path / "two") == lines
    # a saved guide has a weight and models of its own
    for more in (("--weight", 2), by_name[2:4], ("--transform", "log_sigmoid")):
        refused = predict(groot, folders, tmp_path / "no", "--guide", tmp_path / "guide", *more)
        assert refused.code == 2
        assert "is a saved guide" in refused.err
    # continued: nothing is left to do, and what is there is known again
    assert predict(groot, folders, tmp_path / "one", *by_name, "-k", 2).code == 0
    assert read_lines(tmp_path / "one") == lines
    other = predict(groot, folders, tmp_path / "one", *by_name, "-k", 2, "--seed", 1)
    assert other.code != 0
    assert "other settings" in other.err


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("name", ["args", "best_of_n", "mbr"])
def test_greedy_guides_and_choosers(name, top_k, groot, folders, tmp_path):
    judge = ("--reward", "token_accuracy")
    if name != "mbr":
        judge = ("--reward-model", folders / "whole")
    told = predict(groot, folders, tmp_path / "out", "--guide", name, "-k", top_k, *judge)
    assert told.code == 0, told.err
    assert [len(line["candidates"]) for line in read_lines(tmp_path / "out")] == [top_k] * 3


def test_several_reward_models_with_other_tokens_in_one_saved_guide(
    groot, folders, make_encoder_folder, tmp_path, caplog
):
    make_encoder_folder("bert", tmp_path / "judge", num_labels=1)
    words = ("--guide", "args", "--reward-model", folders / "whole", "--ensemble", "worst")
    words += ("--reward-model", tmp_path / "judge", "--transform", "log_sigmoid")
    told = predict(groot, folders, tmp_path / "one", *words, "--save-guide", tmp_path / "guide")
    assert told.code == 0, told.err
    assert "other tokens than the generator" in caplog.text
    saved = json.loads((tmp_path / "guide" / "guide.json").read_text())
    assert saved["settings"]["transform"] == "log_sigmoid"
    held = json.loads((tmp_path / "guide" / "reward_model" / "groot.json").read_text())
    assert (held["how"], held["models"]) == ("worst", 2)
    again = predict(groot, folders, tmp_path / "two", "--guide", tmp_path / "guide")
    assert again.code == 0, again.err
    assert read_lines(tmp_path / "two") == read_lines(tmp_path / "one")


def test_the_implicit_guide_takes_a_tuned_generator(groot, folders, tmp_path):
    words = ("--guide", "implicit", "--tuned", folders / "generator")
    told = predict(groot, folders, tmp_path / "out", *words)
    assert told.code == 0, told.err
    assert len(read_lines(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--guide", "pargs"), "needs a reward model"),
        (("--guide", "parg"), "Did you mean 'pargs'"),
        (("--guide", "args", "--reward-model", "{partial}"), "of kind sequence"),
        (("--reward-model", "{partial}"), "belong to --guide"),
        (("--guide", "grammar"), "needs a function: make the guide in Python"),
        (("--ensemble", "mean"), "belong to --guide"),
        (("--guide", "pargs", "--reward-model", "{partial}", "--ensemble", "mean"), "two or more"),
        (("--guide", "implicit"), "--tuned DIR"),
    ],
)
def test_mistakes(words, said, groot, folders, tmp_path):
    words = [word.replace("{partial}", str(folders / "partial")) for word in words]
    told = predict(groot, folders, tmp_path / "out", *words)
    assert told.code != 0
    assert said in " ".join(told.err.split())
    assert not (tmp_path / "out").exists()
