"""groot reward-model: learn from preferences how good an output is, and every prefix of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table, is_first_process, say
from groot.cli.run_options import DryRunOption, ForceOption, JsonOption, interruptible
from groot.errors import ConfigError

if TYPE_CHECKING:
    from groot.data.preferences import PreferenceSet

CANDIDATE_FILES = (".parquet",)


def reward_model(
    preferences: Annotated[
        str,
        typer.Argument(
            metavar="PREFS",
            help="pairs as JSON lines or a dataset with prompt, chosen, rejected; or a parquet"
            " file of candidates with rewards, which pairs are made from",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="the backbone: the folder of a generator or labeler, so that tokens match, or any"
            " causal or encoder-decoder model; for --kind sequence also a sequence classifier or an"
            " encoder",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of the run; made if needed")],
    kind: Annotated[
        Literal["sequence", "partial", "value", "rad", "vocabulary", "additive"],
        typer.Option(help="what is learnt: sequence (ARGS), partial (PARGS), value (CD), ..."),
    ] = "partial",
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="PREFS", help="pairs to measure on; default: one prompt in ten of PREFS"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="the examples of a file of candidates: a file, folder or benchmark; default: the"
            " texts beside it, where a run has written it"
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, help="candidates: rewards of a pair differ by more than this")
    ] = 0.0,
    max_pairs: Annotated[
        int, typer.Option(min=1, help="candidates: pairs of one example at most")
    ] = 8,
    passes: Annotated[int, typer.Option(min=1, help="passes over the pairs")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="pairs per step")] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="peak learning rate; default 0.001 for a model of up to 10 million weights, 0.0002"
            " for a larger one"
        ),
    ] = None,
    lora_r: Annotated[
        int, typer.Option(min=0, help="rank of LoRA adapters; 0 trains all weights")
    ] = 0,
    seed: Annotated[int, typer.Option(help="decides the order, and what is held out")] = 1,
    on_bad_rows: Annotated[
        Literal["stop", "skip"],
        typer.Option(help="what to do with rows that cannot be used, and missing rewards"),
    ] = "stop",
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Train a reward model on preferences; report accuracy by length and calibration.

    DIR/report.html shows both as plots.
    The same command again continues where it stopped; a finished run prints its results.

    \b
    Examples:
    groot reward-model pairs.jsonl --model runs/text --out runs/pargs
    groot reward-model pairs.jsonl --model runs/text --kind vocabulary --out runs/farma
    groot reward-model pairs.jsonl --model deberta-v3-base --kind sequence \\
        --learning-rate 2e-5 --out runs/judge
    groot reward-model runs/first/candidates/round-1.parquet --model runs/first/fitted \\
        --out runs/first-reward
    """
    from groot.recipes.reward_model import RewardModelSettings

    settings = RewardModelSettings(
        kind=kind,
        passes=passes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        lora_r=lora_r,
        seed=seed,
    )

    def read(where: str) -> PreferenceSet:
        return _read(
            where,
            data,
            margin=margin,
            max_pairs=max_pairs,
            seed=seed,
            on_bad_rows=on_bad_rows,
        )

    pairs = read(preferences)
    held = None if held_out is None else read(held_out)
    for given in (pairs, held):
        if given is not None and given.problems:
            say(f"warning: {len(given.problems)} rows of {given.where} were left out")
    if dry_run:
        from groot.recipes.reward_model import plan_reward_model

        _print_plan(plan_reward_model(pairs, model, settings=settings, held_out=held), as_json=json)
        return
    from groot.cli.progress import watcher
    from groot.recipes.reward_model import train_reward_model

    with interruptible(), watcher() as events:
        results = train_reward_model(
            pairs,
            model,
            out=out,
            settings=settings,
            held_out=held,
            events=events,
            force=force,
        )
    if is_first_process():
        from groot.report import write_report

        _print_results(results, out, write_report(out), as_json=json)


def _read(
    where: str,
    data: str | None,
    *,
    margin: float,
    max_pairs: int,
    seed: int,
    on_bad_rows: Literal["stop", "skip"],
) -> PreferenceSet:
    from groot.data.preferences import preferences_of_candidates, read_preferences

    if Path(where).suffix not in CANDIDATE_FILES:
        return read_preferences(where, on_bad_rows=on_bad_rows)
    from groot.rollouts.store import texts_file

    beside = texts_file(Path(where))
    if data is None and not beside.is_file():
        raise ConfigError(f"{where}: add --data, the examples that the candidates were made for.")
    from groot.data.candidates import read_candidates
    from groot.data.read import read_examples
    from groot.evaluation.records import read_records

    examples = read_records(beside)[0] if data is None else read_examples(data).examples
    made = preferences_of_candidates(
        read_candidates(where, examples),
        examples,
        margin=margin,
        max_pairs=max_pairs,
        seed=seed,
        on_missing_reward=on_bad_rows,
    )
    made.where = where
    return made


def _print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        answer_json(plan)
        return
    pairs = plan["pairs"]
    answer(f"kind: {plan['kind']}")
    answer(f"pairs: {pairs['train']} to learn from, {pairs['held_out']} held out")
    for line in plan["unusable"]:
        say(f"warning: cannot be used: {line}")
    if plan["output_tokens"]:
        tokens = plan["output_tokens"]
        answer(f"tokens of the longer output: median {tokens['median']}, most {tokens['longest']}")
    answer(f"weights: {plan['parameters']:,}, of which {plan['trained']:,} are trained")
    answer(f"steps: {plan['steps']}")


def _print_results(results: dict[str, Any], out: Path, report: Path, *, as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        answer_json(results | {"report": str(report)})
        return
    table = Table(title=f"reward model of kind {results['kind']}: pairs in the right order")
    for name in ("length read", "train", "held out", "n held out"):
        table.add_column(name, justify="right")
    for trained, held in zip(
        results["train"]["by_tenth"], results["held_out"]["by_tenth"], strict=True
    ):
        table.add_row(
            f"{held['share']:.0%}", _share(trained["accuracy"]), _share(held["accuracy"]),
            str(held["n"]),
        )  # fmt: skip
    answer_table(table)
    pairs, error = results["pairs"], results["held_out"]["calibration"]["error"]
    answer(f"whole outputs, held out: {_share(results['held_out']['accuracy'])}")
    answer(f"calibration error of the chance to win, held out: {_share(error)}")
    answer("held-out pairs picked the weights, so their numbers flatter the model a little")
    answer(f"pairs: {pairs['train']} train, {pairs['held_out']} held out")
    answer(f"model: {out / 'model'}")
    answer(f"report: {report}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
