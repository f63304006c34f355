"""`groot train` under signals (T3), twice in one folder (T7), continued after changes (T8)."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

REWARD = "def reward(example, candidates):\n    return [0.5 for _ in candidates]\n"


def lines_of(run: Path) -> list[dict]:
    path = run / "log.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def steps_of(run: Path, stage: str) -> list[int]:
    return [line["step"] for line in lines_of(run) if line.get("stage") == stage]


def stages_done(run: Path) -> list[str]:
    path = run / "run.json"
    return list(json.loads(path.read_text()).get("stages", {})) if path.exists() else []


@pytest.mark.parametrize(
    ("number", "code", "stage", "to_group"),
    [
        (signal.SIGTERM, 143, "fit", False),
        (signal.SIGINT, 130, "fit", True),  # Ctrl-C reaches the reward's processes as well
        (signal.SIGINT, 130, "round 1", True),
    ],
)
def test_a_signal_saves_and_ends(
    nursery, train_words, wait_for, tmp_path, number, code, stage, to_group
):
    (tmp_path / "mine.py").write_text(REWARD)
    run, log = tmp_path / "run", tmp_path / "log"
    settings = {"fit.passes": 3, "fit.evaluations": 24, "optimise.evaluations": 8}
    words = train_words(run, settings, "--reward", f"{tmp_path / 'mine.py'}:reward")
    command = nursery.start(*words, log=log)
    wait_for(lambda: len(steps_of(run, stage)) > 2)
    command.send(number, to_group=to_group)
    asked = time.monotonic()
    assert command.wait() == code, command.said()
    assert time.monotonic() - asked < 30
    said = command.said()
    assert "Traceback" not in said
    assert f"{stage}: stopped after step" in said
    taken = steps_of(run, stage)
    assert not (run / "results.json").exists()
    # nothing of what was done is done again
    again = nursery.start(*words, log=tmp_path / "again")
    assert again.wait() == 0, again.said()
    assert f"{stage}: continuing from step {taken[-1]}" in again.said()
    for stage in ("fit", "round 1"):
        steps = steps_of(run, stage)
        first = steps[0]
        assert steps == list(range(first, first + len(steps)))


@pytest.mark.parametrize("chosen", ["round 1: candidates", "evaluate fit"])
def test_a_signal_between_the_stages_of_training(nursery, train_words, wait_for, tmp_path, chosen):
    slow = REWARD.replace("return", "import time; time.sleep(0.004); return")
    (tmp_path / "mine.py").write_text(slow)
    run = tmp_path / "run"
    settings = {"fit.passes": 1, "fit.evaluations": 1, "optimise.rounds": 1}
    words = train_words(run, settings, "--reward", f"{tmp_path / 'mine.py'}:reward")
    before = {"round 1: candidates": "fit", "evaluate fit": "distil 1"}[chosen]
    command = nursery.start(*words, log=tmp_path / "log")
    wait_for(lambda: before in stages_done(run))
    command.send(signal.SIGINT, to_group=True)
    assert command.wait() == 130, command.said()
    assert "Traceback" not in command.said()
    assert "continues" in command.said()
    again = nursery.start(*words, log=tmp_path / "again")
    assert again.wait() == 0, again.said()


def test_a_second_signal_leaves_at_once(nursery, train_words, wait_for, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "mine.py").write_text(  # quick while it is tried before the run has a folder
        "import pathlib, time\ndef reward(example, candidates):\n"
        f"    time.sleep(25 if pathlib.Path({str(run)!r}).exists() else 0)\n"
        "    return [1.0] * len(candidates)\n"
    )
    words = train_words(run, {"fit.evaluations": 16}, "--reward", f"{tmp_path / 'mine.py'}:reward")
    command = nursery.start(*words, log=tmp_path / "log")
    wait_for(lambda: len(list((run / "start").glob("*"))) > 3)
    time.sleep(1)  # in the reward of the first dev measurement by now
    command.send(signal.SIGINT)
    wait_for(lambda: "Once more leaves at once" in command.said())
    asked = time.monotonic()
    command.send(signal.SIGINT)
    assert command.wait() == 130
    assert time.monotonic() - asked < 20
    assert "Traceback" not in command.said()


def test_a_second_trainer_in_the_folder_is_refused(nursery, train_words, wait_for, tmp_path):
    run = tmp_path / "run"
    words = train_words(run, {}, "--reward", "f0.5")
    first = nursery.start(*words, log=tmp_path / "first")
    try:
        wait_for(lambda: len(steps_of(run, "fit")) > 0)
        first.send(signal.SIGSTOP)
        second = nursery.start(*words, log=tmp_path / "second")
        started = time.monotonic()
        assert second.wait() == 2, second.said()
        assert time.monotonic() - started < 60
        assert f"is in use by process {first.pid} on " in second.said()
        assert "Traceback" not in second.said()
    finally:
        first.send(signal.SIGCONT)
    assert first.wait() == 0, first.said()


@pytest.fixture(scope="module")
def stopped(nursery, train_words, wait_for, tmp_path_factory):
    """The words of a run that was stopped in its fit, its folder, data and reward."""
    place = tmp_path_factory.mktemp("stopped")
    (place / "mine.py").write_text(REWARD)
    words = train_words(place / "run", {}, "--reward", f"{place / 'mine.py'}:reward")
    data = place / "train.conll"
    data.write_bytes(Path(str(words[1])).read_bytes())
    words[1] = data
    command = nursery.start(*words, log=place / "log")
    wait_for(lambda: len(steps_of(place / "run", "fit")) > 1)
    command.send(signal.SIGTERM)
    assert command.wait() == 143, command.said()
    return place, words


def frozen(run: Path) -> dict[str, bytes]:
    # the lock's file is touched by whoever asks for it
    return {
        str(path): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("changed", ["settings", "data", "reward"])
def test_a_changed_run_is_refused_with_the_difference(nursery, stopped, tmp_path, changed):
    place, words = stopped
    files = {"data": place / "train.conll", "reward": place / "mine.py"}
    before = {path: path.read_bytes() for path in files.values()}
    more: list[str] = []
    if changed == "settings":
        more = ["--set", "fit.learning_rate=0.5", "--seed", "9"]
    elif changed == "data":
        files["data"].write_bytes(before[files["data"]].replace(b"\tO\n", b"\tB-other\n", 1))
    else:
        files["reward"].write_bytes(before[files["reward"]].replace(b"0.5", b"0.6"))
    as_it_was = frozen(place / "run")
    try:
        command = nursery.start(*words, *more, log=tmp_path / "log")
        assert command.wait() == 2, command.said()
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    said = command.said()
    assert "Traceback" not in said
    assert "--force" in said
    wanted = {
        "settings": ["fit.learning_rate was 0.001 and is 0.5 now", "seed was 1 and is 9 now"],
        "data": ["the training data: changed"],
        "reward": ["the reward: changed"],
    }[changed]
    for line in wanted:
        assert line in said
    assert frozen(place / "run") == as_it_was


def test_force_goes_on_and_is_recorded(nursery, stopped, tmp_path):
    place, words = stopped
    (place / "mine.py").write_text(REWARD.replace("0.5", "0.6"))
    command = nursery.start(*words, "--force", "--set", "fit.weight_decay=0", log=tmp_path / "log")
    assert command.wait() == 0, command.said()
    (forced,) = [line for line in lines_of(place / "run") if line.get("event") == "forced"]
    assert any(line.startswith("the reward:") for line in forced["differences"])
    assert "fit.weight_decay was 0.01 and is 0.0 now" in forced["differences"]
    assert "continuing from step" in command.said()
    assert os.path.exists(place / "run" / "results.json")
