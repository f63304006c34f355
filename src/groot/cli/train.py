"""groot train: fit a labeler or a generator to data, optimise it for a reward, evaluate, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table, is_first_process, say
from groot.cli.data_options import FormatOption, TaskOption
from groot.cli.reader_option import ReaderOption, parse_reader
from groot.cli.run_options import DryRunOption, ForceOption, JsonOption, interruptible
from groot.config import Config, describe, load_config, to_yaml
from groot.errors import ConfigError


def train(
    data: Annotated[
        str | None, typer.Argument(metavar="TRAIN", help=describe("data.train"), show_default=False)
    ] = None,
    dev: Annotated[str | None, typer.Option(help=describe("data.dev"))] = None,
    test: Annotated[str | None, typer.Option(help=describe("data.test"))] = None,
    reward: Annotated[
        list[str] | None, typer.Option(metavar="REWARD...", help=describe("reward.specs"))
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="the run's folder; made if it is not there")
    ] = None,
    seed: Annotated[int | None, typer.Option(help=describe("seed"))] = None,
    model: Annotated[str | None, typer.Option(help=describe("model.name"))] = None,
    label_style: Annotated[
        Literal["token", "words"] | None, typer.Option(help=describe("model.label_style"))
    ] = None,
    task: TaskOption = None,
    format: FormatOption = None,
    reader: ReaderOption = None,
    on_bad_lines: Annotated[
        Literal["stop", "skip"] | None, typer.Option(help=describe("data.on_bad_lines"))
    ] = None,
    candidates: Annotated[
        str | None, typer.Option(metavar="FILE", help=describe("optimise.candidates_file"))
    ] = None,
    reward_timeout: Annotated[float | None, typer.Option(help=describe("reward.timeout_s"))] = None,
    reward_workers: Annotated[int | None, typer.Option(help=describe("reward.workers"))] = None,
    on_reward_error: Annotated[
        Literal["stop", "skip"] | None, typer.Option(help=describe("reward.on_error"))
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="settings as YAML; see --print-config")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="one setting, such as fit.passes=10"),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="print all settings, each explained, and stop")
    ] = False,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Fit a labeler or a generator of text, optimise it for a reward, evaluate, report.

    The same command again continues where it stopped; a finished run prints its results.

    \b
    Examples:
    groot train train.conll --dev dev.conll --reward f0.5 --out runs/first
    groot train mit_restaurant --reward f0.5=0.8 exact=0.2 --out runs/mixed
    groot train atis --reward my_metric.py:score --out runs/mine
    groot train prompts.jsonl --reward length:4-12 --out runs/texts
    groot train atis --out runs/atis --set fit.passes=10 --dry-run
    groot train --print-config > run.yaml
    groot train --config run.yaml --out runs/first
    """
    flags: dict[str, Any] = {
        "data.train": data,
        "data.dev": dev,
        "data.test": test,
        "data.task": task,
        "data.format": format,
        "data.on_bad_lines": on_bad_lines,
        "reward.specs": reward or None,
        "reward.timeout_s": reward_timeout,
        "reward.workers": reward_workers,
        "reward.on_error": on_reward_error,
        "seed": seed,
        "model.name": model,
        "model.label_style": label_style,
        "optimise.candidates_file": candidates,
    }
    flags |= {f"data.reader.{name}": value for name, value in parse_reader(reader).items()}
    given = {name: value for name, value in flags.items() if value is not None}
    checked = load_config(config, set_ or (), flags=given)
    if print_config:
        answer(to_yaml(checked, explained=True).rstrip())
        return
    folder = _folder(checked, out)
    if dry_run:
        _print_plan(checked, as_json=json)
    else:
        _train(checked, folder, force=force, as_json=json)


def _folder(config: Config, out: Path | None) -> Path:
    mistakes = []
    if config.data.train is None:
        mistakes.append("no training data: groot train TRAIN, or data.train in --config.")
    if out is None:
        mistakes.append("no folder for the run: add --out DIR.")
    file = config.optimise.candidates_file
    if file is not None and not Path(file).is_file():
        mistakes.append(f"{file}: no such file of candidates.")
    if mistakes or out is None:
        raise ConfigError("\n  ".join(mistakes))
    return out


def _print_plan(config: Config, *, as_json: bool) -> None:
    from groot.cli.tables import plan_table
    from groot.recipes.plan_run import plan_run

    plan = plan_run(config)
    if as_json:
        answer_json(plan.as_json())
        return
    answer_table(plan_table(plan))
    for problem in plan.problems:
        say(f"warning: will be skipped: {problem}")


def _train(config: Config, folder: Path, *, force: bool, as_json: bool) -> None:
    from groot.cli.progress import watcher
    from groot.cli.tables import paired_table, results_table
    from groot.recipes.run import train_run

    with interruptible(), watcher() as events:
        results = train_run(config, out=folder, events=events, force=force)
    if not is_first_process():
        return
    report = folder / "report.html"
    if config.output.report and not report.is_file():
        from groot.report import write_report

        write_report(folder)
    if as_json:
        answer_json(results)
        return
    answer_table(results_table(results))
    answer_table(paired_table(results))
    answer(f"model: {folder / 'model'}")
    if report.is_file():
        answer(f"report: {report}")
