"""groot predict: JSONL in, JSONL out, continued where it was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from groot.cli.console import answer_json, say
from groot.cli.data_options import MbrRewardOption, WriterFolderArgument
from groot.cli.guide_options import EnsembleOption, PenaltyOption, TransformOption
from groot.cli.run_options import INTERRUPTED, JsonOption
from groot.errors import ConfigError, DataError
from groot.work.continued_file import STANDARD


def predict(
    folder: WriterFolderArgument,
    source: Annotated[
        Path,
        typer.Option(
            "--in",
            "-i",
            metavar="FILE",
            help='JSONL, each line {"text": ..., "id": ...} or "a text"; in .txt files each line is'
            " a text; - reads standard input",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", help="JSONL; continued if it is there; - prints"
        ),
    ] = STANDARD,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="candidates per text")] = 1,
    choose: Annotated[
        Literal["top", "mbr"] | None,
        typer.Option(
            help="first is the most probable candidate, or the best expected one; default: what"
            " groot steer found out with the guide, else top"
        ),
    ] = None,
    reward: MbrRewardOption = None,
    candidates: Annotated[
        int,
        typer.Option(
            min=0,
            help="candidates searched per text for probabilities, and for mbr; 0 searches no more"
            " than --top-k, which is fastest",
        ),
    ] = 16,
    calibrated: Annotated[
        bool | None,
        typer.Option(
            "--calibrated/--raw",
            help="probabilities mapped by the model's calibration, or its own; default: mapped"
            " where groot calibrate has made one",
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact/--no-exact",
            help="search until the candidates of --top-k are proven to be the most probable, or"
            " take what the first search finds; each line says whether they are",
        ),
    ] = True,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="drop spans below their label's threshold; a file of groot threshold",
        ),
    ] = None,
    guide: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="Steer by this guide: a name such as pargs (a wrong one lists all), or the folder"
            " of a saved guide.",
        ),
    ] = None,
    reward_model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Make the guide of this reward model: a folder that groot reward-model wrote, or a"
            " sequence classifier; name several of one kind with --ensemble.",
        ),
    ] = None,
    ensemble: EnsembleOption = None,
    penalty: PenaltyOption = 0.5,
    transform: TransformOption = "none",
    tuned: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The generator tuned with dpo, which the implicit guide needs."
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(help="Nats that the guide adds per unit of reward; default: the guide's own."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what a guide draws.")] = 0,
    save_guide: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="write the guide with its models and settings there"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="texts searched together")] = 64,
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            help="arithmetic; bfloat16 is faster on processors that have it, and some log_p are off"
            " in the second digit"
        ),
    ] = "float32",
    plain_text: Annotated[
        bool, typer.Option("--plain-text", help="each line is a text, whatever the file's name")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="start --out again from the beginning")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Label a file of texts, or write texts for a file of prompts: JSONL in, JSONL out.

    Texts of any length; each gets its candidates with log_p and probability, and each span its own.
    Ids and order are kept. Lines that cannot be read go to OUT.errors.jsonl with number and reason.

    \b
    Examples:
    groot predict runs/first --in texts.jsonl --out labelled.jsonl --top-k 5
    echo '"play nina simone"' | groot predict runs/first --in -
    groot predict runs/first --in texts.jsonl --guide pargs --reward-model runs/first-reward
    groot predict runs/text --in prompts.jsonl --guide pargs --reward-model runs/partial
    groot predict runs/text --in prompts.jsonl --guide pargs --ensemble worst \\
        --reward-model runs/partial-1 --reward-model runs/partial-2
    """
    from groot.cli.progress import watcher
    from groot.work.guide_choice import GuideChoice
    from groot.work.predict_file import predict_file
    from groot.work.predicted_file import PredictedFile, dropped_line, speed_line
    from groot.work.predictor import Request

    if json and out == STANDARD:
        raise ConfigError("--json needs --out FILE: standard output holds the predictions.")
    of_guide = (reward_model, save_guide, ensemble, tuned, weight is not None)
    if guide is None and (any(of_guide) or transform != "none"):
        raise ConfigError(
            "--reward-model, --ensemble, --transform, --tuned, --weight and --save-guide belong to"
            " --guide NAME."
        )
    choice = None
    if guide is not None:
        choice = GuideChoice(
            guide,
            tuple(reward_model or ()),
            reward or None,
            weight,
            seed,
            save_guide,
            ensemble=ensemble,
            penalty=penalty,
            transform=transform,
            tuned=tuned,
        )
    request = Request(
        top_k=top_k,
        choose=choose,
        reward=tuple(reward) if reward else None,
        candidates=candidates,
        calibrated=calibrated,
        exact=exact,
        thresholds=thresholds,
        guide=choice,
        batch_size=batch_size,
        dtype=dtype,
    )
    done = PredictedFile()
    try:
        with watcher() as events:
            predict_file(
                folder,
                source,
                out,
                request,
                done=done,
                is_plain_text=plain_text or source.suffix == ".txt",
                is_restarted=force,
                events=events,
            )
    except KeyboardInterrupt:
        say(f"interrupted after {done.texts} texts; the same command again continues")
        raise typer.Exit(INTERRUPTED) from None
    if json:
        answer_json(done.as_json())
    if done.texts_per_second is not None:
        say(speed_line(done))
    if thresholds is not None:
        say(dropped_line(done))
    if done.bad_lines and done.errors is not None:
        say(f"warning: {done.bad_lines} lines could not be read; see {done.errors}")
    if done.bad_lines and not done.texts:
        raise DataError(
            f"{source}: none of its {done.bad_lines} lines could be read.\n"
            f"  First: {done.first_reason}"
        )
