"""What a command does with memory that it has freed."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of the C library's malloc.h
KEPT = 1 << 30  # bytes
OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")  # of who starts it


def keep_freed_memory() -> bool:
    """Let the process keep up to 1 GiB that it has freed, for what it needs next.

    The C library gives large freed blocks back to the system, which has to clear each page of them
    when they are wanted again; `benchmarks/search.py --give-back` shows what that costs. The peak
    of memory stays the same. What the environment asks of the C library is left as it is.

    Source: mallopt(3).

    Returns:
        whether it does: with glibc, unless the environment has its own way.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in OWN):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT) and mallopt(M_TRIM_THRESHOLD, KEPT))
