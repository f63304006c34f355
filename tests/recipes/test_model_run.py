"""A run that makes one model: bound to contents, continued, its results given again."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from groot.data.preferences import Preference
from groot.engine.ledger import Ledger, read_ledger
from groot.engine.marks import Marks
from groot.engine.stage import Interrupted
from groot.errors import CheckpointError
from groot.models.loading import load_model
from groot.recipes.model_run import RunPlace, make_model
from groot.recipes.reward_model import RewardModelSettings, train_reward_model
from groot.recipes.tune_text import TuneSettings, tune_text
from groot.writer.folders import load_generator
from groot.writer.generator import Generator

MADE_OF = Marks({"the model": "a" * 64}, {"seed": 1})


class Note:
    """A model of one word."""

    def save(self, folder):
        folder.mkdir(exist_ok=True)
        (folder / "note.txt").write_text("learnt")


def learner(calls):
    def learn(run):
        calls.append(run)
        run.save(Note(), Ledger().with_texts("learnt_from", ["play"]))
        return {"best": 0.5}

    return learn


def test_a_run_saves_model_ledger_and_results_and_gives_them_again(tmp_path):
    place, calls, notes = RunPlace(tmp_path / "run", "results.json"), [], []
    assert make_model(place, MADE_OF, learner(calls)) == {"best": 0.5}
    assert json.loads((place.out / "results.json").read_text()) == {"best": 0.5}
    assert (place.out / "model" / "note.txt").read_text() == "learnt"
    assert read_ledger(place.out / "model").seen(["play", "stop"]) == {"learnt_from": 1}
    again = RunPlace(place.out, "results.json", notes.append)
    assert make_model(again, MADE_OF, learner(calls)) == {"best": 0.5}
    assert len(calls) == 1
    assert "finished" in notes[0].text


def test_a_run_made_of_something_else_is_refused_unless_forced(tmp_path):
    place, calls = RunPlace(tmp_path / "run", "results.json"), []

    def stop(run):
        raise Interrupted("stage: stopped after step 1 of 2")

    with pytest.raises(SystemExit):
        make_model(place, MADE_OF, stop)
    other = Marks({"the model": "b" * 64}, {"seed": 1})
    with pytest.raises(CheckpointError, match="the model"):
        make_model(place, other, learner(calls))
    assert calls == []
    forced = RunPlace(place.out, "results.json", force=True)
    assert make_model(forced, other, learner(calls)) == {"best": 0.5}


def test_lost_results_of_a_finished_run_are_told(tmp_path):
    place = RunPlace(tmp_path / "run", "results.json")
    make_model(place, MADE_OF, learner([]))
    for content in ("{", None):
        path = place.out / "results.json"
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(CheckpointError, match="start again in another folder"):
            make_model(place, MADE_OF, learner([]))


def swap_weights(folder):
    """Other weights, as many and as large, in the place of those of a model."""
    path = next(folder.glob("*.safetensors"))
    weights = load_file(path)
    size = path.stat().st_size
    name = max(weights, key=lambda name: weights[name].numel())
    weights[name] = weights[name] + torch.full_like(weights[name], 0.25)
    save_file(weights, path, metadata={"format": "pt"})
    assert path.stat().st_size == size


def test_swapped_weights_of_equal_size_are_refused(make_model_folder, tmp_path):
    """Both runs that begin with a model of the user's are bound to its contents."""
    pairs = [Preference(noun, "play it", "book a table") for noun in ("may", "nina", "city")]
    folder = tmp_path / "generator"
    model = make_model_folder("gpt2", tmp_path / "plain")
    Generator(load_model(model), max_prompt_tokens=12, max_new_tokens=16).save(folder)
    runs = {
        "reward": lambda: train_reward_model(
            pairs, folder, out=tmp_path / "reward", settings=RewardModelSettings(passes=1)
        ),
        "tuned": lambda: tune_text(
            folder, out=tmp_path / "tuned", settings=TuneSettings(passes=1), preferences=pairs
        ),
    }
    results = {name: run() for name, run in runs.items()}
    assert {name: run() for name, run in runs.items()} == results
    swap_weights(folder)
    assert load_generator(folder) is not None
    for run in runs.values():
        with pytest.raises(CheckpointError, match="model: changed"):
            run()
