"""groot compare-guides: one table of every way to steer a frozen generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from groot.cli.console import answer, answer_json, answer_table
from groot.cli.data_options import SplitOption
from groot.cli.guide_options import (
    LookaheadOption,
    StudyOptions,
    names,
    numbers,
    written_with_report,
)
from groot.cli.option_groups import with_groups
from groot.cli.run_options import JsonOption
from groot.errors import ConfigError


@with_groups
def compare_guides(
    study: StudyOptions,
    reward: Annotated[
        list[str],
        typer.Option(
            metavar="REWARD...",
            help="The gold reward, by which texts are judged. It should not be the one that the"
            " guides learnt from.",
        ),
    ],
    samples: Annotated[int, typer.Option(min=1, help="Write so many texts for each prompt.")] = 4,
    best_of: Annotated[
        int, typer.Option(min=1, help="Let best_of_n and mbr choose among so many samples.")
    ] = 10,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Try these weights for each guide on the prompts of --dev, and take the best by"
            " --dev-reward. Prompts that stand in --prompts, too, are left out there.",
        ),
    ] = None,
    dev: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Try --weights on these prompts."),
    ] = None,
    dev_split: SplitOption = "dev",
    dev_reward: Annotated[
        list[str] | None,
        typer.Option(metavar="REWARD...", help="Choose among --weights by this reward."),
    ] = None,
    beta: Annotated[
        float,
        typer.Option(help="The beta that the dpo generator was tuned with, for implicit."),
    ] = 0.1,
    lookahead: LookaheadOption = 4,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep guides.json, what each row wrote, and the report in this folder. What a row"
            " wrote before is taken from it where nothing that it is made of has changed.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write everything again that --out holds already.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compare the ways to steer a frozen generator: reward, win rate, diversity, fluency, cost.

    Trains nothing. Rows: the generator alone (top_k, greedy), every guide, and tuned generators
    (dpo, grpo). With --out, the same command again goes on with the rows that are missing, and
    groot report shows the table.

    \b
    Examples:
    groot compare-guides runs/text --prompts test.jsonl --reward length:4-8 \\
        --reward-model runs/partial --reward-model runs/whole --out runs/guides
    groot compare-guides runs/text --prompts test.jsonl --reward length:4-8 --ensemble worst \\
        --reward-model runs/partial-1 --reward-model runs/partial-2
    groot compare-guides runs/text --prompts snips_requests --reward length:4-8 \\
        --guides top_k,greedy,mbr --limit 100 --json
    """
    from groot.cli.progress import watcher
    from groot.studies.compare_guides import GUIDES_FILE, RunFiles
    from groot.studies.compare_guides import compare_guides as compare
    from groot.studies.guide_entries import make_entry, weighted
    from groot.studies.guide_weights import with_chosen_weights
    from groot.studies.guide_writing import WritingSettings
    from groot.studies.open_guides import read_prompts

    grid = numbers("--weights", weights) if weights else []
    if bool(grid) != bool(dev_reward) or bool(grid) != bool(dev):
        raise ConfigError("--weights, --dev and --dev-reward belong together: give all, or none.")
    examples = study.examples()
    contenders = study.contenders(n_samples=best_of, lookahead=lookahead, beta=beta)
    rows = study.rows(contenders)
    writing = WritingSettings(samples, study.max_new_tokens, study.seed, study.batch_size)
    more: dict[str, Any] = {
        "generator": str(study.folder),
        "prompts": study.prompts,
        "left_out": [] if names(study.guides) else contenders.left_out(),
        "weights_tried": {},
    }
    with watcher() as events, contenders.generator.reward(reward) as gold:
        if dev is not None:
            given = contenders.settings.weights
            with contenders.generator.reward(dev_reward) as judge:
                contenders, trials = with_chosen_weights(
                    contenders,
                    [name for name in rows if name in weighted() and name not in given],
                    grid,
                    read_prompts(dev, split=dev_split, limit=study.limit),
                    judge,
                    compared_on=examples,
                    settings=writing,
                )
            more["weights_tried"] = trials.tried
            more["weight_prompts"] = {"used": trials.n_prompts, "left_out": trials.n_left_out}
        comparison = compare(
            contenders.generator,
            {name: make_entry(name, contenders) for name in rows},
            examples,
            gold,
            settings=writing,
            out=None if out is None else RunFiles(out, is_restarted=force),
            events=events,
        )
    comparison |= more
    report = written_with_report(out, GUIDES_FILE, comparison)
    if json:
        answer_json(comparison | report)
        return
    _print(comparison)
    if report:
        answer(f"report: {report['report']}")


def _print(comparison: Mapping[str, Any]) -> None:
    from groot.cli.guide_tables import claims_table, guides_table

    answer_table(guides_table(comparison))
    if comparison["claims"]:
        answer_table(claims_table(comparison))
    for name, values in comparison["weights_tried"].items():
        shown = ", ".join(f"{weight}: {value:.3f}" for weight, value in values.items())
        answer(f"weights tried for {name}, mean dev reward: {shown}")
    left_out = comparison.get("weight_prompts", {}).get("left_out")
    if left_out:
        answer(f"prompts of --dev left out because they stand in --prompts, too: {left_out}")
    sentences = [line for lines in comparison["seen_before"].values() for line in lines]
    for sentence in dict.fromkeys(sentences):
        answer(f"warning: {sentence}")
    if comparison["left_out"]:
        costly = ", ".join(comparison["left_out"])
        answer(
            f"left out because they cost most of the time: {costly}; name them in --guides to"
            " compare them"
        )
