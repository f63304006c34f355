"""groot compare-guides: one table of every way to steer a frozen generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groot.cli.console import answer, answer_json, answer_table
from groot.cli.guide_options import (
    EnsembleOption,
    GeneratorArgument,
    LimitOption,
    LookaheadOption,
    MaxNewTokensOption,
    PenaltyOption,
    PromptsOption,
    RewardModelsOption,
    SplitOption,
    TopKOption,
    TransformOption,
    TunedOption,
    WeightOption,
    named_numbers,
    named_values,
    names,
    numbers,
)
from groot.errors import ConfigError

if TYPE_CHECKING:
    from groot.studies.guide_entries import Materials

OPTIONAL = "every one that there is material for"


def compare_guides(
    folder: GeneratorArgument,
    prompts: PromptsOption,
    reward: Annotated[
        list[str],
        typer.Option(
            metavar="REWARD...",
            help="the gold reward, by which texts are judged; not the one that guides learnt from",
        ),
    ],
    reward_model: RewardModelsOption = None,
    tuned: TunedOption = None,
    guides: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help=f"rows of the table; default: {OPTIONAL}"),
    ] = None,
    split: SplitOption = "test",
    limit: LimitOption = None,
    samples: Annotated[int, typer.Option(min=1, help="texts for each prompt")] = 4,
    best_of: Annotated[
        int, typer.Option(min=1, help="samples that best_of_n and mbr choose among")
    ] = 10,
    top_k: TopKOption = 10,
    weight: WeightOption = None,
    ensemble: EnsembleOption = None,
    penalty: PenaltyOption = 0.5,
    transform: TransformOption = "none",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="N,N", help="weights to try for each guide on --dev; needs --dev-reward"
        ),
    ] = None,
    dev: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="prompts that --weights are tried on"),
    ] = None,
    dev_split: SplitOption = "dev",
    dev_reward: Annotated[
        list[str] | None,
        typer.Option(metavar="REWARD...", help="what the weights are chosen by"),
    ] = None,
    beta: Annotated[
        float, typer.Option(help="that the dpo generator was tuned with, for implicit")
    ] = 0.1,
    lookahead: LookaheadOption = 4,
    max_new_tokens: MaxNewTokensOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="texts written together")] = 64,
    seed: Annotated[int, typer.Option(help="of the samples and of the tests")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="folder for guides.json, what was written, and the report; default: kept nowhere",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="write again what --out holds already")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print the numbers as JSON")] = False,
) -> None:
    """Compare the ways to steer a frozen generator: reward, win rate, diversity, fluency, cost.

    Trains nothing. Rows: top_k, greedy, best_of_n, mbr, args, cd, rad, pargs, pargs_greedy, farma,
    implicit, deal, and tuned models, dpo and grpo. With --out, the same command again goes on with
    the rows that are missing, and groot report shows the table.

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
    from groot.studies.compare_guides import compare_guides as compare
    from groot.studies.guide_entries import WEIGHTED, check_names, make_entry
    from groot.studies.open_guides import open_materials, read_prompts

    grid = numbers("--weights", weights) if weights else []
    if bool(grid) != bool(dev_reward) or bool(grid) != bool(dev):
        raise ConfigError("--weights, --dev and --dev-reward belong together: give all, or none.")
    examples = read_prompts(prompts, split=split, limit=limit)
    materials = open_materials(
        folder,
        reward_models=reward_model or (),
        tuned=named_values("--tuned", tuned),
        weights=named_numbers("--weight", weight),
        ensemble=ensemble,
        penalty=penalty,
        transform=transform,
        top_k=top_k,
        n_best=best_of,
        lookahead=lookahead,
        beta=beta,
    )
    rows = names(guides) or materials.available()
    check_names(rows, materials)
    tried: dict[str, dict[str, float]] = {}
    with watcher() as events, materials.generator.reward(reward) as gold:
        if grid:
            assert dev is not None
            materials, tried = _with_weights(
                materials,
                [name for name in rows if name in WEIGHTED and name not in materials.weights],
                grid,
                read_prompts(dev, split=dev_split, limit=limit),
                dev_reward or [],
                batch_size=batch_size,
                max_new_tokens=max_new_tokens,
                seed=seed,
            )
        found = compare(
            materials.generator,
            {name: make_entry(name, materials) for name in rows},
            examples,
            gold,
            n_samples=samples,
            max_new_tokens=max_new_tokens,
            seed=seed,
            batch_size=batch_size,
            out=out,
            is_restarted=force,
            events=events,
        )
    found |= {"generator": str(folder), "prompts": prompts, "weights_tried": tried}
    path = None
    if out is not None:
        from groot.engine.files import write_json
        from groot.report import write_report
        from groot.studies.compare_guides import GUIDES_FILE

        write_json(out / GUIDES_FILE, found)
        path = write_report(out)
    if json:
        answer_json(found | ({} if path is None else {"report": str(path)}))
        return
    _print(found)
    if path is not None:
        answer(f"report: {path}")


def _with_weights(
    materials: Materials,
    weighted: list[str],
    grid: list[float],
    examples: list[Any],
    reward: list[str],
    *,
    batch_size: int,
    max_new_tokens: int | None,
    seed: int,
) -> tuple[Materials, dict[str, dict[str, float]]]:
    """The materials with the best weight of each guide, and what was tried."""
    import dataclasses

    from groot.studies.compare_guides import mean_reward_of
    from groot.studies.guide_entries import choose_weights, make_entry

    with materials.generator.reward(reward) as judge:

        def mean_reward(name: str, weight: float) -> float:
            entry = make_entry(name, dataclasses.replace(materials, weights={name: weight}))
            return mean_reward_of(
                entry,
                examples,
                judge,
                batch_size=batch_size,
                max_new_tokens=max_new_tokens,
                seed=seed,
            )

        best, tried = choose_weights(weighted, grid, mean_reward)
    return dataclasses.replace(materials, weights={**materials.weights, **best}), tried


def _print(found: Mapping[str, Any]) -> None:
    from groot.cli.guide_tables import claims_table, guides_table

    answer_table(guides_table(found))
    if found["claims"]:
        answer_table(claims_table(found))
    for name, values in found["weights_tried"].items():
        shown = ", ".join(f"{weight}: {value:.3f}" for weight, value in values.items())
        answer(f"weights tried for {name}, mean dev reward: {shown}")
