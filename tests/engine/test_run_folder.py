import json
import logging
import os
import subprocess
import sys
import time

import pytest

from groot.engine.marks import Marks
from groot.engine.run_folder import RunFolder
from groot.errors import CheckpointError, OutputError

MARKS = Marks(
    {"the training data": "ab12", "the model": None},
    {"fit": {"lr": 0.001}, "reward": ["f0.5"], "torch": "2"},
)


def lines(path) -> list[dict]:
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


# One owner at a time (T7)

OTHER = """
import sys, time
from pathlib import Path
from groot.engine.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_another_process_refuses_at_once_and_names_the_owner(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "locked\n"
        started = time.perf_counter()
        with pytest.raises(OutputError, match=f"in use by process {other.pid} on "):
            RunFolder(tmp_path / "run").__enter__()
        assert time.perf_counter() - started < 20
    finally:
        other.kill()
        other.communicate()
    # A killed owner leaves its files, but no lock.
    with RunFolder(tmp_path / "run") as run:
        owner = json.loads((run.path / ".owner.json").read_text())
        assert owner["pid"] == os.getpid()


def test_the_lock_goes_with_the_block(tmp_path):
    with (
        RunFolder(tmp_path / "run"),
        pytest.raises(OutputError, match=f"process {os.getpid()}"),
    ):
        RunFolder(tmp_path / "run").__enter__()
    with RunFolder(tmp_path / "run"):
        pass


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match=r"'thesis\.tex'"):
        RunFolder(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex").__enter__()


def test_leftovers_go_at_the_start(tmp_path):
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)
    (tmp_path / "tmp-model-1").mkdir()
    with RunFolder(tmp_path):
        assert not (tmp_path / "tmp-model-1").exists()


def test_a_process_that_is_no_writer_writes_nothing(tmp_path):
    with RunFolder(tmp_path / "run", is_writer=False) as run:
        run.check_same_run(MARKS)
        run.log({"step": 1})
        run.rewind_log()
        run.mark_done("fit")
        assert run.sync_log() == 0
        assert not run.is_done("fit")
    assert not (tmp_path / "run").exists()


# The same run (T8)


def changed(contents=None, **settings):
    return Marks({**MARKS.contents, **(contents or {})}, {**MARKS.settings, **settings})


def test_the_same_run_goes_on(tmp_path):
    for _ in range(2):
        with RunFolder(tmp_path) as run:
            run.check_same_run(changed(several=(1, 2), nan=float("nan")))


@pytest.mark.parametrize(
    ("marks", "line"),
    [
        (changed(fit={"lr": 0.002}), "fit.lr was 0.001 and is 0.002 now"),
        (changed(reward=["f1"]), "reward was ['f0.5'] and is ['f1'] now"),
        (
            changed({"the training data": "cd34"}),
            "the training data: changed",
        ),
        (changed({"the model": "ef56"}), "the model: not there before"),
        (changed(torch="3"), "torch was '2' and is '3' now"),
        (changed(extra=True), "extra was absent and is True now"),
    ],
)
def test_another_run_is_refused_with_what_differs_unless_forced(tmp_path, marks, line):
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)
        run.log({"step": 1})
    with RunFolder(tmp_path) as run:
        with pytest.raises(CheckpointError) as caught:
            run.check_same_run(marks)
        message = str(caught.value)
        assert f"\n  {line}\n" in message
        assert "--force" in message
        assert lines(tmp_path) == [{"step": 1}]
        run.check_same_run(marks, force=True)
    assert lines(tmp_path)[1]["event"] == "forced"
    assert lines(tmp_path)[1]["differences"] == [line]
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["forced"][0]["differences"] == [line]
    with RunFolder(tmp_path) as run:
        run.check_same_run(marks)
        run.rewind_log()  # the steps go, what was forced stays
    assert [entry.get("event") for entry in lines(tmp_path)] == ["forced"]


def test_all_that_was_ever_forced_stays_on_record(tmp_path):
    versions = ("2", "3", "4")
    for version in versions:
        with RunFolder(tmp_path) as run:
            run.check_same_run(changed(torch=version), force=True)
    record = json.loads((tmp_path / "run.json").read_text())
    assert [entry["differences"] for entry in record["forced"]] == [
        ["torch was '2' and is '3' now"],
        ["torch was '3' and is '4' now"],
    ]


def test_a_run_of_an_older_version_is_refused_with_a_clear_word_unless_forced(tmp_path):
    with RunFolder(tmp_path) as run:
        run.mark_done("fit")
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, "fingerprint": {"settings": {}}}))
    with RunFolder(tmp_path) as run:
        with pytest.raises(CheckpointError, match="an older version of groot started it"):
            run.check_same_run(MARKS)
        run.check_same_run(MARKS, force=True)
    assert "fingerprint" not in json.loads((tmp_path / "run.json").read_text())
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)  # from now on it is a run like others
        assert run.is_done("fit")
        with pytest.raises(CheckpointError, match="torch was '2'"):
            run.check_same_run(changed(torch="3"))


def test_a_damaged_record_is_an_error_and_not_a_new_run(tmp_path):
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)
        (tmp_path / "run.json").write_text('{"fing')
        with pytest.raises(CheckpointError, match="damaged"):
            run.check_same_run(MARKS)


# Stages


def test_stages_stay_done(tmp_path):
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)
        assert not run.is_done("fit")
        with pytest.raises(CheckpointError, match="'fit' is not done"):
            run.info_of("fit")
        run.mark_done("fit", {"dev f1": 0.5, "steps": 12})
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)
        assert run.is_done("fit")
        assert not run.is_done("optimise")
        assert run.info_of("fit") == {"dev f1": 0.5, "steps": 12}


# What stages wrote


@pytest.fixture
def finished(tmp_path):
    """A run whose stages wrote a folder and a file."""
    with RunFolder(tmp_path / "run") as run:
        run.check_same_run(MARKS)
        for name, content in (
            ("fitted/model.safetensors", b"weights"),
            ("fitted/more/tokenizer.json", b"{}"),
            ("candidates/round-1.parquet", b"rows"),
        ):
            (run.path / name).parent.mkdir(parents=True, exist_ok=True)
            (run.path / name).write_bytes(content)
        run.mark_done("fit", wrote=["fitted"])
        run.mark_done("candidates of round 1", wrote=["candidates/round-1.parquet"])
    return tmp_path / "run"


def test_what_a_stage_wrote_is_read_again(finished):
    with RunFolder(finished) as run:
        assert run.written("fitted") == finished / "fitted"
        assert run.written("candidates/round-1.parquet").read_bytes() == b"rows"
        (finished / "fitted" / "calibration.json").write_text("{}")  # what came later is no matter
        assert run.written("fitted") == finished / "fitted"
        with pytest.raises(CheckpointError, match="was not written by a finished stage"):
            run.written("model")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fitted", "fitted/model.safetensors"),
        ("fitted", "fitted/more/tokenizer.json"),
        ("candidates/round-1.parquet", "candidates/round-1.parquet"),
    ],
)
@pytest.mark.parametrize("how", ["first bit", "last bit", "cut", "missing"])
def test_one_bit_of_what_a_stage_wrote_is_missed(finished, name, file, how):
    content = bytearray((finished / file).read_bytes())
    if how == "missing":
        (finished / file).unlink()
    elif how == "cut":
        (finished / file).write_bytes(content[:-1])
    else:
        content[0 if how == "first bit" else -1] ^= 1
        (finished / file).write_bytes(content)
    others = {"fitted", "candidates/round-1.parquet"} - {name}
    with RunFolder(finished) as run:
        with pytest.raises(CheckpointError, match=f"{file}: damaged, missing or changed"):
            run.written(name)
        for other in others:
            run.written(other)


def test_a_stage_that_writes_again_is_held_to_what_it_wrote_last(finished):
    with RunFolder(finished) as run:
        (finished / "fitted" / "model.safetensors").write_bytes(b"others")
        (finished / "fitted" / "more" / "tokenizer.json").unlink()
        run.mark_done("fit", wrote=["fitted"])
        assert run.written("fitted")


# The log


def test_the_log_of_a_resumed_run_equals_that_of_an_unbroken_one(tmp_path):
    with RunFolder(tmp_path) as run:
        run.check_same_run(MARKS)
        run.log({"step": 1, "loss": float("nan")})
        run.log({"step": 2, "loss": 0.5})
        position = run.sync_log()
        run.log({"step": 3, "loss": 0.25})
        os.write(run._open_log(), b'{"step": 4, "lo')  # killed while it wrote
    with RunFolder(tmp_path) as run:
        run.rewind_log(position)
        run.log({"step": 3, "loss": 0.25})
    assert lines(tmp_path) == [
        {"step": 1, "loss": None},
        {"step": 2, "loss": 0.5},
        {"step": 3, "loss": 0.25},
    ]


def test_without_a_checkpoint_the_log_goes_back_to_the_last_finished_stage(tmp_path):
    with RunFolder(tmp_path) as run:
        run.log({"step": 1})
        run.mark_done("fit")
        run.log({"step": 1, "stage": "round 1"})
        run.mark_done("round 1")
        run.log({"step": 1, "stage": "round 2"})
    with RunFolder(tmp_path) as run:
        run.rewind_log()
        assert lines(tmp_path) == [{"step": 1}, {"step": 1, "stage": "round 1"}]
        run.rewind_log(0)
        assert lines(tmp_path) == []


def test_a_log_that_lost_lines_is_told(tmp_path, caplog):
    with RunFolder(tmp_path) as run:
        run.log({"step": 1})
        with caplog.at_level(logging.WARNING):
            run.rewind_log(10_000)
        assert "lines are missing" in caplog.text
        assert lines(tmp_path) == [{"step": 1}]
