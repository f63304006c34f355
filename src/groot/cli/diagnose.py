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
        typer.Option(metavar="REWARD...", help="Judge whole texts by this reward."),
    ],
    reward_model: RewardModelsOption = None,
    tuned: TunedOption = None,
    guides: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Look at the ranks of these guides of next tokens. Default: every one that there"
            " is material for, but for the costly ones (deal).",
        ),
    ] = None,
    split: SplitOption = "test",
    limit: LimitOption = None,
    samples: Annotated[int, typer.Option(min=2, help="Write so many texts for each prompt.")] = 16,
    rollouts: Annotated[int, typer.Option(min=1, help="Continue each prefix so many times.")] = 4,
    top_k: TopKOption = 10,
    weight: WeightOption = None,
    ensemble: EnsembleOption = None,
    penalty: PenaltyOption = 0.5,
    transform: TransformOption = "none",
    max_new_tokens: MaxNewTokensOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Write so many texts together.")] = 64,
    seed: Annotated[int, typer.Option(help="Draw everything that is drawn from this seed.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write diagnosis.json and the report into this folder."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
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
    from groot.guides import Guide
    from groot.studies.diagnose import DIAGNOSIS_FILE, DiagnosisSettings, Suspects
    from groot.studies.diagnose import diagnose as ask
    from groot.studies.guide_entries import EntrySettings, check_names, make_entry
    from groot.studies.open_guides import open_contenders, read_prompts

    examples = read_prompts(prompts, split=split, limit=limit)
    contenders = open_contenders(
        folder,
        reward_models=reward_model or (),
        tuned=named_values("--tuned", tuned),
        ensemble=ensemble,
        penalty=penalty,
        settings=EntrySettings(
            weights=named_numbers("--weight", weight), transform=transform, top_k=top_k
        ),
    )
    rows = names(guides) or contenders.default_rows()
    check_names(rows, contenders)
    made = {name: make_entry(name, contenders).guide for name in rows}
    suspects = Suspects(
        contenders.reward_models,
        {name: guide for name, guide in made.items() if isinstance(guide, Guide)},
    )
    with watcher() as events, contenders.generator.reward(reward) as gold:
        diagnosis = ask(
            contenders.generator,
            examples,
            gold,
            suspects=suspects,
            settings=DiagnosisSettings(samples, rollouts, max_new_tokens, seed, batch_size),
            out=out,
            events=events,
        )
    diagnosis |= {"generator": str(folder), "prompts": prompts}
    path = None
    if out is not None:
        from groot.engine.files import write_json
        from groot.report import write_report

        write_json(out / DIAGNOSIS_FILE, diagnosis)
        path = write_report(out)
    if json:
        answer_json(diagnosis | ({} if path is None else {"report": str(path)}))
        return
    for table in diagnosis_tables_of_guides(diagnosis):
        answer_table(table)
    if diagnosis["one_reward"]:
        answer(f"{diagnosis['one_reward']:.0%} of the prompts: all samples have one reward")
    for name, share in diagnosis["disagreement"].items():
        shown = "-" if share is None else f"{share:.0%}"
        answer(f"{name}: order {shown} of the prefixes differently")
    if path is not None:
        answer(f"report: {path}")
