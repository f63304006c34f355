"""What optimising costs: a contrast step beside a likelihood step, a round beside another tree's.

    python benchmarks/training.py --model runs/mit_restaurant/fitted [--against OTHER/src]

Steps: the same batch of texts, each contender a whole step (forward, backward, clipping, AdamW,
average of the weights). Round: stage by stage, for this source tree and, with --against, for
another, each in processes of their own that take turns; candidates, rewards and the measurements
on dev after the round are compared.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from groot.recipes.items import Item, Variation, training_items
from groot.rollouts.candidate_sets import EXPECTED, Case, Generation, generate, write_cases
from side_by_side import alternate, machine, machine_line, table, write_json, write_section

from groot.data import read_splits
from groot.engine.processes import make_accelerator
from groot.engine.run_folder import RunFolder
from groot.engine.stage import StageContext, StageSettings
from groot.engine.training_state import TrainingState
from groot.engine.weight_average import WeightAverage
from groot.models.embedded import parameter_groups
from groot.models.scoring import candidate_log_p, collate_targets, decision_log_p
from groot.models.text_model import set_dropout
from groot.objectives import OBJECTIVES
from groot.recipes import optimise
from groot.recipes.dev import dev_numbers
from groot.recipes.optimise import ContrastCase, contrast_cases
from groot.rewards import Reward, parse_rewards
from groot.rollouts import candidate_sets
from groot.types import Example
from groot.writer.folders import load_labeler
from groot.writer.labeler import Labeler

BATCH = 32  # texts of a step
STEP_ROUNDS = 7  # how often steps are measured at most
REWARD = "f0.5"
STAGES = {
    "vary": "texts varied and spelled",
    "search": "search",
    "correct": "correction",
    "reward": "rewards",
    "expect": "expected rewards",
    "store": "rows of candidates",
    "write": "writing candidates",
    "spell": "candidates spelled",
    "forward": "steps: forward",
    "backward": "steps: backward",
    "optimizer": "steps: AdamW",
    "average": "steps: average of the weights",
    "rest": "steps: batches, loss, clipping, logs",
    "save": "checkpoint at the end",
    "dev": "dev, before and after",
}


def main() -> None:
    """Measure, print the tables, write the page and the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True, help="folder of a fitted labeler")
    parser.add_argument("--data", default="mit_restaurant")
    parser.add_argument("--against", type=Path, help="the src folder of another tree")
    parser.add_argument("--texts", type=int, help="first training texts of a round; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often a round is measured")
    parser.add_argument("--page", type=Path, help="Markdown page with a section to replace")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.against is not None and not (given.against / "groot").is_dir():
        parser.error(f"--against {given.against}: holds no groot; give the src folder of a tree")
    torch.set_num_threads(1)
    treat_memory_as_commands_do()
    if given.worker is not None:
        given.worker.write_text(json.dumps(round_of(given)), encoding="utf-8")
        return
    facts = machine()
    steps = compare_steps(given)
    rounds = compare_rounds(given)
    text = page(given, facts, steps, rounds)
    print(text)
    if given.page is not None:
        write_section(given.page, "training", text, title="Benchmarks")
    if given.json is not None:
        write_json(given.json, {"machine": facts, "steps": steps, "rounds": rounds})


def treat_memory_as_commands_do() -> None:
    """Keep freed memory, where the commands of the measured tree do."""
    try:
        from groot.engine.heap import keep_freed_memory
    except ImportError:  # an older tree
        return
    keep_freed_memory()


def start(given: argparse.Namespace) -> tuple[Labeler, list[Item], Variation, list[Example]]:
    """The labeler, the training items, how a run varies them in a round by default, and dev."""
    labeler = load_labeler(given.model)
    splits = read_splits(given.data, None, None)
    items, _ = training_items(labeler, splits.train.examples)
    variation = Variation(items, word_dropout=0.05, mention_swap=0.3, word_blend=0.5)
    return labeler, items, variation, list(splits.dev.examples)


def candidates_of(
    labeler: Labeler, items: list[Item], variation: Variation, count: int, reward: Reward
) -> list[Case]:
    """The candidates of the first texts of a round."""
    return generate(
        labeler,
        items,
        list(range(min(count, len(items)))),
        variation=variation,
        reward=reward,
        settings=Generation(round=1, num_candidates=8, per_example=14, seed=1, deletions=3),
    )


class Steps:
    """Training steps on one labeler whose weights do not move: the rate is 0."""

    def __init__(self, labeler: Labeler, variation: Variation) -> None:
        set_dropout(labeler.model, 0.1)
        labeler.model.train()
        self.labeler, self.variation = labeler, variation
        groups = parameter_groups(
            labeler.model, learning_rate=0.0, embedding_rate=10.0, weight_decay=0.0
        )
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.average = WeightAverage(labeler.model, decay=0.99)
        self.weights = [weight for weight in labeler.model.parameters() if weight.requires_grad]

    def take(self, loss: torch.Tensor) -> None:
        """Everything behind the loss."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.average.update(self.labeler.model)
        self.optimizer.zero_grad()

    def inputs(self, batch: list[ContrastCase]) -> list[list[int]]:
        """Token ids of the texts."""
        return [self.variation.fixed_input_ids(self.labeler, case.example, 1) for case in batch]

    def likelihood(self, batch: list[ContrastCase]) -> None:
        """A step of the fit: the gold alone."""
        golds = [case.targets[case.gold or 0] for case in batch]
        targets = collate_targets(self.labeler.model, golds, range(len(batch)))
        log_p, _ = decision_log_p(
            self.labeler.model, self.labeler.codec, self.inputs(batch), targets
        )
        self.take(-(log_p.sum(1) / targets.is_decision.sum(1)).mean())

    def contrast(self, batch: list[ContrastCase], width: int, *, per_row: bool = False) -> None:
        """A step of a round with at most `width` candidates a text.

        Args:
            per_row: every candidate is an input of its own, as the models of transformers have it.
        """
        some = [case.targets[:width] for case in batch]
        rewards = torch.zeros((len(batch), width))
        is_known = torch.zeros((len(batch), width), dtype=torch.bool)
        for row, case in enumerate(batch):
            values = [0.0 if value is None else value for value in case.rewards[:width]]
            rewards[row, : len(values)] = torch.tensor(values)
            is_known[row, : len(values)] = True
        model, codec, inputs = self.labeler.model, self.labeler.codec, self.inputs(batch)
        if per_row:
            flat = [[target] for targets in some for target in targets]
            repeated = [ids for ids, targets in zip(inputs, some, strict=True) for _ in targets]
            one_each, _ = candidate_log_p(model, codec, repeated, flat)
            place = is_known.nonzero(as_tuple=True)
            log_p = torch.zeros(rewards.shape).index_put(place, one_each[:, 0])
        else:
            log_p, _ = candidate_log_p(model, codec, inputs, some)
            log_p = torch.nn.functional.pad(log_p, (0, width - log_p.shape[1]))
        loss = 0.5 * OBJECTIVES["pair_margin"](log_p, rewards, is_known, margin=5.0)
        lengths = torch.tensor([float(len(case.targets[0].decisions)) for case in batch])
        self.take((loss - log_p[:, 0] / lengths.clamp(min=1)).mean())


def compare_steps(given: argparse.Namespace) -> dict[str, Any]:
    """A likelihood step, and contrast steps with 8 candidates scored in four ways."""
    from groot.models import scoring
    from groot.models.prefix_forest import PrefixForest

    labeler, items, variation, _ = start(given)
    with parse_rewards([REWARD]) as reward:
        cases = candidates_of(labeler, items, variation, 256, reward)
    spelled = contrast_cases(labeler, cases, gold_share=0.5)
    full = [case for case in spelled if len(case.targets) >= 8]
    full.sort(key=lambda case: len(case.targets[0].tokens))
    middle = max(0, (len(full) - BATCH) // 2)
    batch = full[middle : middle + BATCH]
    steps = Steps(labeler, variation)

    @contextmanager
    def patched(name: str, value: Any) -> Iterator[None]:
        kept = getattr(scoring, name)
        setattr(scoring, name, value)
        try:
            yield
        finally:
            setattr(scoring, name, kept)

    def plainly(run: Callable[[], None]) -> Callable[[], None]:
        def act() -> None:
            with patched("packs", lambda model: False):
                run()

        return act

    def alone(*given: Any, **more: Any) -> PrefixForest:
        return PrefixForest(*given, **{**more, "shares": False})

    def unshared() -> None:
        with patched("PrefixForest", alone):
            steps.contrast(batch, 8)

    contenders: dict[str, Callable[[], None]] = {
        "likelihood": lambda: steps.likelihood(batch),
        "likelihood, transformers' modules": plainly(lambda: steps.likelihood(batch)),
        "8 candidates, prefix trees": lambda: steps.contrast(batch, 8),
        "8 candidates, no shared prefixes": unshared,
        "8 candidates, text encoded once": plainly(lambda: steps.contrast(batch, 8)),
        "8 candidates, a row each": plainly(lambda: steps.contrast(batch, 8, per_row=True)),
    }

    def three(run: Callable[[], None]) -> Callable[[], None]:
        def act() -> None:
            for _ in range(3):
                run()

        return act

    timings = alternate(
        {name: three(run) for name, run in contenders.items()},
        rounds=STEP_ROUNDS,
        budget_s=60.0,
        warm_up=lambda: [run() for run in contenders.values()],
    )
    found = timings.as_json("likelihood")
    for name in contenders:
        found[name]["seconds"] /= 3
        found[name]["ratio to transformers' likelihood"] = timings.ratio(
            name, "likelihood, transformers' modules"
        )
    found["tokens"] = tokens_of(batch)
    return found


def tokens_of(batch: list[ContrastCase], width: int = 8) -> dict[str, float]:
    """Decoder positions per text: of all rows, behind the common prefix once, and of the tree."""
    rows = common = tree = asked = 0
    for case in batch:
        targets = [target.tokens for target in case.targets[:width]]
        prefix = common_length(targets)
        rows += sum(map(len, targets))
        common += prefix + sum(len(tokens) - prefix for tokens in targets)
        tree += len({tokens[:at] for tokens in targets for at in range(len(tokens))})
        asked += len({t.tokens[:at] for t in case.targets[:width] for at in t.decisions})
    counts = {"rows": rows, "common prefix once": common, "tree": tree, "asked": asked}
    return {name: count / len(batch) for name, count in counts.items()}


def common_length(targets: list[tuple[int, ...]]) -> int:
    """How many tokens all targets begin with together.

    >>> common_length([(1, 2, 3), (1, 2, 4, 5)])
    2
    """
    columns = enumerate(zip(*targets, strict=False))
    differing = (place for place, column in columns if len(set(column)) > 1)
    return next(differing, min(map(len, targets)))


class Clock:
    """Processor seconds of each stage; what a stage calls of another counts for that one alone."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._inside = 0.0  # of the stage that runs: seconds of stages that it called

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted for a stage."""

        def act(*arguments: Any, **more: Any) -> Any:
            outside, self._inside = self._inside, 0.0
            begun = time.process_time()
            try:
                return function(*arguments, **more)
            finally:
                whole = time.process_time() - begun
                self.seconds[stage] += whole - self._inside
                self._inside = outside + whole

        return act

    def watch(self, stage: str, holder: Any, name: str) -> None:
        """Count the time of a function of a module or a class."""
        setattr(holder, name, self.timed(stage, getattr(holder, name)))


def round_of(given: argparse.Namespace) -> dict[str, Any]:
    """Processor seconds of each stage of a round over some texts, and what came out."""
    labeler, items, variation, dev = start(given)
    count = min(given.texts or len(items), len(items))
    share = dev[: max(1, round(len(dev) * count / len(items)))]
    clock = Clock()
    with parse_rewards([REWARD]) as reward, tempfile.TemporaryDirectory() as folder:

        def measure(examples: list[Example]) -> dict[str, float]:
            found = labeler.candidates(examples, k=5, max_width=0)
            return dev_numbers(examples, found, reward)

        # whatever is done once only
        warm = candidates_of(labeler, items, variation, 64, reward)
        write_cases(Path(folder) / "warm.parquet", warm)
        Steps(labeler, variation).contrast(contrast_cases(labeler, warm)[:BATCH], 14)
        labeler.model.eval()
        gc.collect()  # so that it does not fall into one of the stages by chance

        clock.watch("search", candidate_sets, "label_search")
        clock.watch("correct", candidate_sets, "with_corrections")
        clock.watch("expect", candidate_sets, "expected_rewards")
        clock.watch("vary", variation, "example")
        clock.watch("vary", variation, "fixed_input_ids")
        clock.watch("reward", reward, "score_parts")
        clock.watch("forward", optimise, "candidate_log_p")
        clock.watch("backward", Accelerator, "backward")
        clock.watch("optimizer", torch.optim.AdamW, "step")
        clock.watch("average", WeightAverage, "update")
        clock.watch("save", TrainingState, "save")
        cases = clock.timed("store", candidates_of)(labeler, items, variation, count, reward)
        clock.timed("write", write_cases)(Path(folder) / "candidates" / "round-1.parquet", cases)
        spelled = clock.timed("spell", contrast_cases)(labeler, cases, gold_share=0.5)
        set_dropout(labeler.model, 0.1)
        with RunFolder(Path(folder) / "run") as run:
            clock.timed("rest", optimise.contrast)(
                labeler,
                spelled,
                StageSettings(name="round 1", passes=1, evaluations=1, seed=1, average_decay=0.99),
                StageContext(
                    measure=clock.timed("dev", lambda: measure(share)),
                    selects_on="both",
                    run=run,
                    accelerator=make_accelerator(cpu=True),
                    events=lambda event: None,
                    should_stop=lambda: False,
                ),
                variation=variation,
                objective="pair_margin",
                objective_settings={"margin": 5.0},
                nll_weight=1.0,
                contrast_weight=0.5,
                batch_size=BATCH,
                learning_rate=1e-4,
                embedding_rate=10.0,
            )
        clock.seconds["save"] *= count / len(items)  # there is one, however many texts
        labeler.model.eval()
        after = measure(dev)
    outputs = [
        [
            [repr(row.output), row.source, row.log_p, row.reward, row.rewards[EXPECTED]]
            for row in case.rows
        ]
        for case in cases
    ]
    return {
        "texts": len(cases),
        "dev texts": len(share),
        "seconds": clock.seconds,
        "total": sum(clock.seconds.values()),
        "outputs": outputs,
        "after": after,
    }


def compare_rounds(given: argparse.Namespace) -> dict[str, Any]:
    """The stages of both trees, measured in turns, and how far their results agree."""
    own = Path(__file__).resolve().parents[1] / "src"
    trees = {"this": own, **({} if given.against is None else {"other": given.against.resolve()})}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds):
            for name in sorted(trees, reverse=bool(number % 2)):
                out = Path(folder) / f"{name}.json"
                command = [sys.executable, __file__, "--worker", str(out)]
                command += ["--model", str(given.model), "--data", given.data]
                command += [] if given.texts is None else ["--texts", str(given.texts)]
                environment = {**os.environ, "PYTHONPATH": str(trees[name]), "OMP_NUM_THREADS": "1"}
                subprocess.run(command, check=True, env=environment)
                found[name].append(json.loads(out.read_text(encoding="utf-8")))
    first = {name: runs[0] for name, runs in found.items()}
    result: dict[str, Any] = {
        "rounds": given.rounds,
        "commits": {name: commit_of(tree) for name, tree in trees.items()},
        "texts": first["this"]["texts"],
        "dev texts": first["this"]["dev texts"],
        "seconds": {
            name: {
                stage: statistics.median(run["seconds"][stage] for run in runs) for stage in STAGES
            }
            for name, runs in found.items()
        },
        "total": {
            name: statistics.median(run["total"] for run in runs) for name, runs in found.items()
        },
        "after": {name: run["after"] for name, run in first.items()},
    }
    if "other" in found:
        pairs = zip(found["other"], found["this"], strict=True)
        ratios = [other["total"] / this["total"] for other, this in pairs]
        result["times faster"] = statistics.median(ratios)
        result["range"] = [min(ratios), max(ratios)]
        result["agreement"] = agreement(first["this"]["outputs"], first["other"]["outputs"])
    return result


def commit_of(tree: Path) -> str:
    """The commit that a source tree is of; "unknown" outside of git."""
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def agreement(one: list[Any], other: list[Any]) -> dict[str, Any]:
    """How many texts have the same candidates in one order, and how far their numbers differ."""
    same = 0
    gaps = {"log_p": 0.0, "reward": 0.0, "expected": 0.0}
    for mine, theirs in zip(one, other, strict=True):
        if [row[:2] for row in mine] != [row[:2] for row in theirs]:
            continue
        same += 1
        for row, match in zip(mine, theirs, strict=True):
            for name, a, b in zip(gaps, row[2:], match[2:], strict=True):
                if a is not None and b is not None:
                    gaps[name] = max(gaps[name], abs(a - b))
    return {"texts": len(one), "same": same, "largest difference": gaps}


def page(
    given: argparse.Namespace, facts: dict[str, Any], steps: dict[str, Any], rounds: dict[str, Any]
) -> str:
    """The section of the page."""
    command = f"python benchmarks/training.py --model RUN/fitted --data {given.data}"
    command += "" if given.against is None else " --against OTHER/src"
    command += "" if given.texts is None else f" --texts {given.texts}"
    command += f" --rounds {given.rounds}"
    lines = [f"## Training steps and rounds\n\n```\n{command}\n```\n\n{machine_line(facts)}\n"]
    lines.append(
        f"A step on one batch of {BATCH} texts of {given.data}, the embedded default, one thread:"
        " forward, backward, clipping, AdamW, average of the weights. Processor time, medians and"
        f" medians of ratios over {steps['rounds']} rounds in alternation. *A row each* is plain"
        " scoring: every candidate is an input of its own to the modules of transformers.\n"
    )
    reference = "ratio to transformers' likelihood"
    rows = [
        [name, f"{value['seconds'] * 1e3:.0f}", f"{value['ratio']:.2f}", f"{value[reference]:.2f}"]
        for name, value in steps.items()
        if isinstance(value, dict) and reference in value
    ]
    head = ["step", "ms", "times a likelihood step", "times one by transformers' modules"]
    lines.append(table(head, rows))
    counts = ", ".join(f"{name} {count:.0f}" for name, count in steps["tokens"].items())
    lines.append(f"\nDecoder positions per text with 8 candidates: {counts}.\n")
    seconds, totals = rounds["seconds"], rounds["total"]
    lines.append(
        "A round of contrast with the default settings over"
        f" {'all' if given.texts is None else 'the first'} {rounds['texts']:,} training texts and"
        f" {rounds['dev texts']} dev texts of {given.data}, from one fitted model: all of its"
        f" stages, processor seconds, medians of {rounds['rounds']} runs, each in a process of its"
        " own, in turns, which keeps freed memory if the tree's commands do. The checkpoint counts"
        " by the share of the texts.\n"
    )
    names = list(totals)
    rows = [[STAGES[stage], *(f"{seconds[name][stage]:.2f}" for name in names)] for stage in STAGES]
    rows.append(["together", *(f"{totals[name]:.2f}" for name in names)])
    head = ["stage", "this tree"]
    if "other" in totals:
        lines[-1] += (
            f"This tree is commit {rounds['commits']['this']}, the other"
            f" {rounds['commits']['other']}.\n"
        )
        for row, stage in zip(rows, STAGES, strict=False):
            row.append(f"{seconds['other'][stage] / max(seconds['this'][stage], 1e-9):.1f}")
        low, high = rounds["range"]
        rows[-1].append(f"**{rounds['times faster']:.2f}** ({low:.2f} to {high:.2f})")
        head += ["the other", "times faster"]
    lines.append(table(head, rows))
    if "agreement" in rounds:
        found = rounds["agreement"]
        gaps = ", ".join(f"{name} {gap:.1e}" for name, gap in found["largest difference"].items())
        both = ("metric", "reward_top_k")
        mine, theirs = (
            " and ".join(f"{rounds['after'][name][number]:.3f}" for number in both)
            for name in ("this", "other")
        )
        lines.append(
            f"\n{found['same']} of {found['texts']} texts have the same candidates in the same"
            f" order; there the largest differences are: {gaps}. After the round all of dev has"
            f" micro F0.5 and mean reward of the top 5 of {mine} with this tree, {theirs} with the"
            " other."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
