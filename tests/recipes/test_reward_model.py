"""Reward models learn from pairs: runs, reports, what binds them, refusals."""

import json
import random

import pytest
import torch

from groot.data.candidates import CandidateRow
from groot.data.preferences import Preference, preferences_of_candidates
from groot.engine.ledger import read_ledger
from groot.errors import CheckpointError, ConfigError, DataError
from groot.models.loading import add_symbols, load_model
from groot.recipes.reward_model import RewardModelSettings, train_reward_model
from groot.reward_models.kinds import REWARD_KINDS
from groot.reward_models.prefix_model import load_reward_model
from groot.targets import SentinelTags
from groot.types import Span
from groot.writer.labeler import Labeler
from groot.writer.writer import example_of

PROMPTS = [f"{verb} {noun}" for verb in ("play", "book", "is", "in") for noun in
           ("paris", "may", "table", "nina", "river")]  # fmt: skip


def polite_pairs():
    """The one that begins with "please" is better, whatever follows."""
    rng = random.Random(1)
    words = ["the", "weather", "city", "of", "simone", "two", "nine", "artist"]
    pairs = []
    for number, prompt in enumerate(PROMPTS * 3):
        better = " ".join(["please", *rng.sample(words, 3)])
        worse = " ".join(["what", *rng.sample(words, rng.randrange(2, 5))])
        pairs.append(Preference(prompt, better, worse, source=f"m:{number}"))
    return pairs


FAST = {"passes": 3, "batch_size": 8, "learning_rate": 1e-2, "evaluations": 2, "held_out": 0.2}


@pytest.mark.parametrize("kind", REWARD_KINDS)
def test_every_kind_learns_which_output_is_better(gpt2, kind, tmp_path):
    passes = {"value": 8, "rad": 8}.get(kind, 3)  # a regression has more to learn than an order
    settings = RewardModelSettings(**{**FAST, "kind": kind, "passes": passes})
    results = train_reward_model(polite_pairs(), gpt2, out=tmp_path, settings=settings)
    assert results["held_out"]["accuracy"] >= 0.9
    assert results["pairs"] == {"train": 48, "held_out": 12, "unusable": 0}
    assert [tenth["n"] for tenth in results["held_out"]["by_tenth"]] == [12] * 10
    model = load_reward_model(tmp_path)
    assert model.kind == kind
    with torch.no_grad():
        better, worse = model.text_rewards(["play may"] * 2, ["please two nine", "what city two"])
    assert better > worse


def test_a_finished_run_answers_at_once_and_another_one_is_refused(gpt2, tmp_path):
    settings = RewardModelSettings(**{**FAST, "passes": 1})
    first = train_reward_model(polite_pairs(), gpt2, out=tmp_path, settings=settings)
    stages = []
    again = train_reward_model(
        polite_pairs(), gpt2, out=tmp_path, settings=settings, events=stages.append
    )
    assert json.loads(json.dumps(first)) == again
    assert ["finished" in stage.text for stage in stages] == [True]
    ledger = read_ledger(tmp_path / "model")
    assert sum(ledger.seen(PROMPTS).values()) == len(PROMPTS)
    assert ledger.seen(PROMPTS)["chosen_on"] == 4
    with pytest.raises(CheckpointError, match="pairs"):
        train_reward_model(polite_pairs()[2:], gpt2, out=tmp_path, settings=settings)


def test_adapters_leave_the_other_weights_alone(gpt2, tmp_path):
    settings = RewardModelSettings(**{**FAST, "passes": 1}, lora_r=2)
    train_reward_model(polite_pairs(), gpt2, out=tmp_path, settings=settings)
    before = dict(load_model(gpt2).model.named_parameters())
    after = dict(load_reward_model(tmp_path).backbone.model.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("c_attn.weight" in name or "wte" in name for name in changed)


def test_labels_give_preferences_for_a_labeler(t5, tmp_path):
    model = load_model(t5)
    form = SentinelTags(("artist", "city"))
    add_symbols(model, form, label_style="token", max_words=8)
    labeler = Labeler(model, form, label_style="token", window_words=8, window_overlap=2)
    labeler.save(tmp_path / "labeler")
    examples = [
        example_of(f"play nina in {place}", id=place) for place in ("paris", "may", "two", "table")
    ]
    examples.append(example_of("one two three four five six seven eight nine", id="long"))
    artist, city = Span(5, 9, "artist", "nina"), Span(5, 9, "city", "nina")
    candidates = {
        example.id: [
            CandidateRow(example.id, "a", (artist,) if example.id != "long" else (), reward=1.0),
            CandidateRow(example.id, "b", (city,) if example.id != "long" else None, reward=0.0),
            CandidateRow(example.id, "c", (Span(0, 4, "city"),), reward=0.2),
        ]
        for example in examples
    }
    pairs = preferences_of_candidates(candidates, examples)
    settings = RewardModelSettings(**{**FAST, "passes": 8})
    notes = []
    results = train_reward_model(
        pairs, tmp_path / "labeler", out=tmp_path / "out", settings=settings, events=notes.append
    )
    assert results["train"]["accuracy"] > 0.8
    assert results["pairs"]["unusable"] == 1
    assert any("more words than one window" in getattr(note, "text", "") for note in notes)


def test_what_cannot_be_trained_is_refused(gpt2, tmp_path):
    with pytest.raises(ConfigError, match=r"kind='full'.*(?s:.)*passes=0"):
        RewardModelSettings(kind="full", passes=0)
    labels = [
        Preference(f"play {n}", "a", "b", chosen_output=(), rejected_output=(Span(0, 1, "x"),))
        for n in range(4)
    ]
    with pytest.raises(DataError, match="give the folder of a labeler"):
        train_reward_model(labels, gpt2, out=tmp_path / "labels")
    long = [Preference(f"p {n}", "what " * 300, "may", source=f"m:{n}") for n in range(4)]
    with pytest.raises(DataError, match="256 positions"):
        train_reward_model(long, gpt2, out=tmp_path / "long")
    assert not (tmp_path / "long").exists()
