"""The free-text experiment, end to end: guides of a frozen generator beside tuned models.

A small generator of requests (the sentences of SNIPS) is prompted with what a sentence should be
about. Wanted is a sentence of 7 to 10 words that names three things or more. Whether it names
something is judged by classifiers of words and pairs of words; those of the training reward and
those of the gold reward are fitted on two halves of the data, which share no sentence.

    train the generator (or --generator DIR)
    sample candidates, score them with the training reward, make preferences
    train one reward model of each kind; tune with DPO and GRPO
    choose each guide's weight by the training reward, on prompts of their own
    compare all of them by the gold reward; ask what prefixes tell

Writes DIR/seed-N/guides.json, diagnosis.json and report.html, and DIR/guides.json with what all
seeds say together. A second call goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from groot.data import read_examples
from groot.data.candidates import CandidateRow
from groot.data.preferences import preferences_of_candidates
from groot.evaluation.guide_table import ROWS, holm
from groot.generator import Generator, load_generator
from groot.models.reward_model import KINDS, load_reward_model
from groot.report import write_report
from groot.rewards.compose import OwnPart, Reward
from groot.rewards.length import make_length
from groot.search.guides.guide import Guide
from groot.search.sampling import sample
from groot.training.compare_guides import compare_guides, gold_rewards, mean_reward_of
from groot.training.diagnose import diagnose
from groot.training.files import write_json
from groot.training.guide_entries import WEIGHTED, Materials, choose_weights, make_entry
from groot.training.reward_model import RewardModelSettings, train_reward_model
from groot.training.tune_text import TuneSettings, tune_text
from groot.types import Candidate, Example

DATA = "snips_requests"
WINDOW = "7-10"
WANTED = 3  # different things that a sentence should name
RAREST = 40  # sentences that must name a thing for it to be judged
GRID = (0.5, 1.0, 2.0, 4.0)
SCALE = {"cd": 8.0, "rad": 8.0}  # they learn rewards in [0, 1]; the others learn logits
CLAIMS = ("pargs > top_k", "pargs > args", "pargs > cd", "pargs > rad", "args > top_k")


@dataclass(frozen=True)
class Sizes:
    """How much of everything: about ten minutes of one core for a seed."""

    prompts: int = 400  # for candidates
    candidates: int = 8
    pairs: int = 4  # of a prompt, at most
    passes: int = 3
    rounds: int = 12
    dev: int = 60
    test: int = 200
    samples: int = 4
    diagnosed: int = 100


QUICK = Sizes(
    prompts=200, candidates=6, passes=2, rounds=6, dev=30, test=80, samples=2, diagnosed=40
)


class NamesThings:
    """How many different things a text names, as a share of those wanted, at most 1."""

    def __init__(self, sentences: Sequence[Example]) -> None:
        binarizer = MultiLabelBinarizer()
        named = binarizer.fit_transform([example.columns["slots"] for example in sentences])
        often = named.sum(0) >= RAREST
        self.words = CountVectorizer(ngram_range=(1, 2), min_df=2, binary=True)
        seen = self.words.fit_transform([example.reference or "" for example in sentences])
        self.judge = OneVsRestClassifier(LogisticRegression(C=3.0, max_iter=300))
        self.judge.fit(seen, named[:, often])

    def __call__(self, example: Example, candidates: Sequence[Candidate]) -> list[float | None]:
        texts = [one.output if isinstance(one.output, str) else "" for one in candidates]
        found = self.judge.predict(self.words.transform(texts)).sum(1)
        return [
            min(1.0, float(count) / WANTED) if one.output is not None else 0.0
            for count, one in zip(found, candidates, strict=True)
        ]


def make_reward(name: str, sentences: Sequence[Example]) -> Reward:
    """Half for naming things, half for the length."""
    parts = [
        OwnPart(f"names_{name}", NamesThings(sentences)),
        OwnPart(f"length:{WINDOW}", make_length(WINDOW)),
    ]
    return Reward(parts, [0.5, 0.5])


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generator", type=Path, help="a trained one, instead of a new one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/guides"))
    parser.add_argument("--quick", action="store_true", help="a third of the work, less certain")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sizes = QUICK if given.quick else Sizes()
    folder = given.generator or train_generator(given.out / "generator")
    sentences = read_examples(DATA, split="train").examples
    random.Random(0).shuffle(sentences)
    half = len(sentences) // 2
    rewards = make_reward("a", sentences[:half]), make_reward("b", sentences[half:])
    found = [
        one_seed(folder, seed, rewards, sizes, given.out / f"seed-{seed}") for seed in given.seeds
    ]
    together = summary(found)
    write_json(given.out / "guides.json", together | {"seeds": found})
    print_summary(together)


def train_generator(out: Path) -> Path:
    """A small causal generator, fitted to the sentences; nothing is optimised."""
    if not (out / "results.json").is_file():
        settings = ("fit.passes=4", "generation.decoder_layers=2", "optimise.rounds=0")
        words = ["train", DATA, "--model", "embedded-causal", "--reward", f"length:{WINDOW}"]
        words += [word for one in settings for word in ("--set", one)]
        subprocess.run([sys.executable, "-m", "groot.cli", *words, "--out", str(out)], check=True)
    return out


def one_seed(
    folder: Path, seed: int, rewards: tuple[Reward, Reward], sizes: Sizes, out: Path
) -> dict[str, Any]:
    """Everything for one seed."""
    training, gold = rewards
    start = time.process_time()
    generator = load_generator(folder)
    examples = read_examples(DATA, split="train").examples
    dev = read_examples(DATA, split="dev").examples
    test = read_examples(DATA, split="test").examples
    rng = random.Random(seed)
    prompts = rng.sample(examples, sizes.prompts)
    rng.shuffle(dev)
    rng.shuffle(test)
    pairs = preferences(generator, prompts, training, sizes, seed)
    say(f"seed {seed}: {len(pairs)} preferences")
    models = {}
    for kind in KINDS:
        settings = RewardModelSettings(kind=kind, passes=sizes.passes, evaluations=3, seed=seed)
        at = out / "reward-models" / kind
        results = train_reward_model(pairs, folder, out=at, settings=settings)
        models[kind] = load_reward_model(at / "model")
        right = results["held_out"]["accuracy"]
        say(f"seed {seed}: {kind} orders {right:.3f} of the held-out pairs right")
    dpo = TuneSettings(passes=sizes.passes, evaluations=3, learning_rate=2e-4, seed=seed)
    tune_text(folder, out=out / "dpo", settings=dpo, preferences=pairs)
    grpo = replace(dpo, objective="grpo", rounds=sizes.rounds, passes=1)
    tune_text(folder, out=out / "grpo", settings=grpo, examples=prompts, reward=training)
    tuned = {name: load_generator(out / name) for name in ("dpo", "grpo")}
    # beta 1: the weight of the implicit guide is that of the log-ratio, and 1 is the DPO model
    materials = Materials(generator, models, tuned, beta=1.0)
    say(f"seed {seed}: trained, {time.process_time() - start:.0f} CPU seconds so far")

    def mean_reward(name: str, weight: float) -> float:
        entry = make_entry(name, replace(materials, weights={name: weight}))
        return mean_reward_of(entry, dev[: sizes.dev], training, seed=seed)

    weighted = [name for name in WEIGHTED if name != "deal"]  # it is slow: its weight stays
    weights: dict[str, float] = {}
    tried: dict[str, dict[str, float]] = {}
    for name in weighted:
        grid = [SCALE.get(name, 1.0) * weight for weight in GRID]
        best, values = choose_weights([name], grid, mean_reward)
        weights |= best
        tried |= values
    materials = replace(materials, weights=weights)
    found = compare_guides(
        generator,
        {name: make_entry(name, materials) for name in ROWS},
        test[: sizes.test],
        gold,
        n_samples=sizes.samples,
        seed=seed,
        out=out,
    )
    found |= {"weights_tried": tried}
    write_json(out / "guides.json", found)
    guides = {
        name: make_entry(name, materials).guide for name in ("args", "pargs", "cd", "rad", "farma")
    }
    diagnosis = diagnose(
        generator,
        test[: sizes.diagnosed],
        gold,
        reward_models=models,
        guides={name: guide for name, guide in guides.items() if isinstance(guide, Guide)},
        seed=seed,
        out=out,
    )
    write_report(out)
    seconds = time.process_time() - start
    say(f"seed {seed}: {seconds:.0f} CPU seconds")
    return {
        "seed": seed,
        "cpu_seconds": seconds,
        "rows": found["rows"],
        "claims": found["claims"],
        "weights": weights,
        "pairs": len(pairs),
        "diagnosis": diagnosis,
    }


def preferences(
    generator: Generator, prompts: Sequence[Example], reward: Reward, sizes: Sizes, seed: int
) -> list[Any]:
    """Pairs of samples that differ in reward."""
    written = sample(
        generator.model,
        [generator.input_ids(example.text) for example in prompts],
        n=sizes.candidates,
        max_new_tokens=generator.max_new_tokens,
        seed=seed,
    )
    rows: dict[str, list[CandidateRow]] = {}
    scored = gold_rewards(generator, prompts, written, reward)
    for example, some, values in zip(prompts, written, scored, strict=True):
        for one, value in zip(some, values, strict=True):
            if one.is_finished and value is not None:
                text = generator.prompts.text(one.tokens)
                row = CandidateRow(example.id, text, text, one.log_p, value, source="sample")
                rows.setdefault(example.id, []).append(row)
    return preferences_of_candidates(
        rows, prompts, margin=0.1, max_pairs=sizes.pairs, seed=seed
    ).pairs


def summary(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds of every row, and in how many seeds each claim holds."""
    rows = {}
    for name in ROWS:
        rewards = [one["rows"][name]["reward"] for one in found]
        rows[name] = {
            "reward": statistics.mean(rewards),
            "spread": statistics.stdev(rewards) if len(rewards) > 1 else None,
            **{
                column: statistics.mean(one["rows"][name][column] for one in found)
                for column in ("fluency", "tokens_per_second", "reward_tokens_per_token")
            },
        }
    claims = {}
    for claim in CLAIMS:
        tested = [one["claims"][claim] for one in found]
        right = [one["difference"] > 0 and one["p_value"] < 0.05 for one in tested]
        claims[claim] = {
            "difference": statistics.mean(one["difference"] for one in tested),
            "p_values": [one["p_value"] for one in tested],
            "holds": sum(right),
            "seeds": len(tested),
        }
    corrected = [
        holm({claim: one["claims"][claim]["p_value"] for claim in CLAIMS}) for one in found
    ]
    for claim in CLAIMS:
        claims[claim]["holm_p_values"] = [one[claim] for one in corrected]
    share = rows["pargs"]["reward"] / rows["dpo"]["reward"] if rows["dpo"]["reward"] else None
    return {"rows": rows, "claims": claims, "pargs_of_dpo": share}


def print_summary(found: dict[str, Any]) -> None:
    """The tables."""
    print("| | gold reward | over seeds, s.d. | log p/token | tokens/s | RM tokens/token |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, row in found["rows"].items():
        spread = "-" if row["spread"] is None else f"{row['spread']:.3f}"
        print(
            f"| {ROWS[name]} | {row['reward']:.3f} | {spread} | {row['fluency']:.2f} |"
            f" {row['tokens_per_second']:.0f} | {row['reward_tokens_per_token']:.1f} |"
        )
    print()
    for claim, one in found["claims"].items():
        ps = ", ".join(f"{p:.4f}" for p in one["p_values"])
        print(
            f"{claim}: {one['difference']:+.3f}, holds (p < 0.05) in {one['holds']} of"
            f" {one['seeds']} seeds; p = {ps}"
        )
    print(f"PARGS reaches {found['pargs_of_dpo']:.0%} of the DPO-tuned model's reward")


def say(text: str) -> None:
    """Progress, beside the answer."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
