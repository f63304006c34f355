"""Whether texts get the same labels one by one and in batches of 64.

    python benchmarks/batch_sizes.py runs/bench/mit_restaurant-seed-1 --data snips mit_restaurant

Labels 1,000 test texts of the data sets, one text of one word and one of 2,000, and prints how many
are the same. The exit status says whether all are.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from groot.data import read_splits
from groot.types import Example
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler
from groot.writer.writer import example_of

BATCH = 64
LONG_WORDS = 2000
MAX_WIDTH = 16  # nobody wrote the long text, so that proofs of it would take a minute


def batch_sizes(
    labeler: Labeler, examples: Sequence[Example], *, n_long: int = 1
) -> dict[str, int]:
    """How many texts get the same labels one by one and in batches of 64.

    Args:
        examples: short texts.
        n_long: texts of one word and of 2,000 words beside them, made of the short ones.
    """
    words = itertools.cycle([word for example in examples for word in example.words])
    long = [" ".join(itertools.islice(words, LONG_WORDS)) for _ in range(n_long)]
    texts = [*(example.words[0] for example in examples[:n_long]), *long]
    mixed = [*examples, *map(example_of, texts)]
    found = [
        labeler.candidates(mixed, k=1, max_width=MAX_WIDTH, batch_size=size) for size in (1, BATCH)
    ]
    same = [one[0].output == other[0].output for one, other in zip(*found, strict=True)]
    return {"texts": len(mixed), "long": n_long, "same": sum(same)}


def main() -> None:
    """Label, count, say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a labeler, or a run's folder")
    parser.add_argument("--data", nargs="+", default=["snips", "mit_restaurant"])
    parser.add_argument("--texts", type=int, default=1000, help="at most, in the order of --data")
    given = parser.parse_args()
    torch.set_num_threads(1)
    labeler = load_labeler(given.model)
    labeler.model.eval()
    tests = (read_splits(name).test for name in given.data)
    every = [example for test in tests if test for example in test.examples if example.words]
    found = batch_sizes(labeler, every[: given.texts])
    print(f"{found['same']} of {found['texts']} texts have the same labels")
    sys.exit(found["same"] != found["texts"])


if __name__ == "__main__":
    main()
