"""The free-text experiment, end to end: guides of a frozen generator beside tuned models.

A small generator of requests (the sentences of SNIPS) is prompted with what a sentence should be
about. Wanted is a sentence of 7 to 10 words in which a labeler of slots finds three different ones
or more. Two labelers judge: that of the training reward and that of the gold reward are fitted on
two halves of the training sentences, which share none.

    fit the judges and the generator (once, in DIR/judges and DIR/generator)
    sample candidates, score them with the training reward, make preferences
    train one reward model of each kind; tune with DPO and GRPO
    choose each guide's weight by the training reward, on prompts of their own; a weight at the
    edge of its grid widens the grid
    compare all of them by the gold reward; ask what prefixes tell

All seeds are tested on the same prompts; a seed draws other training prompts, samples and orders.
Writes DIR/seed-N/guides.json, diagnosis.json and report.html, DIR/guides.json with what all seeds
say together, and the section of --page with its picture. A second call goes on where the first one
stopped.

    python benchmarks/guides.py --out runs/guides --page docs/guides-experiment.md
    python benchmarks/guides.py --size quick --seeds 1 --model embedded    # an encoder-decoder
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from guides_page import KIND_TITLES, together, write_page
from side_by_side import machine, write_json

import groot
from groot.config import Config
from groot.data import read_examples
from groot.data.candidates import CandidateRow
from groot.data.preferences import Preference, preferences_of_candidates
from groot.guides import GUIDES
from groot.recipes.reward_model import RewardModelSettings, train_reward_model
from groot.recipes.run import train_run
from groot.recipes.tune_text import TuneSettings, tune_text
from groot.report import write_report
from groot.reward_models.prefix_model import load_reward_model
from groot.rewards import Reward, parse_rewards
from groot.search.sampling import sample
from groot.studies.compare_guides import RunFiles, compare_guides
from groot.studies.counted import CountedRewardModel
from groot.studies.diagnose import DiagnosisSettings, Suspects, diagnose
from groot.studies.guide_entries import (
    Contenders,
    EntrySettings,
    make_entry,
    row_titles,
    weighted,
)
from groot.studies.guide_writing import Entry, WritingSettings, gold_rewards, mean_reward_of
from groot.types import Example
from groot.writer.folders import load_generator
from groot.writer.generator import Generator

SENTENCES, REQUESTS = "snips", "snips_requests"
WINDOW = "7-10"
WANTED = 3  # different slots that a sentence should name
TOP_K = 10  # tokens that everything draws from, and that every guide re-scores
GRID = (0.5, 1.0, 2.0, 4.0)
SCALE = {"cd": 8.0, "rad": 8.0}  # they learn rewards in [0, 1]; the others learn logits
# Squared errors on rewards of prefixes are learnt more slowly than orders of pairs: times as many
# passes, of which the best on held-out pairs is kept.
SLOWER = {"value": 3, "rad": 3}
REWARD_RATE = 1e-3  # of all reward models
RATES = {"dpo": (2e-4, 1e-3), "grpo": (5e-4,)}  # peak learning rates of tuned models
WIDENINGS = 5  # doublings or halvings of a weight that is at the edge of its grid
# ARGS is greedy by definition; drawn from, it differs from PARGS in its reward model alone
SAMPLED_ARGS = "args_sampled"
TITLES = {name: title for name, title in row_titles().items() if name != "grammar"}
ORDER = [*TITLES]
ORDER.insert(ORDER.index("args") + 1, SAMPLED_ARGS)
SHOWN = {name: TITLES.get(name, "ARGS, sampled") for name in ORDER}


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Args:
        sentences: of the training set that are used; None for all.
        judge_passes, generator_passes: passes over them, or over the judge's half.
        prompts: for candidates.
        candidates: of each prompt.
        pairs: preferences of a prompt, at most.
        passes: over the preferences.
        rounds: of GRPO.
        dev: prompts on which weights are chosen.
        test: prompts of the table.
        samples: of each test prompt.
        diagnosed: test prompts that are looked at closely.
    """

    sentences: int | None = None
    judge_passes: int = 6
    generator_passes: int = 8
    prompts: int = 1200  # many, with few pairs each: early prefixes are soon learnt by heart
    candidates: int = 6
    pairs: int = 3
    passes: int = 2
    rounds: int = 8
    dev: int = 100
    test: int = 200
    samples: int = 3
    diagnosed: int = 60


SIZES = {
    "full": Sizes(),
    "quick": Sizes(
        judge_passes=4,
        generator_passes=4,
        prompts=600,
        passes=2,
        rounds=4,
        dev=60,
        test=80,
        samples=2,
        diagnosed=40,
    ),
    # whether everything runs; its numbers say nothing
    "tiny": Sizes(
        sentences=600,
        judge_passes=1,
        generator_passes=1,
        prompts=20,
        candidates=4,
        pairs=2,
        passes=1,
        rounds=1,
        dev=4,
        test=8,
        samples=2,
        diagnosed=6,
    ),
}


@dataclass(frozen=True)
class Setting:
    """What all seeds share.

    Args:
        folder: of the generator.
        training: the reward that everything learns from and is chosen by.
        gold: the reward of the table.
        prompts: that may be learnt from.
        dev: on which weights are chosen.
        test: of the table.
        sizes: how much of everything.
    """

    folder: Path
    training: Reward
    gold: Reward
    prompts: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]
    sizes: Sizes


def main() -> None:
    """Run the seeds, print the table, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generator", type=Path, help="a trained one, instead of a new one")
    parser.add_argument(
        "--model",
        choices=("embedded-causal", "embedded"),
        default="embedded-causal",
        help="shape of the new generator; embedded is an encoder-decoder",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/guides"))
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--page", type=Path, help="a Markdown page to write the result into")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    facts = machine()
    sizes = SIZES[given.size]
    sentences = read_examples(SENTENCES, split="train").examples[: sizes.sentences]
    judges = train_judges(given.out / "judges", sentences, sizes)
    folder = given.generator or train_generator(given.out / "generator", given.model, sizes)
    dev, test = (read_examples(REQUESTS, split=split).examples for split in ("dev", "test"))
    random.Random(0).shuffle(dev)
    random.Random(0).shuffle(test)
    setting = Setting(
        folder,
        make_reward(judges["training"]),
        make_reward(judges["gold"]),
        read_examples(REQUESTS, split="train").examples[: sizes.sentences],
        dev[: sizes.dev],
        test[: sizes.test],
        sizes,
    )
    found = [one_seed(setting, seed, given.out / f"seed-{seed}") for seed in given.seeds]
    results = together([given.out / f"seed-{seed}" for seed in given.seeds], SHOWN)
    results |= {
        "command": "python benchmarks/guides.py " + " ".join(sys.argv[1:]),
        "machine": facts,
        "sizes": asdict(sizes),
        "judges": {name: read_json(at / "results.json")["fit"] for name, at in judges.items()},
        "generator": fit_curve(folder / "log.jsonl"),
        "seeds": found,
    }
    write_json(given.out / "guides.json", results)
    print(write_page(results, given.page))


# What is fitted once


def train_judges(out: Path, sentences: Sequence[Example], sizes: Sizes) -> dict[str, Path]:
    """Two labelers of slots, each fitted on its own half of the sentences."""
    order = list(range(len(sentences)))
    random.Random(0).shuffle(order)
    half = len(order) // 2
    folders = {}
    for name, places in (("training", order[:half]), ("gold", order[half:])):
        folders[name] = out / name
        data = out / f"{name}.jsonl"
        if not data.is_file():
            out.mkdir(parents=True, exist_ok=True)
            rows = [labelled(sentences[place]) for place in places]
            data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        settings = {
            "data": {"train": str(data), "dev": f"{SENTENCES}:dev", "test": f"{SENTENCES}:dev"},
            "fit": {"passes": sizes.judge_passes},
            "optimise": {"rounds": 0},
            "distil": {"rounds": 0},
            "evaluation": {"bootstrap_samples": 100},
            "output": {"report": False},
        }
        if not (out / name / "results.json").is_file():
            say(f"judge of the {name} reward: {len(places)} sentences")
            train_run(Config(**settings), out=out / name)
    return folders


def labelled(sentence: Example) -> dict[str, Any]:
    """A line of data: a text and its spans."""
    spans = [
        {"start": span.start, "end": span.end, "label": span.label} for span in sentence.spans or ()
    ]
    return {"text": sentence.text, "spans": spans}


def train_generator(out: Path, model: str, sizes: Sizes) -> Path:
    """A small generator, fitted to the sentences; nothing is optimised."""
    is_causal = model == "embedded-causal"
    settings = {
        "data": {"train": REQUESTS, "max_train": sizes.sentences},
        "model": {"name": model if is_causal else None, "encoder_layers": 1},
        "reward": {"specs": [f"length:{WINDOW}"]},
        "generation": {"decoder_layers": 2, "max_new_tokens": 40},
        "fit": {
            "passes": sizes.generator_passes,
            "learning_rate": 3e-3 if is_causal else 2e-3,
            "dropout": 0.1,
        },
        "optimise": {"rounds": 0},
        "output": {"report": False},
    }
    if not (out / "results.json").is_file():
        say(f"generator: {sizes.generator_passes} passes")
        train_run(Config(**settings), out=out)
    return out


def fit_curve(log: Path) -> list[dict[str, float]]:
    """Dev perplexity of a token over the passes of a fit; empty where there is no log."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    rows = [json.loads(line) for line in lines]
    return [
        {"passes": row["epoch"], "perplexity": row["eval_perplexity"]}
        for row in rows
        if row["stage"] == "fit" and "eval_perplexity" in row and row["step"]
    ]


def make_reward(judge: Path) -> Reward:
    """Half for the slots that a judge finds, half for the length."""
    specs = [f"labeler_judge:{judge}:{WANTED}=0.5", f"length:{WINDOW}=0.5"]
    return parse_rewards(specs, open_labeler=groot.load)


# A seed


def one_seed(setting: Setting, seed: int, out: Path) -> dict[str, Any]:
    """Everything for one seed; writes its files and gives what the page tells of it."""
    sizes = setting.sizes
    done = read_json(out / "seed.json")
    if done is not None and done["sizes"] == asdict(sizes):
        say(f"seed {seed}: taken from {out}")
        return dict(done)
    start = time.process_time()
    generator = load_generator(setting.folder)
    prompts = random.Random(seed).sample(list(setting.prompts), sizes.prompts)
    pairs = preferences(generator, prompts, setting.training, sizes, seed)
    say(f"seed {seed}: {len(pairs)} preferences")
    models, right = {}, {}
    for kind in KIND_TITLES:
        settings = RewardModelSettings(
            kind=kind,
            passes=sizes.passes * SLOWER.get(kind, 1),
            learning_rate=REWARD_RATE,
            seed=seed,
        )
        at = out / "reward-models" / kind
        results = train_reward_model(pairs, setting.folder, out=at, settings=settings)
        models[kind] = load_reward_model(at / "model")
        right[kind] = results["held_out"]["accuracy"]
        say(f"seed {seed}: {kind} orders {right[kind]:.3f} of the held-out pairs right")
    tuned, rates = tune(setting, prompts, pairs, seed, out)
    # beta 1: the weight of the implicit guide is that of the log-ratio, and 1 is the DPO model
    entry_settings = EntrySettings(beta=1.0, top_k=TOP_K, n_candidates=TOP_K)
    contenders = Contenders(generator, models, tuned, settings=entry_settings)
    say(f"seed {seed}: trained, {time.process_time() - start:.0f} CPU seconds so far")
    tried = weights_on_dev(setting, contenders, seed, out)
    entries = {name: entry_of(name, contenders, best_of(tried.get(name, {}))) for name in SHOWN}
    found = compare_guides(
        generator,
        entries,
        setting.test,
        setting.gold,
        settings=WritingSettings(n_samples=sizes.samples, seed=seed),
        out=RunFiles(out),
    )
    write_json(out / "guides.json", found | {"weights_tried": tried})
    guides = {name: entries[name].guide for name in TITLES if entries[name].guide is not None}
    guides = {name: guide for name, guide in guides.items() if guide.steers_labels}
    if not (out / "diagnosis.json").is_file():
        diagnose(
            generator,
            setting.test[: sizes.diagnosed],
            setting.gold,
            suspects=Suspects(models, guides),
            settings=DiagnosisSettings(seed=seed),
            out=out,
        )
    write_report(out)
    seconds = time.process_time() - start
    say(f"seed {seed}: {seconds:.0f} CPU seconds")
    summary = {
        "seed": seed,
        "sizes": asdict(sizes),
        "cpu_seconds": seconds,
        "pairs": len(pairs),
        "right": right,
        "rates": rates,
    }
    write_json(out / "seed.json", summary)
    return summary


def preferences(
    generator: Generator, prompts: Sequence[Example], reward: Reward, sizes: Sizes, seed: int
) -> list[Preference]:
    """Pairs of samples that differ in reward."""
    written = sample(
        generator.model,
        [generator.input_ids(example.text) for example in prompts],
        n=sizes.candidates,
        max_new_tokens=generator.max_new_tokens,
        top_k=TOP_K,
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


def tune(
    setting: Setting,
    prompts: Sequence[Example],
    pairs: Sequence[Preference],
    seed: int,
    out: Path,
) -> tuple[dict[str, Generator], dict[str, dict[str, float]]]:
    """The generators tuned with DPO and with GRPO, at the rate that dev prompts like best.

    Returns:
        the generators, and the mean training reward on dev of each rate that was tried.
    """
    sizes = setting.sizes
    tuned: dict[str, Generator] = {}
    tried: dict[str, dict[str, float]] = {}
    for name, rates in RATES.items():
        found = {}
        for rate in rates:
            at = out / f"{name}-{rate:g}"
            settings = TuneSettings(name, learning_rate=rate, seed=seed)
            if name == "dpo":
                settings = replace(settings, passes=sizes.passes)
                tune_text(setting.folder, out=at, settings=settings, preferences=pairs)
            else:
                settings = replace(settings, passes=1, rounds=sizes.rounds)
                tune_text(
                    setting.folder,
                    out=at,
                    settings=settings,
                    examples=prompts,
                    reward=setting.training,
                )
            found[rate] = load_generator(at)
        tried[name] = {
            f"{rate:g}": mean_reward_of(
                Entry(one, top_k=TOP_K), setting.dev, setting.training, WritingSettings(seed=seed)
            )
            for rate, one in found.items()
        }
        tuned[name] = found[best_of(tried[name])]
        say(f"seed {seed}: {name}, training reward by learning rate {tried[name]}")
    return tuned, tried


# DeAL is slow, so its weight stays; best-of-n, MBR and the others have none.
WEIGHTS = tuple(name for name in weighted() if name != "deal")


def entry_of(name: str, contenders: Contenders, weight: float | None) -> Entry:
    """The row of a name, also of those that are no part of `groot compare-guides`."""
    if name != SAMPLED_ARGS:
        weights = {} if weight is None else {name: weight}
        settings = replace(contenders.settings, weights=weights)
        return make_entry(name, replace(contenders, settings=settings))
    model = CountedRewardModel(contenders.reward_models["sequence"])
    guide = GUIDES["args"](model, weight=weight or 1.0, n_candidates=TOP_K, temperature=1.0)
    settings = {"guide": SAMPLED_ARGS, **guide.settings}
    title = SHOWN[SAMPLED_ARGS]
    return Entry(contenders.generator, guide, costs=[model], title=title, settings=settings)


Tried = dict[str, dict[str, float]]


def weights_on_dev(setting: Setting, contenders: Contenders, seed: int, out: Path) -> Tried:
    """Mean training reward of each guide with each weight that was tried; kept in a file."""
    path = out / "weights.json"
    tried: Tried = read_json(path) if path.is_file() else {}
    for name in (*WEIGHTS, SAMPLED_ARGS):
        if name in tried:
            continue

        def mean_reward(weight: float, name: str = name) -> float:
            entry = entry_of(name, contenders, weight)
            return mean_reward_of(entry, setting.dev, setting.training, WritingSettings(seed=seed))

        scale = SCALE.get(name, 1.0)
        tried[name] = search_weight([scale * weight for weight in GRID], mean_reward)
        say(f"seed {seed}: {name} {', '.join(f'{w}: {v:.3f}' for w, v in tried[name].items())}")
        write_json(path, tried)
    return tried


def search_weight(grid: Sequence[float], mean_reward: Callable[[float], float]) -> dict[str, float]:
    """What each weight of a grid gives, and of a wider one while the best is at its edge."""
    values = {weight: mean_reward(weight) for weight in sorted(grid)}
    for _ in range(WIDENINGS):
        best = max(values, key=lambda weight: (values[weight], -weight))
        if best == max(values):
            values[2 * best] = mean_reward(2 * best)
        elif best == min(values):
            values[best / 2] = mean_reward(best / 2)
        else:
            break
    return {f"{weight:g}": values[weight] for weight in sorted(values)}


def best_of(tried: Mapping[str, float]) -> float | None:
    """The weight with the highest mean, of equal ones the smallest; None where none was tried."""
    if not tried:
        return None
    return float(max(tried, key=lambda weight: (tried[weight], -float(weight))))


def read_json(path: Path) -> Any:
    """What a file holds; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def say(text: str) -> None:
    """Progress, beside the answer."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
