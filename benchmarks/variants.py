"""Optimise one fitted labeler in several ways and print what each is worth.

    python benchmarks/variants.py runs/bench/mit_restaurant-seed-1 --names default reward_match

All variants start from the same fitted model and use the same data, reward and search; they differ
in the settings named in VARIANTS. A variant that is finished is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from groot import GrootConfig, GrootTrainer, load
from groot.config import load_config
from groot.data import read_splits

PLAIN = {"optimise.mention_swap": 0.0, "optimise.word_dropout": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "pair_square": {"optimise.objective": "pair_square"},
    "reward_match": {"optimise.objective": "reward_match", "optimise.contrast_weight": 1.0},
    "pair_logistic": {"optimise.objective": "pair_logistic"},
    "mrt": {"optimise.objective": "mrt", "optimise.contrast_weight": 5.0},
    "gold reward only": {"optimise.gold_share": 1.0},
    "expected reward only": {"optimise.gold_share": 0.0},
    "training texts as they are": PLAIN,
    "no texts of blended words": {"fit.word_blend": 0.0},
    "no shortened candidates": {"optimise.deletions": 0},
    "one round": {"optimise.rounds": 1},
    "likelihood only": {"optimise.contrast_weight": 0.0},
}
COLUMNS = ["variant", "P", "R", "F1", "F0.5", "reward at 1", "mean of 2 to 5", "oracle@5"]
COLUMNS += ["MBR: reward at 1", "F0.5 +/-", "p", "minutes"]


def main() -> None:
    """Train what is not trained yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--names", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/variants"))
    given = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for number, name in enumerate(given.names):
        results = optimise(given.run, name, given.out / given.run.name)
        if number == 0:
            print(line("fitted", results, "fit"))
        print(line(name, results, "optimised"), flush=True)


def optimise(run: Path, name: str, out: Path) -> dict[str, Any]:
    """The results of one variant, from the fitted model of a run."""
    config = load_config(run / "config.yaml")
    data = config.data
    splits = read_splits(data.train, data.dev, data.test, task=data.task, format=data.format)
    folder = out / name.replace(" ", "-")
    finished = folder / "results.json"
    if finished.is_file():
        return dict(json.loads(finished.read_text(encoding="utf-8")))
    print(f"{name}: into {folder}", file=sys.stderr)
    trainer = GrootTrainer(
        load(run / "fitted"),
        list(config.reward.specs),
        GrootConfig(
            output_dir=str(folder), seed=config.seed, num_train_epochs=0, settings=VARIANTS[name]
        ),
        splits.train.examples,
        splits.dev.examples,
        test_dataset=splits.test.examples if splits.test else None,
    )
    return trainer.train()


def line(name: str, results: dict[str, Any], stage: str) -> str:
    """One row of the table."""
    found, ranks = results[stage], results[stage]["reward"]["by_rank"]
    paired = results["paired"]["metric"] if stage == "optimised" else {}
    numbers = [found["precision"], found["recall"], found["f1"], found["metric"], ranks[0]]
    numbers += [sum(ranks[1:]) / len(ranks[1:]), found["reward"]["oracle"]]
    numbers += [results[f"{stage}_mbr"]["reward"]["by_rank"][0], paired.get("difference")]
    cells = ["" if number is None else f"{number:.3f}" for number in numbers]
    p_value = paired.get("p_value")
    cells.append("" if p_value is None else f"{p_value:.4f}")
    cells.append(f"{results['seconds']['optimise'] / 60:.1f}" if paired else "")
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
