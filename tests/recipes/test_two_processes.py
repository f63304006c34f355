import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("two_processes.py")


def launch(out: Path, *, micro_batch_size: int) -> None:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--main_process_port", free_port()]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    command += [str(SCRIPT), str(out), str(micro_batch_size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def results(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_two_processes_take_the_steps_of_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    runpy.run_path(str(SCRIPT))["main"](tmp_path / "one", None)
    launch(tmp_path / "two", micro_batch_size=2)
    (one,), two = results(tmp_path / "one"), results(tmp_path / "two")
    assert [one["processes"], *(each["processes"] for each in two)] == [1, 2, 2]
    for each in two:
        np.testing.assert_allclose(each["steps"], one["steps"], atol=1e-5, rtol=1e-5)
        for got, wanted in zip(each["weights"], one["weights"], strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=1e-5)
        assert each["stops"] == [True, True]
    # The two copies of the weights must not drift apart by a single bit.
    assert two[0]["weights"] == two[1]["weights"]
