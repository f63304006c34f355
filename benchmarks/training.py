"""What optimising costs: a contrast step beside a likelihood step, a round beside another tree's.

    python benchmarks/training.py --model runs/mit_restaurant/fitted [--against OTHER/src]

Steps: the same batch of texts, each contender a whole step (forward, backward, clipping, AdamW,
average of the weights). Round: stage by stage, for this source tree and, with --against, for
another, each in processes of their own that take turns; candidates and rewards are compared.
"""

from __future__ import annotations

import argparse
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
from side_by_side import alternate, machine, machine_line, table, write_json, write_section

from groot.data import read_splits
from groot.labeler import Labeler, load
from groot.models.embedded import parameter_groups
from groot.models.scoring import candidate_log_p, collate_targets, decision_log_p
from groot.models.text_model import set_dropout
from groot.objectives import OBJECTIVES
from groot.rewards import parse_rewards
from groot.training import candidate_sets
from groot.training.candidate_sets import EXPECTED, Case, Generation, generate
from groot.training.items import Item, Variation, training_items
from groot.training.optimise import ContrastCase, contrast_cases
from groot.training.weight_average import WeightAverage

BATCH = 32  # texts of a step
STAGES = {
    "vary": "varying and spelling texts",
    "search": "search",
    "correct": "correction",
    "reward": "reward",
    "expect": "expected rewards",
    "store": "rows, Python between the stages",
    "spell": "spelling candidates",
    "contrast": "contrast steps",
}


def main() -> None:
    """Measure, print the tables, write the page and the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True, help="folder of a fitted labeler")
    parser.add_argument("--data", default="mit_restaurant")
    parser.add_argument("--against", type=Path, help="the src folder of another tree")
    parser.add_argument("--texts", type=int, default=512, help="of the round that is measured")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--page", type=Path, help="Markdown page with a section to replace")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
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


def start(given: argparse.Namespace) -> tuple[Labeler, list[Item], Variation]:
    """The labeler, the training items, and how a run varies the texts of a round by default."""
    labeler = load(given.model)
    items, _ = training_items(labeler, read_splits(given.data, None, None).train.examples)
    return labeler, items, Variation(items, word_dropout=0.05, mention_swap=0.3, word_blend=0.5)


def cases_of(
    labeler: Labeler, items: list[Item], variation: Variation, count: int
) -> tuple[list[Case], list[ContrastCase]]:
    """The candidates of the first texts of a round, and the same in token ids."""
    settings = Generation(round=1, num_candidates=8, per_example=14, seed=1, deletions=3)
    with parse_rewards(["f0.5"]) as reward:
        cases = generate(
            labeler,
            items,
            list(range(min(count, len(items)))),
            variation=variation,
            reward=reward,
            settings=settings,
        )
    return cases, contrast_cases(labeler, cases, gold_share=0.5)


class Steps:
    """Training steps on one labeler whose weights do not move: the rate is 0."""

    def __init__(self, labeler: Labeler, variation: Variation) -> None:
        set_dropout(labeler.model, 0.1)
        labeler.model.train()
        self.labeler, self.variation = labeler, variation
        groups = parameter_groups(
            labeler.model, learning_rate=0.0, embedding_rate=10.0, weight_decay=0.0
        )
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
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

    labeler, items, variation = start(given)
    _, cases = cases_of(labeler, items, variation, 256)
    full = [case for case in cases if len(case.targets) >= 8]
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
        rounds=given.rounds,
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


def round_of(given: argparse.Namespace) -> dict[str, Any]:
    """Processor seconds of each stage of a round over some texts, and what came out."""
    labeler, items, variation = start(given)
    seconds = dict.fromkeys(STAGES, 0.0)

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **more: Any) -> Any:
            begun = time.process_time()
            found = function(*arguments, **more)
            seconds[stage] += time.process_time() - begun
            return found

        return act

    cases_of(labeler, items, variation, 64)  # whatever is done once only
    candidate_sets.label_search = timed("search", candidate_sets.label_search)
    candidate_sets.with_corrections = timed("correct", candidate_sets.with_corrections)
    candidate_sets.expected_rewards = timed("expect", candidate_sets.expected_rewards)
    variation.example = timed("vary", variation.example)  # type: ignore[method-assign]
    variation.fixed_input_ids = timed("vary", variation.fixed_input_ids)  # type: ignore[method-assign]
    settings = Generation(round=1, num_candidates=8, per_example=14, seed=1, deletions=3)
    with parse_rewards(["f0.5"]) as reward:
        reward.score_parts = timed("reward", reward.score_parts)  # type: ignore[method-assign]
        begun = time.process_time()
        cases = generate(
            labeler,
            items,
            list(range(min(given.texts, len(items)))),
            variation=variation,
            reward=reward,
            settings=settings,
        )
        whole = time.process_time() - begun
    seconds["store"] = whole - sum(seconds.values())
    spelled = timed("spell", contrast_cases)(labeler, cases, gold_share=0.5)
    spelled.sort(key=lambda case: len(case.targets[0].tokens))
    batches = [spelled[first : first + BATCH] for first in range(0, len(spelled), BATCH)]
    steps = Steps(labeler, variation)
    steps.contrast(batches[0], 14)
    for batch in batches:
        timed("contrast", steps.contrast)(batch, 14)
    outputs = [
        [
            [repr(row.output), row.source, row.log_p, row.reward, row.rewards[EXPECTED]]
            for row in c.rows
        ]
        for c in cases
    ]
    return {"texts": len(cases), "seconds": seconds, "outputs": outputs}


def compare_rounds(given: argparse.Namespace) -> dict[str, Any]:
    """The stages of both trees, measured in turns, and how far their candidates agree."""
    own = Path(__file__).resolve().parents[1] / "src"
    trees = {"this": own, **({} if given.against is None else {"other": given.against})}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(1, given.rounds // 2)):
            for name in sorted(trees, reverse=bool(number % 2)):
                out = Path(folder) / f"{name}.json"
                command = [sys.executable, __file__, "--worker", str(out)]
                command += ["--model", str(given.model), "--data", given.data]
                command += ["--texts", str(given.texts)]
                environment = {**os.environ, "PYTHONPATH": str(trees[name]), "OMP_NUM_THREADS": "1"}
                subprocess.run(command, check=True, env=environment)
                found[name].append(json.loads(out.read_text(encoding="utf-8")))
    medians = {
        name: {stage: statistics.median(run["seconds"][stage] for run in runs) for stage in STAGES}
        for name, runs in found.items()
    }
    totals = {name: sum(stages.values()) for name, stages in medians.items()}
    result: dict[str, Any] = {
        "texts": found["this"][0]["texts"],
        "seconds": medians,
        "total": totals,
    }
    if "other" in found:
        result["times faster"] = totals["other"] / totals["this"]
        result["agreement"] = agreement(found["this"][0]["outputs"], found["other"][0]["outputs"])
    return result


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
    lines = [f"## Training steps and rounds\n\n{machine_line(facts)}\n"]
    lines.append(
        f"A step on {BATCH} texts of {given.data}, the embedded default, one thread; processor"
        f" time, median of {steps['rounds']} rounds in alternation.\n"
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
    lines.append(f"A round over {rounds['texts']} texts, processor seconds by stage:\n")
    names = list(totals)
    rows = [[STAGES[stage], *(f"{seconds[name][stage]:.2f}" for name in names)] for stage in STAGES]
    rows.append(["together", *(f"{totals[name]:.2f}" for name in names)])
    if "other" in totals:
        for row, stage in zip(rows, [*STAGES, None], strict=True):
            pair = [totals[n] if stage is None else seconds[n][stage] for n in ("other", "this")]
            row.append(f"{pair[0] / max(pair[1], 1e-9):.1f}")
        head = ["stage", "this tree", "the other", "times faster"]
    else:
        head = ["stage", "this tree"]
    lines.append(table(head, rows))
    if "agreement" in rounds:
        found = rounds["agreement"]
        gaps = ", ".join(f"{name} {gap:.1e}" for name, gap in found["largest difference"].items())
        lines.append(
            f"\n{found['same']} of {found['texts']} texts have the same candidates in the same"
            f" order; there the largest differences are: {gaps}."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
