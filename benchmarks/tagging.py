"""Train on public benchmarks and print the table of the README.

Each line of the table is one stage of one run of `groot train NAME --reward f0.5`. A run that is
finished is not trained again, so the table can be printed at any time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

STAGES = {
    "fit": "fitted",
    "fit_mbr": "fitted + MBR",
    "optimised": "optimised",
    "optimised_mbr": "optimised + MBR",
}
RANKS = range(1, 6)
COLUMNS = ["data", "stage", "P", "R", "F1", "F0.5", *(f"reward at {rank}" for rank in RANKS)]
COLUMNS += ["oracle@5", "p (F0.5)", "minutes"]


def main() -> None:
    """Train what is not trained yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", help="benchmarks: atis, snips, ...")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given, more = parser.parse_known_args()
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for name in given.names:
        folder = given.out / f"{name}-seed-{given.seed}"
        train(name, folder, seed=given.seed, more=more)
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        lines += rows(name, results)
    print("\n".join(lines))


def train(name: str, folder: Path, *, seed: int, more: list[str]) -> None:
    """Train one labeler, or continue; `more` are further arguments of groot train."""
    command = [sys.executable, "-m", "groot.cli", "train", name, "--reward", "f0.5"]
    command += ["--out", str(folder), "--seed", str(seed), *more]
    subprocess.run(command, check=True, stdout=sys.stderr)


def rows(name: str, results: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one benchmark, one per stage."""
    minutes = {stage: results["seconds"].get(stage) for stage in ("fit", "optimise")}
    p_value = results["paired"]["metric"]["p_value"]
    for stage, title in STAGES.items():
        found = results[stage]
        numbers = [found["precision"], found["recall"], found["f1"], found["metric"]]
        numbers += [*found["reward"]["by_rank"], found["reward"]["oracle"]]
        cells = ["-" if number is None else f"{number:.3f}" for number in numbers]
        cells.append(f"{p_value:.4f}" if stage == "optimised" and p_value is not None else "")
        took = minutes.get({"fit": "fit", "optimised": "optimise"}.get(stage, ""))
        cells.append("" if took is None else f"{took / 60:.1f}")
        yield f"| {name} | {title} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
