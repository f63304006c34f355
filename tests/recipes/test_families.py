"""Whole small runs: model families, tasks, label styles, the user's rewards, candidate files."""

import dataclasses
import json
import random

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

import groot
from groot.config import load_config
from groot.data.candidates import read_candidates
from groot.data.jsonl import read_jsonl
from groot.data.sample import read_sample
from groot.errors import GrootError
from groot.evaluation.records import read_records
from groot.recipes.run import train_run

FAST = {
    "fit.passes": 1,
    "fit.evaluations": 1,
    "optimise.rounds": 1,
    "distil.rounds": 0,
    "optimise.evaluations": 1,
    "data.max_train": 24,
}


@pytest.fixture
def run(small_data, small_settings, tmp_path):
    """Do a small run; gives its folder and results."""

    def do(name="run", train=None, **settings):
        train = train or small_data / "train.conll"
        dev = settings.pop("data.dev", small_data / "dev.conll")
        given = {**small_settings, **FAST, "data.train": str(train), "data.dev": str(dev)}
        given |= {"optimise.learning_rate": 0.003, **settings}
        config = load_config(settings=[f"{key}={json.dumps(v)}" for key, v in given.items()])
        results = train_run(config, out=tmp_path / name)
        return tmp_path / name, results

    return do


def check(folder, results, *, texts=("play hollow lantern", "")):
    """What holds of every run: finite losses, a model that was trained, labels that load."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["step"] > 0]
    assert {line["stage"] for line in steps} == {"fit", "round 1"}
    assert all(line["loss"] is not None and "skipped" not in line for line in steps)
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
    for variant in ("fit", "fit_mbr", "optimised", "optimised_mbr"):
        assert results[variant]["malformed"] == 0
        assert len(results[variant]["reward"]["by_rank"]) == 3
    weights = [(folder / n / "model.safetensors").read_bytes() for n in ("start", "fitted")]
    assert weights[0] != weights[1]
    labeler = groot.load(folder)
    for ranked in labeler(list(texts), top_k=3):
        assert ranked
    return labeler


@pytest.mark.parametrize(
    ("model_type", "lora", "style"),
    [
        ("t5", 0, "words"),
        ("bart", 0, "token"),
        ("gpt2", 0, "token"),
        ("gpt2", 2, "token"),
        ("llama", 0, "words"),
        ("llama", 2, "token"),
    ],
)
def test_a_whole_run_from_a_local_folder(run, make_model_folder, tmp_path, model_type, lora, style):
    name = make_model_folder(model_type, tmp_path / "tiny")
    folder, results = run(
        **{
            "model.name": str(name),
            "model.lora_r": lora,
            "model.label_style": style,
            "model.window_words": 24,
            "model.window_overlap": 8,
        }
    )
    labeler = check(folder, results)
    assert labeler.model.model.config.model_type == model_type
    names = {path.name for path in (folder / "model").iterdir()}
    assert {"config.json", "model.safetensors", "groot.json", "tokenizer.json"} <= names
    assert not any("adapter" in name for name in names)


def test_one_class_or_several_for_each_text(run, tmp_path):
    examples = read_sample("train").examples[:40]
    for name in ("one", "some"):
        rows = []
        for example in examples:
            labels = sorted({span.label for span in example.spans})
            gold = {"class": (labels or ["none"])[0]} if name == "one" else {"classes": labels}
            rows.append(json.dumps({"text": example.text, **gold}) + "\n")
        train, dev = tmp_path / f"{name}.jsonl", tmp_path / f"{name}-dev.jsonl"
        train.write_text("".join(rows[:32]))
        known = {label for row in rows[:32] for label in labels_of(row)}
        dev.write_text("".join(row for row in rows[32:] if set(labels_of(row)) <= known))
        folder, results = run(name, train=train, **{"data.dev": dev, "data.task": "classes"})
        labeler = check(folder, results)
        assert results["split"] == "dev"
        outputs = [c.output for ranked in labeler(["play", "book it"], top_k=4) for c in ranked]
        for output in outputs:
            assert set(output) <= set(labeler.form.labels)
            assert len(output) == 1 or name == "some"
            assert len(set(output)) == len(output)


def labels_of(row):
    row = json.loads(row)
    return row["classes"] if "classes" in row else [row["class"]]


REWARDS = """
def native(example, candidates):
    return [float(len(c.output)) / 10 if c.output is not None else None for c in candidates]

def in_the_form_of_trl(prompts, completions, **kwargs):
    return [len(text) / 1000 for text in completions]

def fails(example, candidates):
    raise ValueError("not this one")

def abstains(example, candidates):
    return [None if len(example.text) % 2 else 1.0 for _ in candidates]
"""


def test_the_users_file_in_both_forms(run, tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    specs = [f"{tmp_path / 'mine.py'}:{name}" for name in ("native", "in_the_form_of_trl")]
    folder, results = run(**{"reward.specs": [f"{specs[0]}=0.75", f"{specs[1]}=0.25"]})
    check(folder, results)
    rows = [r for some in candidates_of(folder).values() for r in some]
    assert rows
    for row in rows:
        assert row.rewards["native"] == pytest.approx(len(row.output) / 10)
        assert row.rewards["in_the_form_of_trl"] == pytest.approx(len(row.target) / 1000)
        wanted = 0.75 * row.rewards["native"] + 0.25 * row.rewards["in_the_form_of_trl"]
        assert row.reward == pytest.approx(wanted)


def candidates_of(folder):
    path = folder / "candidates" / "round-1.parquet"
    texts, _ = read_records(path.with_suffix(".texts.jsonl"))
    return read_candidates(path, texts)


def test_candidates_of_another_run_and_from_outside(run, small_data, tmp_path):
    first, _ = run("first")
    stored = first / "candidates" / "round-1.parquet"
    second, results = run("second", **{"optimise.candidates_file": str(stored), "fit.passes": 2})
    check(second, results)
    assert not (second / "candidates").exists()
    lines = [json.loads(line) for line in (second / "log.jsonl").read_text().splitlines()]
    used = [line for line in lines if line["stage"] == "round 1" and line["step"] > 0]
    assert len(used) == 3  # 24 examples in batches of 8
    stored.write_bytes(stored.read_bytes() + b" ")
    with pytest.raises(GrootError, match="the candidates file: changed"):
        run("second", **{"optimise.candidates_file": str(stored), "fit.passes": 2})
    # From outside: a text, spans and a reward are enough.
    examples = read_sample("train").examples[:20]
    table = []
    for example in examples:
        for spans, reward in ((example.spans, 1.0), ((), 0.25)):
            listed = [{"start": s.start, "end": s.end, "label": s.label} for s in spans]
            table.append({"text": example.text, "spans": listed, "reward": reward})
    path = tmp_path / "outside.parquet"
    parquet.write_table(pa.Table.from_pylist(table), path)
    third, results = run("third", **{"optimise.candidates_file": str(path)})
    check(third, results)
    lines = [json.loads(line) for line in (third / "log.jsonl").read_text().splitlines()]
    rewards = [line["reward"] for line in lines if line["stage"] == "round 1" and line["step"]]
    assert len(rewards) == 3
    assert rewards == pytest.approx([0.625] * 3, abs=0.05)


def test_texts_longer_than_a_window_are_trained_and_labelled(run, tmp_path):
    """D5: mentions all over a text of six windows, at both its ends too."""
    rng, rows = random.Random(3), []
    for _ in range(24):
        words = [f"w{rng.randrange(11)}" for _ in range(70)]
        text, spans = "", []
        mentions = {0, 69, *rng.sample(range(70), 8)}
        for at, word in enumerate(words):
            said = rng.choice(["anna", "boris"]) if at in mentions else word
            if at in mentions:
                spans.append({"start": len(text), "end": len(text) + len(said), "label": "name"})
            text += said + " "
        rows.append(json.dumps({"text": text.rstrip(), "spans": spans}) + "\n")
    (tmp_path / "long.jsonl").write_text("".join(rows))
    folder, results = run(
        train=tmp_path / "long.jsonl",
        **{
            "data.dev": tmp_path / "long.jsonl",
            "model.window_words": 16,
            "model.window_overlap": 4,
            "fit.passes": 10,
            "fit.learning_rate": 0.01,
            "fit.word_dropout": 0,
            "fit.word_cuts": 0,
            "fit.dropout": 0,
            "fit.evaluations": 3,
        },
    )
    labeler = check(folder, results, texts=["w1 " * 500])
    read = read_jsonl(tmp_path / "long.jsonl").examples
    examples = [dataclasses.replace(example, spans=None) for example in read]
    for example, ranked in zip(examples, labeler.label(examples, top_k=2), strict=True):
        for candidate in ranked:
            for span in candidate.spans:
                assert example.text[span.start : span.end] == span.text
    assert results["fit"]["f1"] > 0.95  # no window, and no border between two, loses any


def test_a_reward_that_fails_stops_and_one_that_abstains_is_missing(run, tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    with pytest.raises(GrootError, match="not this one"):
        run(**{"reward.specs": [f"{tmp_path / 'mine.py'}:fails"], "fit.passes": 0})
    assert list((tmp_path / "run" / "failures").iterdir())
    folder, results = run(**{"reward.specs": [f"{tmp_path / 'mine.py'}:abstains"]}, name="second")
    check(folder, results)
    rows = [row for some in candidates_of(folder).values() for row in some]
    missing = [row for row in rows if row.reward is None]
    assert 0 < len(missing) < len(rows)
    assert results["rewards_missing"]["abstains"]["none"] >= len(missing)
    assert results["optimised"]["reward"]["by_rank"] == [1.0, 1.0, 1.0]  # missing is not 0
