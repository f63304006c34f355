import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from groot.engine.interrupts import catch_interrupts

SCRIPT = """
import sys, time
from groot.engine.interrupts import catch_interrupts
with catch_interrupts() as interrupt:
    for step in range(600):
        if step == 0:
            print("ready", flush=True)
        time.sleep(float(sys.argv[1]))
        if interrupt.requested:
            print("saved", flush=True)
            interrupt.leave()
"""


def start(step_s: float) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(step_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_step_end_and_the_run_save(number, code):
    process = start(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "saved\n")
    assert "Traceback" not in err
    assert "finishing the step" in err


def test_the_second_signal_leaves_at_once():
    process = start(60)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    started = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert time.perf_counter() - started < 15  # of the 60 that are left
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_after_the_block_signals_do_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with catch_interrupts() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
        assert interrupt.exit_code == 143
        with pytest.raises(SystemExit) as caught:
            interrupt.leave()
        assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_may_use_it_too():
    seen = []

    def work():
        with catch_interrupts() as interrupt:
            seen.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
