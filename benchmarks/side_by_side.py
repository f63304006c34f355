"""What the comparisons share: contenders timed in alternation, peak memory, the machine's rates.

Nothing here knows what is compared. A contender is a function without arguments; all contenders of
a comparison run in one process, one after the other, and each round starts with another of them,
so that what else the machine does falls on all of them alike. What is reported are medians and the
medians of the rounds' ratios.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

MIB = 1 << 20


@dataclass
class Timings:
    """Seconds of each contender, one number per round, and peak memory where it was measured.

    Args:
        seconds: processor time of the whole process, per contender, one per round; the same round
            has the same place in all lists. On one thread and an idle machine it is the time that
            passes; where others use the machine too, it is what would have passed without them.
        elapsed: the time that did pass.
        memory: see `peak_memory`.
    """

    seconds: dict[str, list[float]]
    elapsed: dict[str, list[float]]
    memory: dict[str, float | None] = field(default_factory=dict)

    def ratio(self, slow: str, fast: str) -> float:
        """How many times longer `slow` takes: the median of the rounds' ratios."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return statistics.median(one / other for one, other in pairs)

    def as_json(self, fast: str) -> dict[str, Any]:
        """Medians, ratios to `fast`, their range, peak memory."""
        found: dict[str, Any] = {"rounds": len(next(iter(self.seconds.values())))}
        for name, seconds in self.seconds.items():
            ratios = [a / b for a, b in zip(seconds, self.seconds[fast], strict=True)]
            found[name] = {
                "seconds": statistics.median(seconds),
                "elapsed_s": statistics.median(self.elapsed[name]),
                "ratio": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
                "peak_mib": self.memory.get(name),
            }
        return found


def alternate(
    contenders: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    budget_s: float,
    warm_up: Callable[[], object] | None = None,
) -> Timings:
    """Run every contender once per round, the order turned by one place each round.

    Args:
        rounds: at most.
        budget_s: processor time; no further round starts when it would end behind this; one round
            always runs.
        warm_up: runs once before the first round.
    """
    if warm_up is not None:
        warm_up()
    names = list(contenders)
    timings = Timings(*({name: [] for name in names} for _ in range(2)))
    gc.freeze()  # looking through all that is loaded would fall on whoever runs when it is due
    begun = time.process_time()
    for number in range(rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            start, worked = time.perf_counter(), time.process_time()
            contenders[name]()
            timings.seconds[name].append(time.process_time() - worked)
            timings.elapsed[name].append(time.perf_counter() - start)
        spent = time.process_time() - begun
        if spent * (number + 2) / (number + 1) > budget_s:
            break
    gc.unfreeze()
    return timings


def peak_memory(contenders: Mapping[str, Callable[[], object]]) -> dict[str, float | None]:
    """MiB that one run of each needs on top of what the process holds; None where unknown.

    These runs are not timed: each starts with a heap that was given back, and pays for getting it
    again page by page.
    """
    found: dict[str, float | None] = {}
    for name, run in contenders.items():
        held = start_peak()
        run()
        peak = read_peak()
        found[name] = None if held is None or peak is None else (peak - held) / MIB
    return found


def _status(name: str) -> int | None:
    """A number of bytes from /proc/self/status; None where there is none (not Linux)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(name + ":")]
    return int(found[0]) * 1024 if found else None


def start_peak() -> int | None:
    """Give freed memory back, forget the peak so far; bytes that are resident now."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier runs freed must not hide new needs
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    except OSError:
        return None
    return _status("VmRSS")


def read_peak() -> int | None:
    """The most bytes that were resident since `start_peak`."""
    return _status("VmHWM")


@dataclass(frozen=True)
class Rates:
    """What one thread of this machine does at best.

    Args:
        gflops: float32 matrix products of 1,024 x 1,024, 1e9 operations a second, 2 per product.
        gbytes: copying 256 MiB, read and write counted, in 1e9 bytes a second.
    """

    gflops: float
    gbytes: float

    def seconds(self, operations: float, n_bytes: float) -> float:
        """The least time for so many operations and bytes, whichever takes longer."""
        return max(operations / (self.gflops * 1e9), n_bytes / (self.gbytes * 1e9))


def measure_rates(*, repeats: int = 9) -> Rates:
    """The rates of this machine, now: the best of some repeats."""
    size = 1024
    left, right = torch.randn(size, size), torch.randn(size, size)
    source = torch.ones(64 * MIB)
    copied = torch.empty_like(source)
    products, copies = [], []
    for _ in range(repeats):
        start = time.process_time()
        left @ right
        middle = time.process_time()
        copied.copy_(source)
        products.append(middle - start)
        copies.append(time.process_time() - middle)
    return Rates(2 * size**3 / min(products) / 1e9, 2 * 4 * source.numel() / min(copies) / 1e9)


def machine(*, peers: Sequence[str] = ()) -> dict[str, Any]:
    """CPU, cores, threads and versions, for the head of a table."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    flags = torch.backends.cpu.get_cpu_capability()
    versions = {"python": platform.python_version()}
    for name in ("groot-nlp", "torch", "transformers", *peers):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "cpu": f"{model} ({flags})",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": versions,
    }


def machine_line(facts: Mapping[str, Any]) -> str:
    """The same as one line of text."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['threads']} thread per process, load"
        f" average {facts['load_average']} at the start; {versions}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table.

    >>> print(table(["a", "b"], [[1, "x"]]))
    | a | b |
    | --- | --- |
    | 1 | x |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def write_section(page: Path, name: str, text: str, *, title: str) -> None:
    """Put a text between the marks of its section in a page; other sections stay as they are."""
    start, end = f"<!-- {name}: written by benchmarks/{name}.py -->", f"<!-- end of {name} -->"
    old = page.read_text(encoding="utf-8") if page.is_file() else f"# {title}\n"
    section = f"{start}\n{text.strip()}\n{end}\n"
    if start in old:
        before, _, rest = old.partition(start)
        after = rest.partition(end)[2].lstrip("\n")
        new = before + section + (f"\n{after}" if after else "")
    else:
        new = old.rstrip("\n") + "\n\n" + section
    page.write_text(new, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write numbers for other programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
