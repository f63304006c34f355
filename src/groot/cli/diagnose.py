"""groot diagnose: is a reward worth steering by, token by token?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groot.cli.console import answer, answer_json, answer_table
from groot.cli.guide_options import (
    EnsembleOption,
    GeneratorArgument,
    LimitOption,
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
)


def diagnose(
    folder: GeneratorArgument,
    prompts: PromptsOption,
    reward: Annotated[
        list[str],
        typer.Option(metavar="REWARD...", help="the reward of whole texts that can be verified"),
    ],
    reward_model: RewardModelsOption = None,
    tuned: TunedOption = None,
    guides: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="guides of next tokens whose ranks are looked at; default: every one that there"
            " is material for, deal apart",
        ),
    ] = None,
    split: SplitOption = "test",
    limit: LimitOption = None,
    samples: Annotated[int, typer.Option(min=2, help="texts for each prompt")] = 16,
    rollouts: Annotated[int, typer.Option(min=1, help="continuations of each prefix")] = 4,
    top_k: TopKOption = 10,
    weight: WeightOption = None,
    ensemble: EnsembleOption = None,
    penalty: PenaltyOption = 0.5,
    transform: TransformOption = "none",
    max_new_tokens: MaxNewTokensOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="texts written together")] = 64,
    seed: Annotated[int, typer.Option(help="of samples, pairs, rollouts and intervals")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="folder for diagnosis.json and the report"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print the numbers as JSON")] = False,
) -> None:
    """Ask whether prefixes tell which text will be better, before you steer by them.

    Four questions, each with intervals: does the prefix of the better text have the better
    continuations, at each tenth of its length? Is reward spread over the tokens or does it come
    with one? Do reward models order prefixes against their own order of whole texts? How near the
    top does each guide have the tokens of the best sample?

    \b
    Examples:
    groot diagnose runs/text --prompts test.jsonl --reward length:4-8 --limit 100
    groot diagnose runs/text --prompts snips_requests --reward length:4-8 \\
        --reward-model runs/partial --reward-model runs/whole --out runs/guides
    """
    from groot.cli.guide_tables import diagnosis_tables_of_guides
    from groot.cli.progress import watcher
    from groot.guides.guide import Guide
    from groot.studies.diagnose import DIAGNOSIS_FILE
    from groot.studies.diagnose import diagnose as ask
    from groot.studies.guide_entries import check_names, make_entry
    from groot.studies.open_guides import open_materials, read_prompts

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
    )
    asked = names(guides)
    wanted = materials.available() if asked is None else asked
    check_names(wanted, materials)
    made = {
        name: make_entry(name, materials).guide
        for name in wanted
        if asked is not None or name != "deal"
    }
    with watcher() as events, materials.generator.reward(reward) as gold:
        found = ask(
            materials.generator,
            examples,
            gold,
            reward_models=materials.reward_models,
            guides={name: guide for name, guide in made.items() if isinstance(guide, Guide)},
            n_samples=samples,
            rollouts=rollouts,
            max_new_tokens=max_new_tokens,
            seed=seed,
            batch_size=batch_size,
            out=out,
            events=events,
        )
    found |= {"generator": str(folder), "prompts": prompts}
    path = None
    if out is not None:
        from groot.engine.files import write_json
        from groot.report import write_report

        write_json(out / DIAGNOSIS_FILE, found)
        path = write_report(out)
    if json:
        answer_json(found | ({} if path is None else {"report": str(path)}))
        return
    for table in diagnosis_tables_of_guides(found):
        answer_table(table)
    if found["one_reward"]:
        answer(f"{found['one_reward']:.0%} of the prompts: all samples have one reward")
    for name, share in found["disagreement"].items():
        shown = "-" if share is None else f"{share:.0%}"
        answer(f"{name}: order {shown} of the prefixes differently")
    if path is not None:
        answer(f"report: {path}")
