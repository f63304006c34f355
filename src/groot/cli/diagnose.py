"""groot diagnose: is a reward worth steering by, token by token?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groot.cli.console import answer, answer_json, answer_table
from groot.cli.guide_options import StudyOptions, written_with_report
from groot.cli.option_groups import with_groups
from groot.cli.run_options import JsonOption


@with_groups
def diagnose(
    study: StudyOptions,
    reward: Annotated[
        list[str],
        typer.Option(metavar="REWARD...", help="Judge whole texts by this reward."),
    ],
    samples: Annotated[int, typer.Option(min=2, help="Write so many texts for each prompt.")] = 16,
    rollouts: Annotated[int, typer.Option(min=1, help="Continue each prefix so many times.")] = 4,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write diagnosis.json and the report into this folder."),
    ] = None,
    json: JsonOption = False,
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
    from groot.studies.guide_entries import make_entry

    examples = study.examples()
    contenders = study.contenders()
    rows = study.rows(contenders)
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
            settings=DiagnosisSettings(
                samples, rollouts, study.max_new_tokens, study.seed, study.batch_size
            ),
            out=out,
            events=events,
        )
    diagnosis |= {"generator": str(study.folder), "prompts": study.prompts}
    report = written_with_report(out, DIAGNOSIS_FILE, diagnosis)
    if json:
        answer_json(diagnosis | report)
        return
    for table in diagnosis_tables_of_guides(diagnosis):
        answer_table(table)
    if diagnosis["one_reward"]:
        answer(f"{diagnosis['one_reward']:.0%} of the prompts: all samples have one reward")
    for name, share in diagnosis["disagreement"].items():
        shown = "-" if share is None else f"{share:.0%}"
        answer(f"{name}: order {shown} of the prefixes differently")
    if report:
        answer(f"report: {report['report']}")
