"""groot evaluate: the numbers of one run, or of two compared example by example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from groot.cli.console import answer, answer_json, answer_table
from groot.cli.data_options import ReadingOptions, SplitOption
from groot.cli.option_groups import with_groups
from groot.cli.run_options import JsonOption
from groot.errors import ConfigError

if TYPE_CHECKING:
    from groot.studies.evaluate_folder import Evaluation, EvaluationSettings
    from groot.studies.labelled_data import LabelledData


@with_groups
def evaluate(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR [DIR]", help="the folder of one run, or of two")
    ],
    reading: ReadingOptions,
    data: Annotated[
        str | None,
        typer.Option(
            help="data to predict: a file, a folder or a benchmark; default: the predictions that"
            " the run stored when it finished"
        ),
    ] = None,
    split: SplitOption = "test",
    predictions: Annotated[
        Literal["fit", "fit_mbr", "optimised", "optimised_mbr"],
        typer.Option(help="which of the stored predictions"),
    ] = "optimised",
    reward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REWARD...",
            help="rewards to measure; default: the run's, which must be the same of two runs",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            "-k",
            min=1,
            help="ranks that are reported; default: 5, or 1 with --thresholds",
        ),
    ] = None,
    choose: Annotated[
        Literal["top", "mbr"],
        typer.Option(help="rank 1 is the most probable candidate, or the best expected one"),
    ] = "top",
    exact: Annotated[
        bool,
        typer.Option(
            "--exact/--no-exact",
            help="search data until the top k are proven to be the most probable, and report at"
            " which width they were; or take what one search finds",
        ),
    ] = True,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="measure data without the spans below their label's threshold; a file of groot"
            " threshold",
        ),
    ] = None,
    bootstrap_samples: Annotated[
        int, typer.Option(min=0, help="resamples for the intervals; 0 leaves them out")
    ] = 2000,
    json: JsonOption = False,
) -> None:
    """Measure one run, or compare two: P/R/F, reward by rank, 95 % intervals, share proven.

    With two folders: both by one reward, and whether the second is better than the first, by a
    paired test.

    \b
    Examples:
    groot evaluate runs/first --data test.conll --json
    groot evaluate runs/first runs/second --data mit_restaurant
    groot evaluate runs/first runs/second          (on the predictions stored by the runs)
    """
    from groot.studies.evaluate_folder import EvaluationSettings

    if len(folders) > 2:
        raise ConfigError(f"{len(folders)} folders: give one, or two to compare.")
    if data is None and not exact:
        raise ConfigError("--no-exact needs --data: stored predictions have been searched already.")
    if data is None and reward:
        raise ConfigError("--reward needs --data: stored predictions hold the run's own rewards.")
    if data is None and thresholds is not None:
        raise ConfigError("--thresholds needs --data: stored predictions have few candidates.")
    evaluations = _evaluations(
        folders,
        None if data is None else reading.labelled(data, split),
        EvaluationSettings(
            reward=tuple(reward) if reward else None,
            k=k or (5 if thresholds is None else 1),
            choose=choose,
            exact=exact,
            thresholds=thresholds,
        ),
        predictions,
    )
    summaries = [each.summary(n_resamples=bootstrap_samples) for each in evaluations]
    if len(evaluations) == 1:
        _print_one(folders[0], evaluations[0], summaries[0], as_json=json)
    else:
        _print_two(folders, evaluations, summaries, as_json=json)


def _evaluations(
    folders: list[Path],
    data: LabelledData | None,
    settings: EvaluationSettings,
    predictions: str,
) -> Sequence[Evaluation]:
    from groot.cli.progress import watcher
    from groot.studies.evaluate_folder import evaluate_folder, evaluate_two
    from groot.studies.stored_evaluation import stored_evaluation, stored_evaluations

    if data is None:
        if len(folders) == 1:
            return [stored_evaluation(folders[0], predictions=predictions, k=settings.k)]
        return stored_evaluations((folders[0], folders[1]), predictions=predictions, k=settings.k)
    with watcher() as events:
        if len(folders) == 1:
            return [evaluate_folder(folders[0], data, settings, events=events)]
        return evaluate_two((folders[0], folders[1]), data, settings, events=events)


def _print_one(
    folder: Path, evaluation: Evaluation, summary: dict[str, Any], *, as_json: bool
) -> None:
    from groot.cli.tables import measurement_tables

    if as_json:
        answer_json(summary)
        return
    for table in measurement_tables(summary, title=str(folder)):
        answer_table(table)
    _print_notes(evaluation)


def _print_notes(evaluation: Evaluation) -> None:
    if evaluation.proofs is not None:
        answer(evaluation.proofs.line())
    for sentence in evaluation.seen_sentences():
        answer(sentence)


def _print_two(
    folders: list[Path],
    evaluations: Sequence[Evaluation],
    summaries: list[dict[str, Any]],
    *,
    as_json: bool,
) -> None:
    from groot.cli.tables import measurement_tables, paired_table
    from groot.evaluation.comparison import CHOOSING_SPLIT
    from groot.studies.evaluate_folder import compare_evaluations

    paired = compare_evaluations(*evaluations)
    if as_json:
        answer_json({"before": summaries[0], "after": summaries[1], "paired": paired})
        return
    for folder, evaluation, summary in zip(folders, evaluations, summaries, strict=True):
        answer_table(measurement_tables(summary, title=str(folder))[0])
        _print_notes(evaluation)
    split = CHOOSING_SPLIT if any(each.chose for each in evaluations) else None
    title = f"{folders[1]} - {folders[0]}"
    answer_table(paired_table({"paired": paired, "split": split}, title=title))
    reward = evaluations[0].measurement.reward
    answer(f"{summaries[0]['n_examples']} examples, each predicted by both; reward: {reward}")
