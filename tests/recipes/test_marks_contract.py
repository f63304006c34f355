"""The contract of marks, for everything that continues or reuses what was done before.

One byte of weights, of a text, of a column, of a reward or of a setting that matters has changed:
nothing goes on without a word. What does not matter has changed: everything goes on.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import groot
from groot.config import Config, config_from
from groot.data.preferences import read_preferences
from groot.data.read import read_examples
from groot.engine.marks import mark_of_folder
from groot.errors import CheckpointError
from groot.models.loading import load_model
from groot.recipes.reward_model import RewardModelSettings, train_reward_model
from groot.recipes.run import train_on, train_run
from groot.recipes.run_data import read_data
from groot.recipes.tune_text import TuneSettings, tune_text
from groot.rewards import parse_rewards
from groot.writer.generator import Generator

PROMPTS = ("may", "nina", "river", "city", "song", "nine", "two", "paris")
REWARD = '''
from counted import WANTED

def score(example, candidates):
    """What is wanted in a text, times a column of the example."""
    return [example.columns["worth"] * one.text.count(WANTED) for one in candidates]
'''


@dataclass
class Place:
    """A folder with all that a run is made of; settings can be changed before it goes on."""

    folder: Path
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def reward(self) -> list[str]:
        return [f"{self.folder / 'reward.py'}:score"]


def config_of(place: Place) -> Config:
    """The settings of a short run on free text that starts from a model in a folder."""
    changed = {"optimise": {}, "evaluation": {}, "output": {}, "fit": {}}
    for name, value in place.settings.items():
        section, key = name.split(".")
        changed[section][key] = value
    return config_from(
        {
            "data": {
                name: str(place.folder / f"{name}.jsonl") for name in ("train", "dev", "test")
            },
            "model": {"name": str(place.folder / "model")},
            "generation": {"max_new_tokens": 12, "max_prompt_tokens": 12},
            "fit": {"passes": 1, "batch_size": 4, "evaluations": 1, **changed["fit"]},
            "optimise": {"rounds": 1, "num_candidates": 2, "evaluations": 1, **changed["optimise"]},
            "evaluation": {"k": 2, "bootstrap_samples": 10, **changed["evaluation"]},
            "reward": {"specs": place.reward},
            "output": {"report": False, **changed["output"]},
        }
    )


def train(place: Place) -> list[str]:
    events: list[object] = []
    train_run(config_of(place), out=place.out, events=events.append)
    return notes(events)


def train_writer(place: Place) -> list[str]:
    """The same run, from a writer that the caller has in memory."""
    config = config_of(place)
    config = config.model_copy(update={"model": config.model.model_copy(update={"name": None})})
    events: list[object] = []
    with parse_rewards(place.reward) as reward:
        train_on(
            config,
            read_data(config),
            reward,
            out=place.out,
            writer=groot.load(place.folder / "model"),
            events=events.append,
        )
    return notes(events)


def notes(events: list[object]) -> list[str]:
    return [event.text for event in events if hasattr(event, "text")]


def reward_model(place: Place) -> list[str]:
    settings = RewardModelSettings(**{"passes": 1, "batch_size": 4, **place.settings})
    events: list[object] = []
    train_reward_model(
        read_preferences(place.folder / "pairs.jsonl"),
        place.folder / "model",
        out=place.out,
        settings=settings,
        events=events.append,
    )
    return notes(events)


def tune(place: Place) -> list[str]:
    asked = {"objective": "grpo", "rounds": 1, "prompts_per_round": 4, "group": 2, "passes": 1}
    settings = TuneSettings(**{**asked, **place.settings})
    events: list[object] = []
    with parse_rewards(place.reward) as reward:
        tune_text(
            place.folder / "model",
            out=place.out,
            settings=settings,
            examples=read_examples(place.folder / "train.jsonl").examples,
            reward=reward,
            events=events.append,
        )
    return notes(events)


# What can be changed


def flip_weight(place: Place) -> None:
    """The lowest bit of the last weight, and not even the time of the file."""
    path = place.folder / "model" / "model.safetensors"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(name: str, old: str, new: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        path = place.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def setting(name: str, value: object) -> Callable[[Place], None]:
    return lambda place: place.settings.update({name: value})


def touch_everything(place: Place) -> None:
    for path in place.folder.rglob("*"):
        if place.out not in (path, *path.parents):
            os.utime(path, (1, 1))


def turn_keys(place: Place) -> None:
    """The same rows of data, the keys of each in another order."""
    for path in place.folder.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        turned = [json.dumps(dict(reversed(row.items()))) for row in rows]
        path.write_text("\n".join(turned) + "\n")


def describe_model(place: Place) -> None:
    (place.folder / "model" / "README.md").write_text("what it is")
    (place.folder / "model" / "calibration.json").write_text("{}")


@dataclass(frozen=True)
class User:
    """Something that goes on from what was done before.

    Args:
        start: does the work, or finds that it is done; returns what it said.
        matters: changes that it must not go on after, with a word of the refusal.
        free: changes that it goes on after.
    """

    start: Callable[[Place], list[str]]
    matters: dict[str, tuple[Callable[[Place], None], str]]
    free: dict[str, Callable[[Place], None]]


FREE = {"times": touch_everything, "order of keys": turn_keys, "README": describe_model}
USERS = {
    "train": User(
        train,
        {
            "weights": (flip_weight, "the model to start from: changed"),
            "text": (replace("train.jsonl", "may", "maz"), "the training data: changed"),
            "dev": (replace("dev.jsonl", "may", "maz"), "the dev data: changed"),
            "test": (replace("test.jsonl", "may", "maz"), "the test data: changed"),
            "column": (replace("train.jsonl", '"worth": 2', '"worth": 3'), "the training data"),
            "reward": (replace("reward.py", "score(", "score( "), "the reward: changed"),
            "import": (replace("counted.py", '" "', '"e"'), "the reward: changed"),
            "setting": (setting("fit.learning_rate", 0.01), "fit.learning_rate was 0.001"),
            "selection": (setting("optimise.selects_on", "reward"), "optimise.selects_on was"),
            "ranks": (setting("optimise.selection_k", 1), "optimise.selection_k was"),
        },
        {
            **FREE,
            "output": setting("output.keep_checkpoints", 5),
            "evaluation": setting("evaluation.bootstrap_samples", 10),
        },
    ),
    "train a writer": User(
        train_writer,
        {"weights": (flip_weight, "the model to start from: changed")},
        {"README": describe_model},
    ),
    "reward model": User(
        reward_model,
        {
            "weights": (flip_weight, "the backbone model: changed"),
            "text": (replace("pairs.jsonl", "a table", "a tabla"), "pairs"),
            "setting": (setting("learning_rate", 0.01), "learning_rate was"),
        },
        {**FREE, "saving": setting("checkpoint_every_s", 7.0)},
    ),
    "tune": User(
        tune,
        {
            "weights": (flip_weight, "the frozen model: changed"),
            "text": (replace("train.jsonl", "may", "maz"), "the prompts: changed"),
            "column": (replace("train.jsonl", '"worth": 2', '"worth": 3'), "the prompts"),
            "import": (replace("counted.py", '" "', '"e"'), "the reward: changed"),
            "setting": (setting("kl", 0.5), "kl was 0.04 and is 0.5 now"),
        },
        {**FREE, "saving": setting("checkpoint_every_s", 7.0)},
    ),
}


@pytest.fixture(scope="module")
def made(make_model_folder, tmp_path_factory):
    """By user, the folder in which it has done its work once."""
    plain = tmp_path_factory.mktemp("gpt2")
    model = load_model(make_model_folder("gpt2", plain))
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            folder = tmp_path_factory.mktemp("made") / "place"
            Generator(model, max_prompt_tokens=12, max_new_tokens=12).save(folder / "model")
            write_materials(folder)
            USERS[name].start(Place(folder))
            folders[name] = folder
        return folders[name]

    return make


def write_materials(folder: Path) -> None:
    rows = [{"prompt": word, "completion": "play it", "worth": 2} for word in PROMPTS]
    pairs = [{"prompt": word, "chosen": "play it", "rejected": "a table"} for word in PROMPTS]
    for name, values in (("train", rows), ("dev", rows), ("test", rows), ("pairs", pairs)):
        text = "".join(json.dumps(value) + "\n" for value in values)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "reward.py").write_text(REWARD)
    (folder / "counted.py").write_text('WANTED = " "\n')


@pytest.fixture
def place(made, request, tmp_path, monkeypatch):
    """A copy of the folder under its first name, so that only what a test changes is changed."""
    folder = made(request.param)
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield Place(folder)
    shutil.rmtree(folder)
    kept.rename(folder)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in files}


MATTERS = [(name, change) for name, user in USERS.items() for change in user.matters]
FREE_CHANGES = [(name, change) for name, user in USERS.items() for change in user.free]


@pytest.mark.parametrize(("place", "change"), MATTERS, indirect=["place"])
def test_what_matters_is_never_passed_over_in_silence(place, change, request):
    user = USERS[request.node.callspec.params["place"]]
    before = contents(place.out)
    apply, word = user.matters[change]
    apply(place)
    with pytest.raises(CheckpointError) as caught:
        user.start(place)
    assert word in str(caught.value)
    assert contents(place.out) == before


@pytest.mark.parametrize(("place", "change"), FREE_CHANGES, indirect=["place"])
def test_what_does_not_matter_never_stands_in_the_way(place, change, request):
    user = USERS[request.node.callspec.params["place"]]
    user.free[change](place)
    assert any("is finished" in text for text in user.start(place))


@pytest.mark.parametrize("place", ["train"], indirect=True)
def test_other_numbers_are_measured_again_on_the_same_weights(place):
    """What is reported never chooses the weights: `optimise.selection_k` does (T9)."""
    weights, chosen_by = mark_of_folder(place.out / "model"), dev_numbers_of(place)
    place.settings["evaluation.k"] = 1
    train(place)
    assert mark_of_folder(place.out / "model") == weights
    assert json.loads((place.out / "results.json").read_text())["k"] == 1
    fresh = Place(place.folder, {"evaluation.k": 1})
    shutil.rmtree(place.out)
    train(fresh)
    assert mark_of_folder(place.out / "model") == weights
    assert dev_numbers_of(fresh) == chosen_by
    assert {"eval_both", "eval_reward_top_k"} <= chosen_by[-1].keys()


def dev_numbers_of(place: Place) -> list[dict[str, float]]:
    """What chose the weights, measurement by measurement."""
    lines = (json.loads(line) for line in (place.out / "log.jsonl").read_text().splitlines())
    numbers = [
        {name: value for name, value in line.items() if name.startswith("eval_")} for line in lines
    ]
    return [measured for measured in numbers if measured]


# What a run that was killed reads again (F7)

STAGES = ("start", "fit", "round 1: candidates", "round 1", "evaluate fit", "evaluate optimised")
READ_AGAIN = [
    ("start", "start/model.safetensors"),
    ("start", "start/groot.json"),
    ("fit", "fitted/model.safetensors"),
    ("round 1: candidates", "candidates/round-1.parquet"),
    ("round 1", "model/model.safetensors"),
    ("evaluate optimised", "evaluation/optimised.jsonl"),
]


def kill_after(stage: str, out: Path) -> None:
    """Make a finished run one that was killed when the stage was done."""
    path = out / "run.json"
    record = json.loads(path.read_text())
    done = STAGES[: STAGES.index(stage) + 1]
    assert set(done) <= record["stages"].keys(), record["stages"].keys()
    record["stages"] = {name: record["stages"][name] for name in done}
    path.write_text(json.dumps(record))
    (out / "results.json").unlink()


@pytest.mark.parametrize(("stage", "file"), READ_AGAIN)
@pytest.mark.parametrize("place", ["train"], indirect=True)
def test_flipped_bits_in_what_a_killed_run_reads_again_are_said(place, stage, file):
    kill_after(stage, place.out)
    path = place.out / file
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{file}: damaged, missing or changed"):
        train(place)
    content[-5] ^= 1
    path.write_bytes(content)
    train(place)
    assert (place.out / "results.json").is_file()
