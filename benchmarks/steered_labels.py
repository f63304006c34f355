"""Frozen labelers under guides, beside MBR and the labeler optimised with GROOT.

    python benchmarks/steered_labels.py --run mit_restaurant=runs/restaurant --run atis=runs/atis
        --out steered [--page docs/steered-labels.md]

A run is what groot train left: its fitted labeler is frozen; its optimised one, where there is one,
is the row to compare with. Guides learn from the dev split of the benchmark (groot steer) and
choose strength, weight and MBR or not there; all numbers are of its test split. Each row is kept in
OUT/NAME/ as soon as it is done; the same command again goes on with what is missing.

Rows: unguided (most probable target), unguided + MBR of 16 candidates, args (a reward model of
whole targets), pargs (of prefixes, by Bradley-Terry), steer (groot steer: the reward adds up token
by token) greedily, with beams, and with MBR under its probabilities; GROOT-optimised, and with MBR.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from side_by_side import write_json, write_section

from groot.data.benchmarks import read_benchmark
from groot.data.candidates import CandidateRow
from groot.data.preferences import preferences_of_candidates
from groot.evaluation.corpus_metrics import MICRO_PRECISION, MICRO_RECALL, MicroF
from groot.evaluation.significance import mean_of, metric_of, paired_difference
from groot.guides import GUIDES, Guide
from groot.guides.saved_guides import load_guide
from groot.outputs.items import Counts, count_by_label
from groot.recipes.reward_model import RewardModelSettings, train_reward_model
from groot.recipes.steer import train_steering
from groot.reward_models.prefix_model import load_reward_model
from groot.rewards import Reward, parse_rewards
from groot.types import Candidate, Example
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler

WIDTH = 8
WEIGHTS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # of args and pargs, tried on dev
ROWS = {
    "unguided": "unguided",
    "unguided_mbr": "unguided + MBR",
    "args": "args, beams",
    "pargs_greedy": "pargs, greedy",
    "pargs": "pargs, beams",
    "steer_greedy": "steer, greedy",
    "steer": "steer, beams",
    "steer_mbr": "steer, beams + MBR",
    "optimised": "GROOT-optimised",
    "optimised_mbr": "GROOT-optimised + MBR",
}


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--page", type=Path, help="a page whose section is written")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for run in asked.run:
        name, _, folder = run.partition("=")
        results[name] = measure(name, Path(folder), asked.out / name, asked.rows)
    write_json(asked.out / "steered.json", results)
    text = as_markdown(results)
    print(text)
    if asked.page is not None:
        write_section(asked.page, "steered_labels", text, title="Steering a frozen labeler")


def measure(name: str, run: Path, out: Path, rows: Sequence[str]) -> dict[str, Any]:
    """The rows of one benchmark; those that are there already are read."""
    out.mkdir(parents=True, exist_ok=True)
    examples = read_benchmark(name, "test").examples
    with parse_rewards(["f0.5"]) as reward:
        found = {}
        for row in rows:
            path = out / f"{row}.json"
            is_possible = (run / folder_of(row)).is_dir()
            if is_possible and not path.is_file():
                write_json(path, one_row(row, name, run, out, examples, reward))
            if path.is_file():
                found[row] = json.loads(path.read_text(encoding="utf-8"))
    steered = out / "steer" / "results.json"
    return {
        "texts": len(examples),
        "steer": json.loads(steered.read_text("utf-8")) if steered.is_file() else None,
        "rows": {row: summary(one, found["unguided"]) for row, one in found.items()},
        "over_mbr": summary(found["steer_mbr"], found["unguided_mbr"])
        if {"steer_mbr", "unguided_mbr"} <= set(found)
        else None,
    }


def one_row(
    row: str, name: str, run: Path, out: Path, examples: list[Example], reward: Reward
) -> dict[str, Any]:
    """Rewards, counts and time of one way to label the test texts."""
    labeler = load_labeler(run / folder_of(row))
    settings: dict[str, Any] = {"probability_candidates": 0}
    if row.endswith("_mbr"):
        settings |= {"choose": "mbr", "reward": ["f0.5"]}
    made: dict[str, Any] = {}
    kind = row.removesuffix("_mbr").removesuffix("_greedy")
    if kind in ("args", "pargs", "steer"):
        width = 1 if row.endswith("_greedy") else WIDTH
        guide, made = guide_of(kind, name, run, out, labeler, reward, width)
        settings |= {"guide": guide, "guide_width": width}
    labeler.label(examples[:32], **settings)  # what is made once is made here
    started = time.process_time()
    found = labeler.label(examples, **settings)
    seconds = time.process_time() - started
    return {**made, "texts_per_second": len(examples) / seconds, **numbers(examples, found, reward)}


def folder_of(row: str) -> str:
    """Of a run, the folder of the labeler of a row."""
    return "model" if row.startswith("optimised") else "fitted"


def numbers(
    examples: Sequence[Example], found: Sequence[Sequence[Candidate]], reward: Reward
) -> dict[str, Any]:
    """Reward and counts of the first candidate of each text."""
    rewards = reward.score(examples, [list(some[:1]) for some in found])
    counts = [
        sum(count_by_label(example.gold, some[0].output).values(), start=Counts())
        for example, some in zip(examples, found, strict=True)
    ]
    return {
        "rewards": [row[0] for row in rewards],
        "counts": [list(one) for one in counts],
    }


def guide_of(
    kind: str, name: str, run: Path, out: Path, labeler: Labeler, reward: Reward, width: int
) -> tuple[Guide, dict[str, Any]]:
    """A guide that has learnt from the dev split; its weight chosen there, too."""
    if kind == "steer":
        if not (out / "steer" / "results.json").is_file():
            train_steering(run / "fitted", name, out=out / "steer", reward_specs=["f0.5"])
        guide = load_guide(out / "steer" / "guide", labeler)
        assert isinstance(guide, Guide)
        return guide, {"weight": getattr(guide, "weight", None)}
    model_kind = {"args": "sequence", "pargs": "partial"}[kind]
    dev = read_benchmark(name, "dev").examples
    learnt, chosen_on = dev[::2], dev[1::2]
    pairs = preferences_of_candidates(
        {
            example.id: [
                CandidateRow(example.id, one.target, one.output, reward=value)
                for one, value in zip(some, values, strict=True)
            ]
            for example, some, values in candidates_of(labeler, learnt, reward)
        },
        learnt,
        margin=0.05,
        max_pairs=4,
    )
    settings = RewardModelSettings(kind=model_kind, passes=1, batch_size=32, evaluations=2)
    trained = train_reward_model(pairs, run / "fitted", out=out / kind, settings=settings)
    model = load_reward_model(out / kind)
    tried = {}
    for weight in WEIGHTS:
        guide = GUIDES[kind](model, weight=weight, temperature=0.0)
        found = labeler.label(chosen_on, guide=guide, guide_width=width, probability_candidates=0)
        rewards = reward.score(chosen_on, found)
        tried[weight] = sum(row[0] or 0.0 for row in rewards) / len(chosen_on)
    best = max(tried, key=lambda weight: tried[weight])
    accuracy = [tenth["accuracy"] for tenth in trained["held_out"]["by_tenth"]]
    made = {"weight": best, "tried": list(tried.items()), "accuracy_by_tenth": accuracy}
    return GUIDES[kind](model, weight=best, temperature=0.0), made


def candidates_of(
    labeler: Labeler, examples: list[Example], reward: Reward
) -> list[tuple[Example, list[Candidate], list[float | None]]]:
    """The labeler's own candidates with their rewards."""
    found = labeler.candidates(examples, k=16, max_width=0)
    return list(zip(examples, found, reward.score(examples, found), strict=True))


def summary(row: dict[str, Any], unguided: dict[str, Any]) -> dict[str, Any]:
    """Means of a row, and its paired differences to the unguided labeler."""
    told = {name: value for name, value in row.items() if name not in ("rewards", "counts")}
    of, before = (
        {"reward": np.array(one["rewards"], float), "counts": np.array(one["counts"])}
        for one in (row, unguided)
    )
    told["reward"] = float(of["reward"].mean())
    micro: dict[str, Any] = {
        "precision": MICRO_PRECISION, "recall": MICRO_RECALL, "f1": MicroF(1.0),
        "f0.5": MicroF(0.5),
    }  # fmt: skip
    for name, metric in micro.items():
        told[name] = float(metric_of(of["counts"], metric).estimate())
    difference: Callable[..., Any] = paired_difference
    told["reward_difference"] = difference(
        mean_of(before["reward"]), mean_of(of["reward"])
    )._asdict()
    told["f0.5_difference"] = difference(
        metric_of(before["counts"], micro["f0.5"]), metric_of(of["counts"], micro["f0.5"])
    )._asdict()
    return told


def as_markdown(results: dict[str, Any]) -> str:
    """A table for each benchmark."""
    lines = []
    for name, one in results.items():
        lines += [f"## {name}: {one['texts']} test texts", ""]
        lines.append(
            "| | mean F0.5 of texts | difference, p | micro F0.5 | difference, p | P | R | F1"
            " | texts/s |"
        )
        lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        base = one["rows"]["unguided"]["texts_per_second"]
        for row, title in ROWS.items():
            if row in one["rows"]:
                lines.append(_line(title, one["rows"][row], base))
        lines.append("")
        if one["steer"]:
            found = one["steer"]
            how = {"top": "without MBR", "mbr": "with MBR"}[found["choose"]]
            before, after = found["unguided"]["top"]["reward"], found["guided"]["reward"]
            lines += [
                f"`steer` learnt from {found['texts']} dev texts and chose weight"
                f" {found['weight']:g} {how}; {found['judged']} of them under guides of earlier"
                f" texts: {before:.4f} unguided, {after:.4f} guided.",
                "",
            ]
        if one["over_mbr"]:
            mean, micro = (one["over_mbr"][f"{what}_difference"] for what in ("reward", "f0.5"))
            lines += [
                "`steer` with MBR against MBR alone: mean F0.5"
                f" {mean['difference']:+.4f} (p {mean['p_value']:.4f}), micro F0.5"
                f" {micro['difference']:+.4f} (p {micro['p_value']:.4f}).",
                "",
            ]
    return "\n".join(lines)


def _line(title: str, row: dict[str, Any], base: float) -> str:
    def moved(difference: dict[str, float]) -> str:
        if title == "unguided":
            return ""
        return f"{difference['difference']:+.4f}, {difference['p_value']:.4f}"

    cells = [
        title,
        f"{row['reward']:.4f}",
        moved(row["reward_difference"]),
        f"{row['f0.5']:.4f}",
        moved(row["f0.5_difference"]),
        *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")),
        f"{row['texts_per_second'] / base:.2f}x",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
