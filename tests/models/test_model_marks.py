"""The mark of a model: the contents of what it is loaded from, and no more."""

import os
import shutil

import pytest
import torch

from groot.models.embedded_text import make_text_model
from groot.models.loading import save_model
from groot.models.model_marks import mark_of_model


def saved(folder, seed):
    model = make_text_model(
        ["play it again"], shape="causal", vocabulary_size=300, width=16, heads=2, seed=seed
    )
    save_model(model, folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path / "plain", seed=1)


def test_models_of_one_size_with_other_weights_have_other_marks(folder, tmp_path):
    other, same = saved(tmp_path / "other", seed=2), saved(tmp_path / "same", seed=1)
    weights = [place / "model.safetensors" for place in (folder, other)]
    assert weights[0].stat().st_size == weights[1].stat().st_size
    assert mark_of_model(folder) != mark_of_model(other)
    assert mark_of_model(folder) == mark_of_model(same)


def test_one_bit_of_one_weight_counts_and_the_times_do_not(folder):
    before, path = mark_of_model(folder), folder / "model.safetensors"
    os.utime(path, (1, 1))
    assert mark_of_model(folder) == before
    content = bytearray(path.read_bytes())
    content[-4] ^= 1  # the lowest bit of the last weight
    path.write_bytes(content)
    os.utime(path, (1, 1))
    assert mark_of_model(folder) != before


def test_a_run_has_the_mark_of_its_model_whatever_else_is_in_it(folder, tmp_path):
    (folder / "groot.json").write_text("{}")
    before = mark_of_model(folder)
    run = tmp_path / "run"
    shutil.copytree(folder, run / "model")
    (run / "log.jsonl").write_text("{}")
    (run / "model" / "calibration.json").write_text("{}")
    (run / "model" / "ledger.json").write_text("{}")
    assert mark_of_model(run) == before


def test_what_is_not_here_has_no_mark_and_nothing_is_fetched(tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    for name in (tmp_path / "missing", "no-such/model", "no such name!", "embedded-causal"):
        assert mark_of_model(name) is None


def test_a_name_on_the_hub_has_the_mark_of_the_files_in_the_cache(folder, tmp_path, monkeypatch):
    """A snapshot holds links to blobs, and may hold weights in forms that are not loaded."""
    cache = tmp_path / "cache" / "models--someone--tiny"
    snapshot = cache / "snapshots" / ("0" * 40)
    (cache / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, cache / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    before = mark_of_model("someone/tiny")
    assert before == mark_of_model(snapshot) == mark_of_model(folder)
    (snapshot / "pytorch_model.bin").write_bytes(b"fetched by something else")
    assert mark_of_model("someone/tiny") == before
    weights = (snapshot / "model.safetensors").resolve()
    content = torch.frombuffer(bytearray(weights.read_bytes()), dtype=torch.uint8)
    weights.write_bytes(content.roll(1).numpy().tobytes())
    assert mark_of_model("someone/tiny") != before
