import json
import math

import pytest

from groot.recipes.dev import perplexity_numbers
from groot.recipes.fit import likelihood
from groot.rollouts.instances import training_instances
from groot.types import Example


@pytest.fixture(scope="module", params=["causal", "encoder-decoder"])
def generator(request, tiny_generator):
    return tiny_generator(request.param)


def test_items_name_what_is_left_out(generator):
    examples = [
        Example("play", reference="play nina", source="a:1"),
        Example("play", source="a:2"),
        Example("play", reference="nina simone " * 20, source="a:3"),
    ]
    instances, missed = training_instances(generator.notation, examples)
    assert [instance.example.source for instance in instances] == ["a:1"]
    assert list(instances[0].target.tokens) == generator.prompts.target_ids("play nina")
    assert missed[0] == "a:2: no gold"
    assert missed[1].startswith("a:3: the reference has ")


def test_likelihood_is_the_sum_of_what_score_says(generator):
    pairs = [("play", "play nina"), ("book", "book a table for two"), ("", "play")]
    instances, _ = training_instances(
        generator.notation, [Example(a, reference=b) for a, b in pairs]
    )
    total, tokens = likelihood(generator.model, generator.notation, instances, batch_size=2)
    scores = [generator.score([prompt], [[text]])[0][0] for prompt, text in pairs]
    assert math.isclose(total, sum(scores), abs_tol=1e-3)
    assert tokens == sum(len(generator.prompts.target_ids(text)) for _, text in pairs)
    assert likelihood(generator.model, generator.notation, []) == (0.0, 0)


def test_perplexity_of_hopeless_texts_stays_a_number():
    assert math.isfinite(perplexity_numbers(-1e9, 1)["perplexity"])


def test_the_loss_of_a_step_is_the_mean_over_the_decisions_of_all_its_texts(
    groot, tiny_generator, tmp_path
):
    """Of one step on all the texts of dev, at a rate that changes nothing: dev's own number."""
    tiny_generator("causal").save(tmp_path / "model")
    pairs = [("play", "play nina"), ("book", "book a table for two in may")]
    rows = [json.dumps({"prompt": prompt, "completion": text}) + "\n" for prompt, text in pairs]
    for name in ("train", "dev"):
        (tmp_path / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    once = {"passes": 1, "batch_size": 2, "evaluations": 1, "learning_rate": 1e-12, "dropout": 0.0}
    settings = [f"--set=fit.{name}={value}" for name, value in once.items()]
    settings += ["--set=optimise.rounds=0", "--set=output.report=false"]
    settings += ["--set=generation.max_prompt_tokens=16", "--set=generation.max_new_tokens=24"]
    data = (tmp_path / "train.jsonl", "--dev", tmp_path / "dev.jsonl", "--out", tmp_path / "run")
    answer = groot(
        "train", *data, "--model", tmp_path / "model", "--reward", "length:2-4", *settings
    )
    assert answer.code == 0, answer.err
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["step"] == 1]
    assert line["loss"] == pytest.approx(-line["eval_log_p_per_token"], abs=1e-4)
