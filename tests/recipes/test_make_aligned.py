"""Aligned labelers by `groot train`: commands take them, a killed run ends in the same bits."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModel

import groot
from groot.config import load_config
from groot.data.sample import read_sample
from groot.engine.files import sha256_of
from groot.errors import ConfigError, ModelError
from groot.models.aligned.pretrained import PretrainedEncoder
from groot.models.embedded import train_tokenizer
from groot.recipes.make_writer import make_writer
from groot.types import Example
from groot.writer.notation import Asked
from groot.writer.writer import example_of

TRAIN = read_sample("train").examples[:40]
WORDS = ("--model", "words")
LOG = "groot.engine.run_folder:RunFolder.log"
# a fit, a contrast, and the dev measurement before its first step
POINTS = [{"at": LOG, "nth": 6}, {"at": LOG, "text": "contrast", "nth": 2}]
OFTEN = {
    "output.checkpoint_every_s": 0,
    "fit.passes": 12,
    "fit.learning_rate": 0.005,
    "fit.average_decay": 0.9,
    "optimise.rounds": 1,
}


@pytest.fixture(scope="module")
def run(nursery, train_words, tmp_path_factory) -> Path:
    """The folder of a run that was left in peace."""
    place = tmp_path_factory.mktemp("aligned")
    words = train_words(place / "run", OFTEN, *WORDS, "--reward", "f0.5")
    command = nursery.start(*words, log=place / "log")
    assert command.wait() == 0, command.said()
    return place / "run"


def kept(folder: Path) -> dict[str, object]:
    """Weights and results of a run, without times."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    del results["seconds"]
    weights = sorted(folder.rglob("*.safetensors"))
    return {"results": results, **{str(p.relative_to(folder)): sha256_of(p) for p in weights}}


def test_a_killed_run_ends_in_the_same_bits(nursery, train_words, run, tmp_path):
    words = train_words(tmp_path / "run", OFTEN, *WORDS, "--reward", "f0.5")
    for point in POINTS:
        command = nursery.start(*words, log=tmp_path / "log", kill=[point])
        assert command.wait() == -signal.SIGKILL, command.said()
    command = nursery.start(*words, log=tmp_path / "log")
    assert command.wait() == 0, command.said()
    expected = kept(run)
    assert len({expected[f"{name}/aligned.safetensors"] for name in ("start", "fitted")}) == 2
    assert kept(tmp_path / "run") == expected


def test_predict_says_what_the_labeler_says_and_that_it_is_proven(groot, run, tmp_path):
    (tmp_path / "in.txt").write_text("play nina simone in paris\n\nbook a table\n")
    told = groot(
        *("predict", run, "--in", tmp_path / "in.txt", "--out", tmp_path / "out.jsonl"),
        *("--top-k", 2),
    )
    assert told.code == 0, told.err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows if row["text"]] == [
        "play nina simone in paris",
        "book a table",
    ]
    assert all(row["exact"] for row in rows)


def test_evaluate_agrees_with_the_run(groot, run, small_data):
    told = groot(
        *("evaluate", run, "--data", small_data / "test.conll", "--json", "--top-k", 3),
        *("--bootstrap-samples", 20),
    )
    assert told.code == 0, told.err
    stored = json.loads((run / "results.json").read_text())["optimised"]
    found = json.loads(told.out)
    assert found["f1"] == pytest.approx(stored["f1"], abs=1e-9)
    assert found["reward"]["by_rank"] == pytest.approx(stored["reward"]["by_rank"], abs=1e-9)
    assert stored["proofs"]["proven"] == stored["proofs"]["texts"]


def test_calibrate_and_threshold_take_it(groot, run, small_data):
    for command in (("calibrate",), ("threshold", "--target", "precision=0.5")):
        told = groot(*command, run, "--data", small_data / "dev.conll")
        assert told.code == 0, told.err


def test_a_dry_run_times_it(groot, small_data, tmp_path):
    told = groot(
        *("train", small_data / "train.conll", *WORDS, "--out", tmp_path / "run", "--dry-run"),
        "--json",
    )
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert plan["facts"]["model"].startswith("words, ")
    assert plan["seconds"] > 0
    assert not (tmp_path / "run").exists()


def test_bf16_is_taken(run):
    labeler = groot.load(run)
    labeler.model.to(torch.bfloat16)
    (candidates,) = labeler("play nina simone")
    assert candidates[0].log_p < 0


@pytest.mark.parametrize("command", ["export", "steer", "reward-model"])
def test_what_needs_tokens_says_so(groot, run, small_data, tmp_path, command):
    given = {
        "export": ("export", run, "--out", tmp_path / "out"),
        "reward-model": (
            *("reward-model", run / "candidates" / "round-1.parquet", "--model", run),
            *("--out", tmp_path / "out"),
        ),
        "steer": ("steer", run, "--data", small_data / "dev.conll", "--out", tmp_path / "out"),
    }
    told = groot(*given[command])
    assert told.code == 2
    assert "aligned labeler" in told.err
    assert not (tmp_path / "out").exists()


def test_guides_are_refused_with_a_reason(run):
    with pytest.raises(ConfigError, match="guides score tokens"):
        groot.load(run).answers([example_of("play")], Asked(1, guide=SimpleNamespace()))


def test_an_encoder_that_writes_nothing_is_opened_as_an_aligned_labeler(tmp_path):
    spelling = train_tokenizer((example.text for example in TRAIN), vocabulary_size=300)
    spelling.add_special_tokens({"cls_token": "<s>", "sep_token": "</s>"})
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(spelling),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
    )
    PretrainedEncoder(AutoModel.from_config(config), spelling).save(tmp_path / "bert")
    config = load_config(settings=[f"model.name={tmp_path / 'bert'}"])
    writer = make_writer(config, TRAIN, "spans")
    before = writer.candidates(TRAIN[:3], 3)
    groups = writer.notation.parameter_groups(
        writer.model, learning_rate=1e-3, embedding_rate=10.0, weight_decay=0.0
    )
    assert [group["lr"] for group in groups] == pytest.approx([2e-3, 2e-4])
    writer.save(tmp_path / "saved")
    assert groot.load(tmp_path / "saved").candidates(TRAIN[:3], 3) == before


def test_a_run_goes_on_from_a_labeler_and_keeps_its_labels(run):
    config = load_config(settings=[f"model.name={run}"])
    assert make_writer(config, TRAIN, "spans").labels == groot.load(run).labels
    text = "go to rome"
    foreign = Example(text, ("go", "to", "rome"), (0, 3, 6), classes=("travel",))
    with pytest.raises(ConfigError, match="does not know travel"):
        make_writer(config, [foreign], "classes")


def test_what_it_cannot_write_is_refused():
    many = [Example("a", ("a",), (0,), classes=()), Example("b", ("b",), (0,), classes=("x", "y"))]
    config = load_config(settings=["model.name=words"])
    with pytest.raises(ConfigError, match="multi_class"):
        make_writer(config, many, "classes")
    with pytest.raises(ConfigError, match="free text"):
        make_writer(config, [], "text")
    adapters = load_config(settings=["model.name=words", "model.lora_r=4"])
    with pytest.raises(ConfigError, match="lora_r"):
        make_writer(adapters, TRAIN, "spans")
    with pytest.raises(ModelError, match="no reward model of tokens"):
        _ = make_writer(config, TRAIN, "spans").prompts
