"""Reward functions that do what they must not, told by the example's text."""

import ctypes
import os
import re
import sys
import time


def by_text(example, candidates):
    return FAULTS.get(example.text, fine)(candidates)


def two_forms(prompts, completions, answer, **columns):
    return [float(said == wanted) for said, wanted in zip(completions, answer, strict=True)]


def edits_its_inputs(example, candidates):
    candidates.clear()
    example.columns["answer"] = "edited"
    return [1.0]


def prints_much(completions, **columns):
    for _ in range(100):
        print("x" * 1_000_000)
    sys.stderr.write("and this\n")
    os.write(1, b"from below\n")
    return [1.0] * len(completions)


def fine(candidates):
    return [float(len(candidate.target)) for candidate in candidates]


def busy(candidates):
    while True:
        pass


def blow_up(candidates):
    re.match(r"(a+)+$", "a" * 64 + "b")


def hold_the_lock(candidates):
    ctypes.PyDLL(None).sleep(60)  # PyDLL keeps the interpreter's lock


def raise_error(candidates):
    raise ValueError("boom")


def crash(candidates):
    ctypes.string_at(0)


def eat_memory(candidates):
    return [len(bytearray(8 * 2**30))]


FAULTS = {
    "sleep": lambda candidates: time.sleep(60),
    "busy": busy,
    "regex": blow_up,
    "lock": hold_the_lock,
    "raise": raise_error,
    "exit": lambda candidates: sys.exit("bye"),
    "os exit 3": lambda candidates: os._exit(3),
    "os exit 0": lambda candidates: os._exit(0),
    "segfault": crash,
    "memory": eat_memory,
    "inf": lambda candidates: [float("inf")] * len(candidates),
    "nan": lambda candidates: [float("nan")] * len(candidates),
    "none": lambda candidates: [None] * len(candidates),
    "short": lambda candidates: fine(candidates)[:-1],
    "generator": lambda candidates: (value for value in fine(candidates)),
}
