"""Free text from the terminal: trained, measured, written with."""

import json
import random

import pytest

SETTINGS = {
    "model.width": 32, "model.feed_forward": 64, "model.heads": 2, "model.vocabulary_size": 300,
    "generation.max_new_tokens": 24, "generation.decoder_layers": 1, "fit.passes": 8,
    "fit.learning_rate": 0.01, "fit.batch_size": 8, "fit.average_decay": 0.0, "fit.dropout": 0.0,
    "optimise.rounds": 1, "optimise.num_candidates": 3,
    "evaluation.k": 2, "evaluation.bootstrap_samples": 20,
}  # fmt: skip
WORDS = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture
def data(tmp_path):
    rng = random.Random(1)
    for name, count in (("train", 64), ("dev", 12)):
        rows = [{"prompt": "", "completion": f"to {rng.choice('ab')}"} for _ in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_train_evaluate_predict(groot, data):
    out, dev = data / "run", data / "dev.jsonl"
    asked = ["train", data / "train.jsonl", "--dev", dev, "--model", "embedded-causal"]
    trained = groot(*asked, "--reward", "wanted_words:to,b", "--out", out, *WORDS)
    assert trained.code == 0, trained.err
    assert "optimised" in trained.out
    assert "MBR" not in trained.out
    assert (out / "report.html").is_file()
    measured = groot("evaluate", out, "--data", dev, "-k", "2", "--json")
    assert measured.code == 0, measured.err
    assert json.loads(measured.out)["task"] == "text"
    (data / "in.jsonl").write_text('""\n')
    written = groot("predict", out, "--in", data / "in.jsonl", "--top-k", "2")
    assert written.code == 0, written.err
    texts = [one["text"] for one in json.loads(written.out)["candidates"]]
    assert set(texts) == {"to a", "to b"}
    asked = (("predict", out, "--in", data / "in.jsonl"), ("evaluate", out, "--data", dev))
    for command in asked:  # texts are never proven
        refused = groot(*command, "--no-exact")
        assert refused.code == 2
        assert "--no-exact" in refused.err


def test_a_reward_for_labels_is_refused_before_anything_is_written(groot, data):
    answer = groot("train", data / "train.jsonl", "--reward", "f1", "--out", data / "run", *WORDS)
    assert answer.code == 2
    assert "not free text" in answer.err
    assert not (data / "run").exists()


def test_a_dry_run_plans(groot, data):
    answer = groot("train", data / "train.jsonl", "--out", data / "run", "--dry-run", *WORDS)
    assert answer.code == 0, answer.err
    assert "text" in answer.out
