"""The final numbers of a run: by which search, of which set, and what is said beside them."""

import json

import pytest
import torch

from groot.models.embedded_text import make_text_model
from groot.writer.folders import load
from groot.writer.generator import Generator

PROMPTS = ("play it", "book", "play nina", "a table", "two", "song", "it", "nina")
SETTINGS = {
    "fit.passes": 0,
    "optimise.rounds": 0,
    "generation.max_new_tokens": 6,
    "evaluation.k": 5,
    "evaluation.bootstrap_samples": 20,
    "output.report": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A generator that greedy search leads astray, and data, some of whose texts repeat."""
    at = tmp_path_factory.mktemp("texts")
    model = make_text_model(
        list(PROMPTS), shape="causal", vocabulary_size=300, width=16, heads=2, seed=2
    )
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.mul_(4.0)
    Generator(model, max_prompt_tokens=12, max_new_tokens=6).save(at / "model")
    for name, prompts in {"train": PROMPTS[:4], "dev": PROMPTS[2:5], "test": PROMPTS}.items():
        rows = [{"prompt": prompt, "completion": "now"} for prompt in prompts]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (at / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return at


def train(groot, folder, out, *more):
    """What results.json holds of a run that leaves the weights as they were."""
    words = [f"--set={name}={json.dumps(value)}" for name, value in SETTINGS.items()]
    data = (folder / "train.jsonl", "--dev", folder / "dev.jsonl", *more)
    chosen = ("--model", folder / "model", "--reward", "length:2-4", "--out", out)
    answer = groot("train", *data, *chosen, *words)
    assert answer.code == 0, answer.err
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rank_1_is_what_predict_and_evaluate_write(groot, folder, tmp_path):
    run = tmp_path / "run"
    results = train(groot, folder, run, "--test", folder / "test.jsonl")
    assert results["decision"] == "beam search"
    measured = [row["candidates"][0] for row in lines(run / "evaluation" / "optimised.jsonl")]
    asked = "".join(json.dumps({"text": prompt}) + "\n" for prompt in PROMPTS)
    (tmp_path / "in.jsonl").write_text(asked, encoding="utf-8")
    for top_k in (1, 2, 5):
        out = tmp_path / f"top-{top_k}.jsonl"
        answer = groot("predict", run, "--in", tmp_path / "in.jsonl", "--out", out, "-k", top_k)
        assert answer.code == 0, answer.err
        first = [row["candidates"][0] for row in lines(out)]
        texts = [row.get("text", row.get("malformed")) for row in first]
        assert texts == [row["target"] for row in measured]
        assert [row["log_p"] for row in first] == pytest.approx([row["log_p"] for row in measured])
    for k in (1, 5):
        answer = groot("evaluate", run, "--data", folder / "test.jsonl", "-k", k, "--json")
        assert answer.code == 0, answer.err
        reward = json.loads(answer.out)["reward"]["by_rank"][0]
        assert reward == pytest.approx(results["optimised"]["reward"]["by_rank"][0])


def test_numbers_of_dev_say_so_and_have_no_p_values(groot, folder, tmp_path):
    of_dev = train(groot, folder, tmp_path / "dev")
    assert of_dev["measured_on"] == "dev, which chose the weights"
    for number in of_dev["paired"].values():
        assert (number["low"], number["high"], number["p_value"]) == (None, None, None)
    of_test = train(groot, folder, tmp_path / "test", "--test", folder / "test.jsonl")
    assert of_test["measured_on"] == "test"
    assert of_test["paired"]["reward_rank_1"]["p_value"] is not None


def test_texts_that_stand_in_training_are_counted_beside_the_numbers(groot, folder, tmp_path):
    results = train(groot, folder, tmp_path / "run", "--test", folder / "test.jsonl")
    for stage in ("fit", "optimised"):
        duplicates = results[stage]["duplicates"]
        assert (duplicates["texts"], duplicates["without"]["n_examples"]) == (4, 4)


def test_the_model_of_a_run_remembers_what_chose_it(groot, folder, tmp_path):
    train(groot, folder, tmp_path / "run", "--test", folder / "test.jsonl")
    ledger = load(tmp_path / "run").ledger
    assert ledger.seen(PROMPTS) == {"learnt_from": 4, "chosen_on": 3}
