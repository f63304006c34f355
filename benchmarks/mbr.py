"""How much faster expected rewards are counted than asked for pair by pair.

Candidates are drawn as a search finds them: variations of one labelling of 10 words.
Each comparison alternates the two ways in one process and takes medians. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from groot.outputs.choose import expected_rewards
from groot.rewards import Reward, parse_rewards
from groot.types import Candidate, Example, Span

WORDS = 10
COSTS = "default: {missing: 2, spurious: 1, wrong_boundary: 0.5}\na: {missing: 5}\n"


def main() -> None:
    """Time every reward at every number of candidates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    rows = []
    with TemporaryDirectory() as folder:
        costs = Path(folder) / "costs.yaml"
        costs.write_text(COSTS, encoding="utf-8")
        for name, specs in {
            "f0.5": ["f0.5"],
            "exact": ["exact"],
            "f0.5=0.8 exact=0.2": ["f0.5=0.8", "exact=0.2"],
            "cost table": [str(costs)],
        }.items():
            for k in given.candidates:
                rows.append({"reward": name, "K": k, **compare(specs, k, repeats=given.repeats)})
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        "| reward | K | counted, ms | pair by pair, ms | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for row in rows:
        print(
            f"| {row['reward']} | {row['K']} | {row['counted_ms']:.2f} | {row['pairs_ms']:.1f} "
            f"| {row['ratio']:.0f} |"
        )


def compare(specs: list[str], k: int, *, repeats: int) -> dict[str, float]:
    """Median milliseconds per example of both ways, and their ratio; they must agree."""
    rng = random.Random(k)
    example = Example("x" * WORDS)
    counted, pairs = parse_rewards(specs), _PairByPair(parse_rewards(specs))
    seconds: dict[str, list[float]] = {"counted": [], "pairs": []}
    for _ in range(repeats):
        some = draw(rng, k)
        values = {}
        for name, reward in (("counted", counted), ("pairs", pairs)):
            start = time.perf_counter()
            values[name] = expected_rewards(example, some, reward)
            seconds[name].append(time.perf_counter() - start)
        for one, other in zip(values["counted"], values["pairs"], strict=True):
            assert one is not None
            assert other is not None
            assert abs(one - other) < 1e-9
    median = {name: 1e3 * statistics.median(times) for name, times in seconds.items()}
    ratios = [p / c for p, c in zip(seconds["pairs"], seconds["counted"], strict=True)]
    return {
        "counted_ms": median["counted"],
        "pairs_ms": median["pairs"],
        "ratio": statistics.median(ratios),
    }


class _PairByPair(Reward):
    """The same reward, asked once with each candidate in the place of the gold."""

    def __init__(self, reward: Reward) -> None:
        super().__init__(reward.parts, reward.weights)

    def pairwise(self, candidates: object) -> None:
        return None


def draw(rng: random.Random, n: int) -> list[Candidate]:
    """Distinct labellings: each differs from the first in a boundary, a label or a span or two."""
    first = (Span(1, 3, "a"), Span(4, 5, "b"), Span(7, 9, "c"))
    found: dict[tuple[Span, ...], None] = {first: None}
    while len(found) < n:
        spans = list(rng.choice(list(found)))
        if spans and rng.random() < 0.8:
            spans.remove(rng.choice(spans))
        start = rng.randrange(WORDS)
        new = Span(start, min(start + rng.randint(1, 3), WORDS), rng.choice("abc"))
        if all(new.end <= one.start or one.end <= new.start for one in spans):
            spans.append(new)
        found[tuple(sorted(spans, key=lambda span: span.start))] = None
    return [Candidate("", spans, log_p=-0.2 * rank) for rank, spans in enumerate(found)]


if __name__ == "__main__":
    main()
