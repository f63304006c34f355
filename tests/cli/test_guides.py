"""groot compare-guides and groot diagnose, as the terminal would run them."""

import json

import pytest
import torch

from groot.models.loading import load_model
from groot.reward_models.prefix_model import RewardModel
from groot.writer.generator import Generator


@pytest.fixture(scope="module")
def folders(make_model_folder, tmp_path_factory):
    """A generator, a partial reward model and prompts."""
    at = tmp_path_factory.mktemp("guides")
    model = load_model(make_model_folder("gpt2", at / "gpt2"))
    with torch.no_grad():  # one token in six is the end, so that texts differ in length
        end = model.model.get_input_embeddings().weight[model.end_id]
        model.model.transformer.ln_f.bias += 4 * end / end.square().sum()
    Generator(model, max_prompt_tokens=20, max_new_tokens=6).save(at / "generator")
    RewardModel(model, "partial").save(at / "partial")
    prompts = [{"prompt": text} for text in ("play nina", "book a table", "may")]
    lines = [json.dumps(prompt) + "\n" for prompt in prompts]
    (at / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
    others = [*lines[:1], '{"prompt": "turn it off"}\n', '{"prompt": "stop"}\n']
    (at / "dev.jsonl").write_text("".join(others), encoding="utf-8")
    return at


def words(at, *more):
    return [at / "generator", "--prompts", at / "prompts.jsonl", "--reward", "length:1-2", *more]


def test_compare_guides_prints_the_table_and_writes_the_report(groot, folders, tmp_path):
    asked = words(folders, "--reward-model", folders / "partial", "--samples", 2, "--best-of", 2)
    found = groot("compare-guides", *asked, "--out", tmp_path / "out")
    assert found.code == 0, found.err
    assert "PARGS-greedy" in found.out
    assert "FaRMA" not in found.out  # there is no reward model of that kind
    stored = json.loads((tmp_path / "out" / "guides.json").read_text())
    assert list(stored["rows"]) == [
        *("top_k", "greedy", "best_of_n", "mbr", "pargs", "pargs_greedy"),
    ]
    assert stored["left_out"] == ["deal"]
    assert "left out because they cost most of the time: deal" in found.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Guides compared" in page
    assert "<svg" in page
    again = groot("compare-guides", *asked, "--out", tmp_path / "out", "--json")
    assert "taken from" in again.err
    assert json.loads(again.out)["rows"] == stored["rows"]


def test_ensembles_and_transforms_are_options(groot, folders):
    two = ("--reward-model", folders / "partial") * 2
    asked = words(folders, *two, "--guides", "pargs", "--samples", 1, "--json")
    found = groot("compare-guides", *asked)
    assert found.code == 2
    assert "combine them: --ensemble mean" in found.err
    found = groot("compare-guides", *asked, "--ensemble", "worst", "--transform", "log_sigmoid")
    assert found.code == 0, found.err
    settings = json.loads(found.out)["settings"]["pargs"]
    assert (settings["ensemble"], settings["transform"]) == ("worst", "log_sigmoid")


def test_weights_are_chosen_on_prompts_of_their_own(groot, folders):
    found = groot(
        "compare-guides",
        *words(folders, "--reward-model", folders / "partial", "--guides", "top_k,pargs"),
        *("--weights", "0,4", "--dev", folders / "dev.jsonl", "--dev-reward", "length:1-2"),
        "--json",
    )
    assert found.code == 0, found.err
    answer = json.loads(found.out)
    assert answer["weight_prompts"] == {"used": 2, "left_out": 1}
    tried = answer["weights_tried"]["pargs"]
    assert set(tried) == {"0", "4"}
    best = min(tried, key=lambda weight: (-tried[weight], float(weight)))
    assert answer["settings"]["pargs"]["weight"] == float(best)


def test_weights_are_not_chosen_on_what_is_compared(groot, folders):
    words_of_weights = ("--weights", "0,4", "--dev-reward", "length:1-2")
    asked = words(folders, "--reward-model", folders / "partial", *words_of_weights)
    found = groot("compare-guides", *asked, "--dev", folders / "prompts.jsonl")
    assert found.code == 2
    assert "Give other prompts: --dev FILE" in found.err
    found = groot(
        "compare-guides", *asked, "--dev", folders / "dev.jsonl", "--guides", "top_k,pargs"
    )
    assert found.code == 0, found.err
    assert "left out because they stand in --prompts, too: 1" in found.out


def test_diagnose_prints_and_reports(groot, folders, tmp_path):
    found = groot(
        "diagnose",
        *words(folders, "--reward-model", folders / "partial"),
        *("--samples", 4, "--rollouts", 1, "--out", tmp_path),
    )
    assert found.code == 0, found.err
    assert "is the prefix of the winner worth more?" in found.out
    assert "token mean reciprocal rank" in found.out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Does the winner’s prefix go on better?" in page
    assert groot("report", tmp_path).code == 0
    plain = groot("diagnose", *words(folders, "--samples", 4, "--rollouts", 1, "--json"))
    assert set(json.loads(plain.out)["ranks"]) == {"none"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--guides", "parks"], "no guide 'parks'. Did you mean 'pargs'?"),
        (["--guides", "args"], "args needs a reward model of kind sequence"),
        (["--weight", "pargs=much"], "'much' is not a number"),
        (["--weight", "pargs"], "write NAME=VALUE"),
        (["--tuned", "sft=x"], "tuned with sft? Known: dpo, grpo"),
        (["--weights", "1,2"], "belong together"),
        (["--reward-model", "nowhere"], "no reward model here"),
    ],
)
def test_mistakes_are_told(groot, folders, more, message):
    found = groot("compare-guides", *words(folders, *more))
    assert found.code == 2
    assert message in found.err
    assert "Traceback" not in found.err


def test_a_reward_model_is_no_generator(groot, folders):
    found = groot(
        "diagnose", folders / "partial", "--prompts", folders / "prompts.jsonl", "--reward", "exact"
    )
    assert found.code == 2


def test_tune_learns_from_preferences_and_is_finished_after(groot, folders, tmp_path):
    pairs = [
        {"prompt": prompt, "chosen": "o", "rejected": "i"} for prompt in ("may", "nina", "city")
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    asked = [folders / "generator", "--preferences", path, "--out", tmp_path / "dpo"]
    found = groot("tune", *asked, "--json")
    assert found.code == 0, found.err
    answer = json.loads(found.out)
    assert (answer["objective"], answer["pairs"], answer["held_out"]) == ("dpo", 2, 1)
    assert (tmp_path / "dpo" / "model" / "groot.json").is_file()
    again = groot("tune", *asked)
    assert "finished" in again.err
    assert "model:" in again.out
    compared = groot(
        "compare-guides",
        *words(folders, "--tuned", f"dpo={tmp_path / 'dpo'}", "--guides", "top_k,implicit,dpo"),
        "--json",
    )
    assert compared.code == 0, compared.err
    assert list(json.loads(compared.out)["rows"]) == ["top_k", "implicit", "dpo"]


@pytest.mark.parametrize(
    ("objective", "message"), [("dpo", "--preferences FILE"), ("grpo", "--prompts FILE")]
)
def test_tune_says_what_it_lacks(groot, folders, tmp_path, objective, message):
    found = groot("tune", folders / "generator", "--objective", objective, "--out", tmp_path / "x")
    assert found.code == 2
    assert message in found.err


def test_tune_names_the_broken_line_and_writes_nothing(groot, folders, tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": \n')
    found = groot("tune", folders / "generator", "--preferences", path, "--out", tmp_path / "dpo")
    assert found.code == 2
    assert "broken.jsonl:2: not JSON" in found.err
    assert not (tmp_path / "dpo").exists()
