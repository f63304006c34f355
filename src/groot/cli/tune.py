"""groot tune: DPO or GRPO for a generator, the reference beside guides of the frozen one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from groot.cli.console import answer, answer_json
from groot.cli.data_options import SplitOption
from groot.cli.guide_options import GeneratorArgument, LimitOption
from groot.cli.run_options import ForceOption, JsonOption, interruptible
from groot.errors import ConfigError


def tune(
    folder: GeneratorArgument,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="the run's folder; made if it is not there")
    ],
    objective: Annotated[
        Literal["dpo", "grpo"],
        typer.Option(help="dpo learns from preferences, grpo from rewards of its own samples"),
    ] = "dpo",
    preferences: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="what dpo learns from: JSON lines or a dataset with prompt, chosen, rejected",
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="grpo: JSONL with prompts, or a benchmark"),
    ] = None,
    split: SplitOption = "train",
    limit: LimitOption = None,
    reward: Annotated[
        list[str] | None, typer.Option(metavar="REWARD...", help="grpo: what to maximise")
    ] = None,
    beta: Annotated[float, typer.Option(help="dpo: reward per nat")] = 0.1,
    kl: Annotated[
        float, typer.Option(min=0, help="grpo: weight of the distance from the start")
    ] = 0.04,
    passes: Annotated[
        int, typer.Option(min=1, help="passes over the pairs, or over the samples of a round")
    ] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="grpo: how often samples are drawn")] = 10,
    prompts_per_round: Annotated[
        int, typer.Option(min=1, help="grpo: prompts that samples are drawn for")
    ] = 64,
    group: Annotated[int, typer.Option(min=2, help="grpo: samples of each prompt")] = 8,
    batch_size: Annotated[
        int, typer.Option(min=1, help="pairs, or prompts with their samples, per step")
    ] = 16,
    learning_rate: Annotated[float, typer.Option(help="peak learning rate")] = 1e-4,
    seed: Annotated[int, typer.Option(help="decides samples, order and what is held out")] = 1,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Tune a generator with DPO or GRPO, from the folder's weights, which stay as they are.

    The same command again continues where it stopped; a finished run prints its results.

    \b
    Examples:
    groot tune runs/text --objective dpo --preferences pairs.jsonl --out runs/dpo
    groot tune runs/text --objective grpo --prompts train.jsonl --reward length:4-8 --out runs/grpo
    """
    from groot.cli.progress import watcher
    from groot.data.preferences import read_preferences
    from groot.recipes.tune_text import TuneSettings, tune_text
    from groot.studies.open_guides import open_generator, read_prompts

    if objective == "dpo" and preferences is None:
        raise ConfigError("dpo learns from preferences: add --preferences FILE.")
    if objective == "grpo" and (prompts is None or not reward):
        raise ConfigError("grpo learns from its own samples: add --prompts FILE and --reward.")
    settings = TuneSettings(
        objective=objective,
        beta=beta,
        kl=kl,
        passes=passes,
        rounds=rounds,
        prompts_per_round=prompts_per_round,
        group=group,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    with interruptible(), watcher() as events:
        if objective == "dpo":
            assert preferences is not None
            results = tune_text(
                folder,
                out=out,
                settings=settings,
                preferences=read_preferences(preferences),
                events=events,
                force=force,
            )
        else:
            assert prompts is not None
            examples = read_prompts(prompts, split=split, limit=limit)
            with open_generator(folder).reward(reward) as judge:
                results = tune_text(
                    folder,
                    out=out,
                    settings=settings,
                    examples=examples,
                    reward=judge,
                    events=events,
                    force=force,
                )
    if json:
        answer_json(results)
        return
    answer(f"{results['selects_on']}: {results['before']:.3f} before, {results['best']:.3f} after")
    answer("this number picked the weights, so it flatters them a little")
    answer(f"steps: {results['steps']}")
    answer(f"model: {out / 'model'}")
