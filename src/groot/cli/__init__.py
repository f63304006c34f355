"""The terminal: one file per command. A command parses, calls one recipe, prints."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from groot import __version__
from groot.cli.calibrate import calibrate
from groot.cli.compare_guides import compare_guides
from groot.cli.console import say
from groot.cli.convert import convert
from groot.cli.diagnose import diagnose
from groot.cli.doctor import doctor
from groot.cli.evaluate import evaluate
from groot.cli.export import export
from groot.cli.predict import predict
from groot.cli.report import report
from groot.cli.reward_model import reward_model
from groot.cli.reward_option import RewardCommand
from groot.cli.steer import steer
from groot.cli.threshold import threshold
from groot.cli.train import train
from groot.cli.tune import tune
from groot.engine.heap import keep_freed_memory
from groot.errors import GrootError

BAD_INPUT = 2  # exit code
PIPE_CLOSED = 1  # exit code

app = typer.Typer(
    name="groot",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=RewardCommand, no_args_is_help=True)(train)
app.command(cls=RewardCommand, no_args_is_help=True)(predict)
app.command(cls=RewardCommand, no_args_is_help=True)(evaluate)
app.command(no_args_is_help=True)(calibrate)
app.command(cls=RewardCommand, no_args_is_help=True)(threshold)
app.command(no_args_is_help=True)(doctor)
app.command(no_args_is_help=True)(convert)
app.command("compare-guides", cls=RewardCommand, no_args_is_help=True)(compare_guides)
app.command(cls=RewardCommand, no_args_is_help=True)(diagnose)
app.command("reward-model", no_args_is_help=True)(reward_model)
app.command(cls=RewardCommand, no_args_is_help=True)(tune)
app.command(cls=RewardCommand, no_args_is_help=True)(steer)
app.command(no_args_is_help=True)(report)
app.command(no_args_is_help=True)(export)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"groot {__version__}")
        raise typer.Exit


@app.callback()
def groot(
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Train a labeler or text generator for the metric you care about.

    \b
    Start with:
    groot doctor train.conll
    groot train train.conll --reward f0.5 --out runs/first
    groot predict runs/first --in texts.jsonl --out labelled.jsonl

    Exit codes: 0 good, 1 warnings of doctor, 2 bad input, 130 and 143 interrupted.
    """


def main() -> None:
    """Run the command line; errors that groot raises on purpose come without a traceback."""
    logging.basicConfig(level=os.environ.get("GROOT_LOG", "WARNING").upper(), format="%(message)s")
    # Nothing is fetched, reported or animated behind the user's back by the libraries below.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character
            stream.reconfigure(errors="backslashreplace")
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        app()
    except SystemExit as leaving:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from groot.engine.processes import leave

            leave(leaving.code if isinstance(leaving.code, int) else 0)
        raise
    except GrootError as error:
        say(f"error: {error}")
        sys.exit(BAD_INPUT)
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End with the exit code of SIGTERM, open files closed; training saves first instead."""
    sys.exit(128 + number)
