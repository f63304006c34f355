"""What a process keeps of the memory that it has freed, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from groot.cli.heap import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    print("unknown")
    sys.exit()
def use():
    return [torch.empty(6_000_000).fill_(1.0) for _ in range(4)]
for _ in range(3):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(way: str) -> str:
    """Of a process whose C library gives every large block back, unless told otherwise."""
    command = [sys.executable, "-c", SCRIPT, way]
    given_back = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=given_back)
    return done.stdout.strip()


def test_freed_memory_is_used_again_without_a_page_fault():
    kept = page_faults("kept")
    if kept == "unknown":
        pytest.skip("the C library has no mallopt")
    assert int(kept) < 1000 < int(page_faults("given back"))
