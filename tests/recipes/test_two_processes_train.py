"""`groot train` in two processes takes the steps of one: losses, candidates, who writes."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

# What a step draws in order differs between processes, so there is none of it; what is drawn for
# an example is the same wherever the example is.
SETTINGS = {
    "fit.dropout": 0,
    "optimise.dropout": 0,
    "fit.mention_swap": 0.3,
    "fit.word_dropout": 0.1,
    "fit.word_cuts": 0.1,
    "fit.batch_size": 7,  # unequal shares
    "optimise.batch_size": 7,
    "optimise.rounds": 1,
    # the best of nearly equal candidates may be another one where sums round otherwise
    "distil.rounds": 0,
}
# Tells in a file which process and folder each writing happens in.
WATCH = """
import os, sys
from groot.cli import main
import groot.engine.run_folder as run_folder
from pathlib import Path

told = Path(sys.argv.pop(1))
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "/run/" in arguments[0]:
        mode, flags = arguments[1], arguments[2]
        if flags & (os.O_WRONLY | os.O_RDWR):
            with os.fdopen(os.dup(out), "a") as file:
                file.write(arguments[0] + "\\n")
    if event in ("os.rename", "os.mkdir", "os.remove") and "/run/" in str(arguments[0]):
        with os.fdopen(os.dup(out), "a") as file:
            file.write(f"{event} {arguments[0]}\\n")
out = os.open(told / os.environ["RANK"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(watch)
sys.argv[0] = "groot"
main()
"""


def launch(folder: Path, words: list[object]) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    (folder / "watched.py").write_text(WATCH)
    (folder / "told").mkdir()
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--main_process_port", port]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    command += [str(folder / "watched.py"), str(folder / "told"), *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:  # the processes wait for each other
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def runs(nursery, train_words, tmp_path_factory):
    """The folders of a run in one process and of one in two."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    alone = nursery.start(*train_words(one / "run", SETTINGS, "--reward", "f0.5"), log=one / "log")
    said = launch(two, train_words(two / "run", SETTINGS, "--reward", "f0.5"))
    assert alone.wait() == 0, alone.said()
    return one / "run", two / "run", said


def lines_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_close(got: dict, wanted: dict) -> None:
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        if name == "step_time":
            continue
        if isinstance(value, float) and math.isfinite(value):
            assert got[name] == pytest.approx(value, abs=1e-5, rel=1e-5), (name, got, wanted)
        else:
            assert got[name] == value, (name, got, wanted)


def test_every_line_of_the_log_is_the_same(runs):
    one, two = (lines_of(run) for run in runs[:2])
    assert {line["stage"] for line in one} == {"fit", "round 1: candidates", "round 1"}
    assert len(one) == len(two)
    for got, wanted in zip(two, one, strict=True):
        assert_close(got, wanted)


def test_the_candidates_are_the_same(runs):
    rows = [
        parquet.read_table(run / "candidates" / "round-1.parquet").to_pylist() for run in runs[:2]
    ]
    assert len(rows[0]) == len(rows[1]) > 100
    for wanted, got in zip(*rows, strict=True):
        assert got["log_p"] == pytest.approx(wanted["log_p"], abs=1e-4)
        for name in ("example_id", "target", "reward", "source", "parent", "note"):
            assert got[name] == wanted[name]
        parts = json.loads(wanted["rewards"])
        assert json.loads(got["rewards"]) == pytest.approx(parts, abs=1e-5)


def test_the_results_are_the_same(runs):
    one, two = (json.loads((run / "results.json").read_text()) for run in runs[:2])
    assert one["rewards_missing"] == two["rewards_missing"]
    for name in ("fit", "fit_mbr", "optimised", "optimised_mbr"):
        assert two[name]["f1"] == pytest.approx(one[name]["f1"], abs=1e-6)
        assert two[name]["reward"]["by_rank"] == pytest.approx(
            one[name]["reward"]["by_rank"], abs=1e-6
        )


def test_only_the_first_process_writes_and_speaks(runs):
    told = runs[1].parent / "told"
    assert len((told / "0").read_text().splitlines()) > 20
    assert (told / "1").read_text() == ""
    lines = [line for line in runs[2].splitlines() if " done in " in line]
    assert len(lines) == len(set(lines)) == 5  # fit, candidates, round 1, twice evaluate
    names = [sorted(str(p.relative_to(run)) for p in run.rglob("*")) for run in runs[:2]]
    assert names[0] == names[1]
