"""One text at a time: what guessed beams and strips of weights save, each switched off in turn.

    python benchmarks/one_text.py
    python benchmarks/one_text.py --shape embedded --page docs/benchmarks.md

Steps are one pass per word; plain products read the weights as they lie for many rows. All ways
have the same lists, which is checked. Weights are random.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contenders import SHAPES, Texts, make_shape, ready, search
from side_by_side import Timings, alternate, machine, machine_line, table, write_section

from groot.models import text_model
from groot.models.t5 import weights
from groot.search import label_search
from search import one_thread, read, spread

WAYS = {  # whether beams are guessed, and whether there are strips
    "guessed beams, strips": (True, True),
    "guessed beams": (True, False),
    "steps, strips": (False, True),
    "steps": (False, False),
}


@contextmanager
def switched(*, guesses: bool, strips: bool) -> Iterator[None]:
    """Search with or without either; guesses also where they would not be made."""
    holders = (label_search, "WIDEST_TREE"), (text_model, "LARGE"), (weights, "FEW")
    before = [getattr(holder, name) for holder, name in holders]
    settings = (before[0] if guesses else 0, 0, before[2] if strips else 0)
    for (holder, name), value in zip(holders, settings, strict=True):
        setattr(holder, name, value)
    try:
        yield
    finally:
        for (holder, name), value in zip(holders, before, strict=True):
            setattr(holder, name, value)


def one_by_one(texts: Texts, k: int, way: str) -> Callable[[], list[Any]]:
    """A search of each text by itself."""
    guesses, strips = WAYS[way]

    def run() -> list[Any]:
        with switched(guesses=guesses, strips=strips):
            return [search(texts.part([place]), k)[0] for place in range(len(texts.inputs))]

    return run


def compare(texts: Texts, k: int, rounds: int) -> Timings:
    """All ways in alternation over all texts, after one run of each that must agree."""
    runs = {way: one_by_one(texts, k, way) for way in WAYS}
    paths = [[one.paths for one in run()] for run in runs.values()]
    if any(other != paths[0] for other in paths):
        raise SystemExit(f"k = {k}: the ways differ in what they find")
    return alternate(runs, rounds=rounds, budget_s=120.0)


def main() -> None:
    """Measure, print, write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["t5-small", "embedded"])
    parser.add_argument("--data", default="mit_restaurant")
    parser.add_argument("--k", nargs="+", type=int, default=[1, 5, 16])
    parser.add_argument("--texts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--page", type=Path, help="Markdown page with a section to replace")
    given = parser.parse_args()
    facts, rows = machine(), []
    with one_thread():
        for shape in given.shape:
            labeler = make_shape(shape, read([given.data], "train"))
            labeler.model.eval()
            texts = spread(ready(labeler, read([given.data], "test")), given.texts)
            for k in given.k:
                timings = compare(texts, k, given.rounds)
                each = statistics.median(timings.seconds["steps"]) / given.texts
                ratios = [f"{timings.ratio('steps', way):.2f}" for way in WAYS if way != "steps"]
                rows.append([shape, k, f"{1e3 * each:.1f}", *ratios])
    command = " ".join(["python benchmarks/one_text.py", *sys.argv[1:]])
    text = "\n\n".join(
        [
            "## One text at a time",
            f"```\n{command}\n```",
            machine_line(facts),
            f"Search of {given.texts} texts of {given.data}, one by one, random weights, one"
            " thread: milliseconds a text with a step per word and plain products, and how many"
            f" times as fast the other ways are, medians over {given.rounds} rounds in"
            " alternation. All find the same lists. At k = 1 all ways guess and"
            " check greedily, so that only strips differ. groot guesses beams where weights are"
            " many (not on the embedded shape), and has strips of large matrices only.",
            table(["shape", "k", "steps, ms", *list(WAYS)[:-1]], rows),
        ]
    )
    print(text)
    if given.page is not None:
        write_section(given.page, "one_text", text, title="Benchmarks")


if __name__ == "__main__":
    main()
