"""Runs on free text: fitted, optimised, measured, predicted with; stopped and continued."""

import json
import random
from collections import Counter

import pytest

import groot
from groot.config import config_from
from groot.data import read_splits
from groot.data.candidates import read_candidates
from groot.errors import ConfigError, DataError, RewardError
from groot.evaluation.records import read_records
from groot.recipes.groot_trainer import GrootTrainer
from groot.recipes.plan_run import plan_run
from groot.recipes.run import train_run
from groot.recipes.run_data import checked
from groot.report import write_report
from groot.studies.evaluate_folder import EvaluationSettings, evaluate_folder
from groot.studies.labelled_data import LabelledData
from groot.types import Example
from groot.work.predict_file import predict_file
from groot.work.predicted_file import PredictedFile
from groot.work.predictor import Request
from groot.writer.generator import Generator

THINGS = {"drink": ("tea", "coffee", "milk"), "food": ("bread", "rice", "soup", "cake")}
SETTINGS = {
    "model": {
        "width": 32, "feed_forward": 64, "encoder_layers": 1, "heads": 2, "vocabulary_size": 300,
    },
    "generation": {"max_new_tokens": 24, "decoder_layers": 1},
    "fit": {"passes": 6, "batch_size": 16, "evaluations": 3, "learning_rate": 0.005, "dropout": 0.0,
            "average_decay": 0.0},
    "optimise": {"rounds": 1, "num_candidates": 4, "candidates_per_round": 8, "batch_size": 16,
                 "learning_rate": 0.002, "average_decay": 0.0, "dropout": 0.0},
    "evaluation": {"k": 3, "bootstrap_samples": 20},
    "reward": {"specs": ["exact=0.5", "wanted_words:please=0.5"]},
    "output": {"report": False},
}  # fmt: skip


def rows(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.choice(list(THINGS))
        end = rng.choice(["", " please"])
        yield {"prompt": kind, "completion": f"i want {rng.choice(THINGS[kind])}{end}"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    for name, count in (("train", 96), ("dev", 24), ("test", 24)):
        lines = (json.dumps(row) for row in rows(count, name))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def config_of(data, **more):
    sections = {name: {**section, **more.pop(name, {})} for name, section in SETTINGS.items()}
    return config_from({"data": {"train": str(data)}, **sections, **more})


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The folder of a run of the encoder-decoder default, its results and its events."""
    out, events = tmp_path_factory.mktemp("runs") / "run", []
    return out, train_run(config_of(data), out=out, events=events.append), events


def test_a_run_keeps_the_contract_of_its_folder(run, data):
    out, results, _ = run
    names = {path.name for path in out.iterdir()}
    assert {"fitted", "model", "candidates", "evaluation", "log.jsonl", "results.json"} <= names
    assert json.loads((out / "results.json").read_text()) == results
    assert {"fit", "optimised", "paired", "split", "k", "reward", "seconds"} <= set(results)
    assert not any("mbr" in name for name in results)
    for name in ("fit", "optimised"):
        assert results[name]["task"] == "text"
        assert results[name]["f1"] is None
        assert results[name]["proofs"] is None
        examples, candidates = read_records(out / "evaluation" / f"{name}.jsonl")
        assert len(examples) == 24
        for some in candidates:
            log_p = [one.log_p for one in some]
            assert 1 <= len(some) <= 3
            assert log_p == sorted(log_p, reverse=True)


def test_it_learns_the_likelihood_and_then_the_reward(run):
    out, results, _ = run
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    curve = [line["eval_perplexity"] for line in log if "eval_perplexity" in line]
    fit = [line for line in log if line.get("stage") == "fit" and "eval_perplexity" in line]
    assert len(fit) == 3
    assert curve[2] < curve[0]
    assert curve[2] < 3.5  # of some 300 pieces
    rewards = [results[name]["reward"]["mean_top_k"] for name in ("fit", "optimised")]
    assert rewards[1] > rewards[0] + 0.05


def test_candidates_are_kept_with_where_they_came_from(run):
    found = read_candidates(run[0] / "candidates" / "round-1.parquet")
    assert len(found) == 96
    sources = Counter(row.source for some in found.values() for row in some)
    assert set(sources) == {"gold", "sample", "corrected"}
    for some in found.values():
        assert len({(row.target, row.output) for row in some}) == len(some) <= 8
        assert all(row.reward is not None for row in some)
        assert set(some[0].rewards) == {"exact", "wanted_words:please"}
        written = [row.log_p for row in some if row.log_p is not None]
        assert written == sorted(written, reverse=True)
        assert sum(row.source == "gold" for row in some) == 1


def test_a_finished_run_is_not_done_again_and_has_a_report(run, data):
    out, results, _ = run
    assert train_run(config_of(data), out=out) == results
    assert "wanted_words" in write_report(out).read_text()


def test_the_model_predicts_and_is_measured(run, tmp_path):
    out, _, _ = run
    generator = groot.load(out)
    assert isinstance(generator, Generator)
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "drink", "id": 7}\n"food"\n""\n')
    predict_file(out, source, target, Request(top_k=2), done=PredictedFile())
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["text"] for line in lines] == ["drink", "food", ""]
    assert lines[0]["id"] == 7
    assert lines[0]["candidates"][0]["text"].startswith("i want ")
    assert all(len(line["candidates"]) == 2 for line in lines)


def test_evaluate_on_other_data(run, data):
    found = evaluate_folder(run[0], LabelledData(data / "dev.jsonl"), EvaluationSettings(k=2))
    assert found.measurement.task == "text"
    assert all(len(some) == 2 for some in found.candidates)


class Stop(Exception):
    """What the test below raises in the middle."""


def test_a_run_that_was_stopped_goes_on_to_the_same_end(data, tmp_path):
    config = config_of(
        data,
        model={"name": "embedded-causal"},
        fit={"passes": 1, "batch_size": 32, "evaluations": 1},
        optimise={"num_candidates": 2, "batch_size": 32, "selects_on": "reward_top_k"},
        evaluation={"k": 2, "bootstrap_samples": 20},
        output={"checkpoint_every_s": 0, "report": False},
    )
    whole = train_run(config, out=tmp_path / "whole")
    for nth in (2, 5):  # in the fit, and then in the round
        seen = 0

        def stop(event, nth=nth):
            nonlocal seen
            seen += type(event).__name__ == "StepDone"
            if seen == nth:
                raise Stop

        with pytest.raises(Stop):
            train_run(config, out=tmp_path / "broken", events=stop)
    parts = train_run(config, out=tmp_path / "broken")
    for results in (whole, parts):
        results.pop("seconds")
    assert whole == parts
    for name in ("fitted", "model"):
        first, second = (
            (tmp_path / run / name / "model.safetensors").read_bytes()
            for run in ("whole", "broken")
        )
        assert first == second
    assert groot.load(tmp_path / "whole").model.is_causal


def test_dev_reward_can_pick_the_fitted_weights(data, tmp_path):
    config = config_of(data, fit={"passes": 1, "selects_on": "reward"}, optimise={"rounds": 0})
    train_run(config, out=tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert all("eval_reward" in line for line in log if "eval_perplexity" in line)
    fitted, model = (
        (tmp_path / "run" / name / "model.safetensors").read_bytes() for name in ("fitted", "model")
    )
    assert fitted == model


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"reward": {"specs": ["f0.5"]}}, RewardError, "not free text"),
        ({"reward": {"specs": ["class_accuracy"]}}, RewardError, "says nothing about the gold"),
        ({"optimise": {"selects_on": "f1"}}, ConfigError, "free text has none"),
        ({"generation": {"max_new_tokens": 2}}, DataError, "no training example"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(data, tmp_path, more, error, message):
    with pytest.raises(error, match=message):
        train_run(config_of(data, **more), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_embedded_causal_is_refused_for_labels(tmp_path):
    lines = "\n".join("play\tO\nnina\tB-artist\n" for _ in range(20))
    (tmp_path / "train.conll").write_text(lines)
    config = config_from(
        {"data": {"train": str(tmp_path / "train.conll")}, "model": {"name": "embedded-causal"}}
    )
    with pytest.raises(ConfigError, match="writes free text; this data has labels"):
        train_run(config, out=tmp_path / "run")


def test_references_that_are_too_long_are_named(data, tmp_path):
    path = tmp_path / "train.jsonl"
    row = json.dumps({"prompt": "food", "completion": "i want soup " * 30})
    path.write_text((data / "train.jsonl").read_text() + row + "\n")
    events = []
    config = config_of(
        data, fit={"passes": 1}, optimise={"rounds": 0}, evaluation={"k": 1, "bootstrap_samples": 2}
    )
    config = config.model_copy(
        update={
            "data": config.data.model_copy(
                update={"train": str(path), "dev": str(data / "dev.jsonl")}
            )
        }
    )
    train_run(config, out=tmp_path / "run", events=events.append)
    notes = [event.text for event in events if type(event).__name__ == "Note"]
    assert any("train.jsonl:97: the reference has" in note for note in notes)


def test_the_plan_counts_without_writing(data, tmp_path):
    plan = plan_run(config_of(data))
    assert plan.examples == {"train": 96, "dev": 24, "test": 24}
    assert [stage.steps for stage in plan.stages] == [36, 6]
    assert plan.facts["task"] == "text"
    assert not (tmp_path / "run").exists()


def test_the_trainer_of_labelers_says_where_free_text_goes():
    rows = [{"prompt": "food", "completion": "i want soup"}] * 20
    with pytest.raises(DataError, match="Free text is trained by groot train"):
        GrootTrainer(None, "exact", train_dataset=rows)


def test_no_dev_reference_is_an_error(data, tmp_path):
    splits = read_splits(data)
    splits.dev.examples = [Example("food", id="1")]
    with pytest.raises(DataError, match="no example has a reference"):
        checked(splits, config_of(data))
