"""Guides compared from Python: tiny models, numbers that can be told beforehand."""

import dataclasses
import json

import pytest
import torch

from groot.engine.events import Note
from groot.engine.ledger import Ledger
from groot.errors import ConfigError, DataError
from groot.guides import GUIDES
from groot.reward_models.prefix_model import RewardModel
from groot.rewards import parse_rewards
from groot.rewards.compose import OwnPart, Reward
from groot.studies.compare_guides import CLAIMS, RunFiles, compare_guides
from groot.studies.guide_entries import Contenders, EntrySettings, make_entry, row_titles
from groot.studies.guide_writing import Entry, WritingSettings
from groot.types import Example

ROWS = [name for name in row_titles() if name != "grammar"]


@pytest.fixture(scope="module")
def compared(generator, contenders, prompts, reward, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    entries = {name: make_entry(name, contenders) for name in ROWS}
    settings = WritingSettings(n_samples=2, seed=3)
    found = compare_guides(
        generator, entries, prompts, reward, settings=settings, out=RunFiles(out)
    )
    return out, found


def test_every_row_of_the_published_table_is_there(compared, prompts):
    _, found = compared
    assert list(found["rows"]) == list(found["titles"]) == ROWS
    assert found["titles"]["pargs_greedy"] == "PARGS-greedy"
    for name, row in found["rows"].items():
        is_greedy = name in ("greedy", "args", "pargs_greedy", "deal")
        assert row["n_samples"] == len(prompts) * (1 if is_greedy else 2)
        assert 0 <= row["reward"] <= 1
        assert row["fluency"] < 0
        assert row["tokens"] >= row["n_samples"]
    claims = found["claims"]
    assert len(claims) == 6
    for claim in claims.values():
        assert claim["p_value"] <= claim["holm_p_value"] <= 1


def test_the_cost_of_reward_models_is_counted(compared):
    rows = compared[1]["rows"]
    for name in ("top_k", "greedy", "mbr", "dpo", "grpo"):
        assert rows[name]["reward_calls_per_token"] == 0
    # ten candidates are read for each token that is written
    for name in ("args", "cd", "pargs", "pargs_greedy"):
        assert rows[name]["reward_tokens_per_token"] == pytest.approx(10, rel=0.15)
    assert rows["rad"]["reward_tokens_per_token"] == pytest.approx(20, rel=0.15)
    # a vocabulary head, or a tuned model, reads what was written, once, and never the last token
    for name in ("farma", "implicit"):
        assert 0.3 < rows[name]["reward_tokens_per_token"] < 1
    # three whole samples for each one that is kept
    assert 0.5 < rows["best_of_n"]["reward_tokens_per_token"] < 12
    assert rows["best_of_n"]["reward_calls_per_token"] < 1
    # the frozen model reads what it has written, never the last token; three times for three
    for name in ("top_k", "pargs", "farma", "dpo"):
        assert 0.3 < rows[name]["lm_tokens_per_token"] < 1
    assert 1 < rows["best_of_n"]["lm_tokens_per_token"] < 10
    # ten candidates, each read with the text before it and three of four tokens behind it
    assert rows["deal"]["lm_tokens_per_token"] >= 40


def test_what_costs_the_most_is_no_default_row(contenders):
    assert contenders.default_rows() == [name for name in ROWS if name != "deal"]
    assert contenders.left_out() == ["deal"]
    assert contenders.lack("deal") is None  # but it can be asked for


def test_claims_are_of_rows_that_exist_and_leave_the_baseline_to_the_rows():
    names = {name for claim in CLAIMS for name in claim}
    assert names <= set(row_titles())
    assert "top_k" not in names


def test_weight_0_writes_what_the_unguided_model_writes(generator, contenders, prompts, reward):
    settings = dataclasses.replace(contenders.settings, weights={"pargs": 0.0})
    still = dataclasses.replace(contenders, settings=settings)
    found = compare_guides(
        generator,
        {"top_k": make_entry("top_k", contenders), "pargs": make_entry("pargs", still)},
        prompts,
        reward,
        settings=WritingSettings(n_samples=3),
    )
    assert [example["texts"]["pargs"] for example in found["examples"]] == [
        example["texts"]["top_k"] for example in found["examples"]
    ]
    assert found["rows"]["pargs"]["difference"] == 0
    assert found["rows"]["pargs"]["p_value"] == 1


def test_nothing_to_compare_is_refused(generator, prompts, reward):
    with pytest.raises(ConfigError, match="no guide"):
        compare_guides(generator, {}, prompts, reward)
    with pytest.raises(DataError, match="no prompts"):
        compare_guides(generator, {"greedy": None}, [], reward)


def test_prompts_that_a_generator_has_seen_are_told(make_generator, prompts, reward):
    frozen, tuned = make_generator(), make_generator()
    tuned.ledger = Ledger().with_texts("learnt_from", [prompts[0].text.upper(), "something else"])
    entries = {"top_k": Entry(frozen, top_k=5), "dpo": Entry(tuned, top_k=5)}
    comparison = compare_guides(
        frozen, entries, prompts, reward, settings=WritingSettings(n_samples=1, max_new_tokens=3)
    )
    (sentence,) = comparison["seen_before"]["dpo"]
    assert sentence.startswith("1 of 4 texts stands among those that the model learnt from")
    assert "top_k" not in comparison["seen_before"]


# --- what is taken from a folder ----------------------------------------------------------------


class Comparison:
    """The same comparison again and again on one folder; each call may change what it is of."""

    def __init__(self, folder, make_generator, reward):
        self.folder = folder
        self.make_generator = make_generator
        self.reward = reward

    def __call__(self, **changes):
        """The notes of one call: what was taken, and what was written anew and why."""
        notes = []
        generator = changes.get("generator") or self.make_generator()
        judge = changes.get("reward_model") or RewardModel(self.make_generator().model, "partial")
        settings = EntrySettings(weights={"pargs": changes.get("weight", 2.0)})
        contenders = Contenders(generator, {"partial": judge.eval()}, settings=settings)
        if "folder" in changes:
            contenders = dataclasses.replace(contenders, folders={"partial": (changes["folder"],)})
        self.numbers = compare_guides(
            changes.get("frozen") or generator,
            {"pargs": changes.get("entry") or make_entry("pargs", contenders)},
            changes.get("prompts") or [Example("play", id="a", columns={"wanted": "x"})],
            changes.get("reward") or self.reward,
            settings=changes.get("settings") or WritingSettings(n_samples=1, max_new_tokens=4),
            out=RunFiles(self.folder, is_restarted=changes.get("is_restarted", False)),
            events=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
        return notes


@pytest.fixture
def again(tmp_path, make_generator, reward):
    comparison = Comparison(tmp_path, make_generator, reward)
    assert comparison() == []
    return comparison


def test_what_does_not_matter_is_taken(again, tmp_path):
    before = again.numbers["rows"]["pargs"]
    for changes in [
        {},  # other objects with the same contents
        {"folder": tmp_path / "elsewhere"},
        {"settings": WritingSettings(n_samples=1, max_new_tokens=4, batch_size=1)},
    ]:
        (note,) = again(**changes)
        assert "pargs: taken from" in note
        # seconds are those of the first time, which no second writing would hit
        assert again.numbers["rows"]["pargs"] == before


def test_what_is_started_again_is_not_taken(again):
    before = again.numbers["rows"]["pargs"]["seconds"]
    assert again(is_restarted=True) == []
    assert again.numbers["rows"]["pargs"]["seconds"] != before


def changed(model):
    """The model with one number of its weights changed by the least that there is."""
    with torch.no_grad():
        weight = next(iter(model.parameters())).view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(torch.inf))
    return model


def test_the_smallest_change_of_weights_or_tokens_writes_anew(again, make_generator):
    generator = make_generator()
    changed(generator.model)
    (note,) = again(generator=generator)
    assert "the generator that writes: changed" in note
    again(is_restarted=True)
    (note,) = again(frozen=generator)
    assert "the frozen generator: changed" in note
    again(is_restarted=True)
    (note,) = again(reward_model=changed(RewardModel(make_generator().model, "partial")))
    assert "the reward model of guide 1: changed" in note
    again(is_restarted=True)
    spelling = make_generator()
    spelling.prompts.tokenizer.add_tokens(["play it"])
    (note,) = again(generator=spelling)
    assert "the generator that writes: changed" in note


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prompts": [Example("play it", id="a", columns={"wanted": "x"})]}, "the prompts"),
        ({"prompts": [Example("play", id="a", columns={"wanted": "y"})]}, "the prompts"),
        ({"weight": 2.5}, "guides was"),
        ({"settings": WritingSettings(n_samples=1, max_new_tokens=3)}, "max_new_tokens was 4"),
        ({"settings": WritingSettings(n_samples=2, max_new_tokens=4)}, "n_samples was 1"),
        ({"settings": WritingSettings(n_samples=1, max_new_tokens=4, seed=1)}, "seed was 0"),
    ],
)
def test_other_prompts_and_settings_write_anew(again, changes, why):
    (note,) = again(**changes)
    assert "written anew" in note
    assert why in note


def test_another_reward_of_the_same_name_writes_anew(tmp_path, make_generator):
    """Its source text counts, and so does the mark of a part; the name is not enough."""
    path = tmp_path / "mine.py"
    path.write_text("def mine(example, candidates):\n    return [1.0] * len(candidates)\n")
    with parse_rewards([f"{path}:mine"]) as first:
        comparison = Comparison(tmp_path / "out", make_generator, first)
        comparison()
    path.write_text("def mine(example, candidates):\n    return [0.5] * len(candidates)\n")
    with parse_rewards([f"{path}:mine"]) as second:
        assert second.name == first.name
        (note,) = comparison(reward=second)
    assert "the reward: changed" in note
    assert comparison.numbers["rows"]["pargs"]["reward"] == 0.5

    def short(example, candidates):
        return [0.0 for _ in candidates]

    parts = [OwnPart("length", short, mark=version) for version in ("1", "2")]
    comparison(reward=Reward(parts[:1]), is_restarted=True)
    (note,) = comparison(reward=Reward(parts[1:]))
    assert "the reward: changed" in note


def test_a_guide_of_a_function_is_written_anew_each_time(again, make_generator):
    generator = make_generator()
    longest = GUIDES["best_of_n"](lambda inputs, outputs: [float(len(out)) for out in outputs])
    for guide in (longest, GUIDES["grammar"](lambda ids: None)):
        entry = Entry(generator, guide)
        if guide is longest:
            again(entry=entry, is_restarted=True)
            (note,) = again(entry=entry)
            assert "made of a function, which may have changed" in note


def test_files_of_an_older_version_and_broken_ones_are_written_anew(again, tmp_path, caplog):
    path = tmp_path / "guides" / "pargs.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "made_of": {"settings": {}, "prompts": ["play"]}}))
    (note,) = again()
    assert "another version of groot wrote it" in note
    path.write_text("{}")
    assert again() == []
    assert "cannot be read" in caplog.text
