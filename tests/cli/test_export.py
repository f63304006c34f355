"""groot export on a small labeler: files, counts, refusals."""

import json
import shutil

import pytest

from groot.config import load_config
from groot.data.sample import read_sample
from groot.recipes.make_writer import make_labeler

SMALL = ("width=32", "feed_forward=32", "encoder_layers=1", "vocabulary_size=300", "window_words=8")
SMALL_SETTINGS = [f"model.{setting}" for setting in (*SMALL, "window_overlap=2")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labeler") / "model"
    config = load_config(settings=SMALL_SETTINGS)
    make_labeler(config, read_sample("train").examples[:60]).save(folder)
    return folder


def test_what_is_written_and_counted(groot, model, tmp_path):
    out = tmp_path / "exported"
    told = groot("export", model, "--data", "sample", "--texts", 20, "--out", out, "--json")
    assert told.code == 0, told.err
    done = json.loads(told.out)
    assert (out / "model.bin").stat().st_size == pytest.approx(1e6 * done["megabytes"], abs=1e3)
    assert (out / "groot.json").read_bytes() == (model / "groot.json").read_bytes()
    assert (out / "tokenizer.json").is_file()
    found = done["agreement"]
    assert found["where"] == "sample"
    assert found["texts"] >= 20  # long ones are compared window by window
    for counts in (found["free"], found["held"]):
        assert sum(counts.values()) == found["texts"]
    assert found["held"]["illegal"] == 0
    assert found["free"]["illegal"] > 0  # random weights write anything


def test_the_answer_in_words(groot, model, tmp_path):
    args = ("--data", "sample", "--texts", 4, "--quantization", "int8", "--out", tmp_path / "out")
    told = groot("export", model, *args)
    assert told.code == 0, told.err
    assert "MB in int8" in told.out
    assert "held to the label grammar:" in told.out


def test_a_run_is_compared_on_its_own_data(groot, model, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(model, run / "model")
    (run / "config.yaml").write_text("data: {train: sample}\n")
    told = groot("export", run, "--texts", 3, "--out", tmp_path / "out", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["agreement"]["where"] == "sample"
    (run / "config.yaml").write_text("data: {train: gone.conll}\n")
    told = groot("export", run, "--texts", 3, "--out", tmp_path / "other", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["agreement"] is None
    assert "name some with --data" in told.err


def test_refusals(groot, model, tmp_path):
    told = groot("export", model, "--texts", 0, "--out", model)
    assert told.code == 2
    assert "exists already" in told.err
    told = groot("export", tmp_path, "--texts", 0, "--out", tmp_path / "out")
    assert told.code == 2
    assert "no labeler here" in told.err
    told = groot("export", model, "--data", "nowhere.conll", "--out", tmp_path / "out")
    assert told.code == 2
    assert not (tmp_path / "out").exists()
