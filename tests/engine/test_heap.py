"""What a process keeps of the memory that it has freed, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from groot.engine.heap import OWN

SCRIPT = """
import ctypes, resource, sys, torch
from groot.engine.heap import M_MMAP_THRESHOLD, keep_freed_memory
mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
if mallopt is None:
    print("unknown")
    sys.exit()
mallopt(M_MMAP_THRESHOLD, 65536)  # every large block is given back, unless told otherwise
if sys.argv[1] == "kept":
    told = keep_freed_memory()
    assert told == (sys.argv[2] == "free")
def use():
    return [torch.empty(6_000_000).fill_(1.0) for _ in range(4)]
for _ in range(3):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(way: str, **environment: str) -> int:
    """Of a process that allocates and frees large blocks."""
    command = [sys.executable, "-c", SCRIPT, way, "set" if environment else "free"]
    own = {name: value for name, value in os.environ.items() if name not in OWN}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**own, **environment}
    )
    if done.stdout.strip() == "unknown":
        pytest.skip("the C library has no mallopt")
    return int(done.stdout)


def test_freed_memory_is_used_again_without_a_page_fault():
    assert page_faults("kept") < 1000 < page_faults("given back")


def test_what_the_environment_asks_of_the_c_library_stays():
    assert page_faults("kept", MALLOC_MMAP_THRESHOLD_="65536") > 1000
