"""T1, T2: a run that is killed again and again ends in the same bits as one that is not."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from groot.engine.files import sha256_of

# The user's own reward: easy to raise, so that every stage ends with other weights.
REWARD = """
def share_labelled(example, candidates):
    return [
        None if one.output is None else sum(len(s.text) for s in one.output) / len(example.text)
        for one in candidates
    ]
"""
SETTINGS = {
    "output.checkpoint_every_s": 0,
    "fit.learning_rate": 0.005,
    "optimise.learning_rate": 0.005,
    "optimise.selects_on": "reward",
    "distil.rounds": 2,
    "distil.learning_rate": 0.005,
}
FOLDER = "groot.engine.run_folder:RunFolder"

# One life each, in the order that a run comes to them; each must really die there.
POINTS = {
    "start: run.json being renamed": {"at": "os:replace", "text": "run.json"},
    "start: config written, model not": {"at": "os:rename", "text": "tmp-start"},
    "fit: first step logged, not saved": {"at": f"{FOLDER}.log", "when": "after"},
    "fit: tensors of a checkpoint half written": {
        "at": "groot.engine.checkpoints:save_file",
        "nth": 5,
    },
    "fit: checkpoint complete, not in place": {"at": "os:rename", "text": "tmp-step", "nth": 3},
    "fit: checkpoint in place": {
        "at": "os:rename",
        "when": "after",
        "text": "tmp-step",
        "nth": 2,
    },
    "fit: an old checkpoint being deleted": {"at": "shutil:rmtree", "text": "trash-step"},
    "fit: dev measured": {"at": "groot.recipes.dev:dev_numbers", "when": "after"},
    "fitted: all trained, nothing saved": {"at": "os:rename", "text": "tmp-fitted"},
    "fitted: saved, not said to be done": {"at": f"{FOLDER}.mark_done", "text": "'fit'"},
    "search": {"at": "groot.rollouts.sampler:corrected_rows"},
    "correction": {"at": "groot.rollouts.corrected:correct", "nth": 20},
    "reward": {"at": "groot.rewards:Reward.score_parts"},
    "reward: in the worker's answer": {"at": "groot.rewards.pool:WorkerPool._result", "nth": 30},
    "candidates: texts written, parquet not": {
        "at": "groot.rollouts.store:write_candidates",
    },
    "candidates: parquet being renamed": {
        "at": "pathlib:Path.replace",
        "text": "round-1.parquet",
    },
    "candidates: logged, not said to be done": {
        "at": f"{FOLDER}.mark_done",
        "text": "'round 1: candidates'",
    },
    "contrast: measured before the first step": {"at": f"{FOLDER}.log", "text": "eval_reward"},
    "contrast: a step taken, not logged": {"at": f"{FOLDER}.log", "text": "contrast", "nth": 2},
    "round 1: saved, not said to be done": {"at": f"{FOLDER}.mark_done", "text": "'round 1'"},
    "round 2: candidates said to be done": {
        "at": f"{FOLDER}.mark_done",
        "when": "after",
        "text": "'round 2: candidates'",
    },
    "distil 2: back towards the fitted weights, nothing searched": {
        "at": "groot.recipes.optimise:go_back",
        "when": "after",
    },
    "distil 2: candidates said to be done": {
        "at": f"{FOLDER}.mark_done",
        "when": "after",
        "text": "'distil 2: candidates'",
    },
    "model: being renamed": {"at": "os:rename", "text": "tmp-model"},
    "evaluate: search": {"at": "groot.recipes.final_numbers:with_probabilities", "nth": 5},
    "evaluate: first records written": {
        "at": "groot.recipes.final_numbers:write_records",
        "when": "after",
    },
    "evaluate: numbers": {"at": "groot.recipes.final_numbers:measure", "nth": 3},
    "results: being renamed": {"at": "os:replace", "text": "results.json"},
    "results: written, not said to be done": {"at": f"{FOLDER}.mark_done", "text": "'evaluate'"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    (folder / "mine.py").write_text(REWARD)
    return folder


@pytest.fixture(scope="module")
def words(place, train_words):
    def of(name: str) -> list[object]:
        reward = f"{place / 'mine.py'}:share_labelled=0.8"
        return train_words(place / name, SETTINGS, "--reward", reward, "--reward", "f0.5=0.2")

    return of


@pytest.fixture(scope="module")
def unbroken(nursery, place, words):
    """The folder of a run that was left in peace, and the seconds that it took."""
    started = time.monotonic()
    command = nursery.start(*words("unbroken"), log=place / "unbroken.log")
    assert command.wait() == 0, command.said()
    return place / "unbroken", time.monotonic() - started


def contents(run: Path) -> dict[str, object]:
    """All that a run leaves, by file, without times."""
    found: dict[str, object] = {
        str(path.relative_to(run)): sha256_of(path) for path in sorted(run.rglob("*.safetensors"))
    }
    for path in sorted(run.rglob("*.jsonl")):
        found[str(path.relative_to(run))] = [
            {key: value for key, value in json.loads(line).items() if key != "step_time"}
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
    for path in sorted(run.rglob("*.parquet")):
        found[str(path.relative_to(run))] = parquet.read_table(path).to_pylist()
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    del results["seconds"]
    # nothing half done may lie about
    names = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    return {**found, "results": results, "names": names}


def assert_same(run: Path, wanted: Path) -> None:
    got, expected = contents(run), contents(wanted)
    assert sorted(got) == sorted(expected)
    for name in expected:
        assert got[name] == expected[name], name


def test_the_unbroken_run_is_worth_comparing(unbroken):
    found = contents(unbroken[0])
    weights = {found[f"{name}/model.safetensors"] for name in ("start", "fitted", "model")}
    assert len(weights) == 3  # every stage changed them
    stages = [line["stage"] for line in found["log.jsonl"]]
    assert stages.count("fit") == 16
    assert stages.count("round 1: candidates") == 1


def test_killed_at_each_kind_of_moment(nursery, place, words, unbroken):
    for name, point in POINTS.items():
        command = nursery.start(*words("points"), log=place / "points.log", kill=[point])
        assert command.wait() == -signal.SIGKILL, f"{name}: not killed\n{command.said()}"
    command = nursery.start(*words("points"), log=place / "points.log")
    assert command.wait() == 0, command.said()
    assert "Traceback" not in command.said()
    assert_same(place / "points", unbroken[0])


def test_killed_at_random_moments(nursery, place, words, unbroken):
    wanted, seconds = unbroken
    rng = random.Random(12)
    kills = 0
    while kills < 12:
        command = nursery.start(*words("random"), log=place / "random.log")
        time.sleep(rng.uniform(0.05, 0.4) * seconds)
        command.send(signal.SIGKILL)
        if command.wait() == 0:  # it was faster, and is finished
            break
        kills += 1
    assert kills > 2
    command = nursery.start(*words("random"), log=place / "random.log")
    assert command.wait() == 0, command.said()
    assert "Traceback" not in command.said()
    assert_same(place / "random", wanted)


def test_the_users_worker_processes_do_not_outlive_a_kill(nursery, place, words, wait_for):
    command = nursery.start(*words("orphans"), log=place / "orphans.log")
    wait_for(lambda: len(members(command.pid)) > 1)
    command.send(signal.SIGKILL)
    command.wait()
    wait_for(lambda: not members(command.pid))
    assert not members(command.pid)


def members(group: int) -> list[int]:
    """The processes of a group that are not dead."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            state, _, its_group = (
                Path(f"/proc/{int(entry)}/stat").read_text().rpartition(")")[2].split()[:3]
            )
        except (ValueError, OSError):
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(entry))
    return found
