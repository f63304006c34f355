"""Options that the commands on guides share, and `NAME=VALUE` words behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from groot.errors import ConfigError

GeneratorArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a generator, or of its run.")
]
PromptsOption = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help='Read prompts from this JSONL file, each line {"prompt": ...} and whatever the reward'
        " needs; or from the benchmark of this name.",
    ),
]
SplitOption = Annotated[
    Literal["train", "dev", "test"],
    typer.Option(help="Read this part of a benchmark, or of a folder of splits."),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Read so many prompts at most, the first ones. Default: all."
    ),
]
RewardModelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--reward-model",
        metavar="DIR",
        help="Use the reward model in this folder: one that groot reward-model wrote, or a sequence"
        " classifier. Give it several times for one of each kind, or for more with --ensemble.",
    ),
]
EnsembleOption = Annotated[
    Literal["mean", "worst", "uncertainty"] | None,
    typer.Option(
        help="Make several reward models of one kind into one: their mean, the lowest, or the mean"
        " less --penalty times the variance.",
    ),
]
PenaltyOption = Annotated[
    float,
    typer.Option(
        min=0, help="Weigh the variance in --ensemble uncertainty by this, per unit of reward."
    ),
]
TransformOption = Annotated[
    Literal["none", "log_sigmoid"],
    typer.Option(
        help="Change rewards in guides of next tokens: log_sigmoid takes a reward for the logit of"
        " a success and adds its log-probability.",
    ),
]
TunedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tuned",
        metavar="NAME=DIR",
        help="Use the tuned generator in this folder: dpo=DIR or grpo=DIR. The implicit guide needs"
        " the one of dpo.",
    ),
]
WeightOption = Annotated[
    list[str] | None,
    typer.Option(
        "--weight",
        metavar="GUIDE=NUMBER",
        help="Give a guide this weight in nats per unit of reward: pargs=2. Default: its own.",
    ),
]
TopKOption = Annotated[
    int, typer.Option("--top-k", "-k", min=1, help="Draw unguided samples from so many tokens.")
]
LookaheadOption = Annotated[
    int, typer.Option(min=0, help="Let deal write so many tokens on behind each candidate.")
]
MaxNewTokensOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Cut a text at so many tokens, its end counted. Default: the generator's own."
    ),
]


def named_values(option: str, words: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` words.

    >>> named_values("--tuned", ["dpo=runs/dpo"])
    {'dpo': 'runs/dpo'}

    Raises:
        ConfigError: for a word that is none, or a name that comes twice.
    """
    values: dict[str, str] = {}
    for word in words or ():
        name, _, value = word.partition("=")
        if not name or not value or name in values:
            raise ConfigError(f"{option} {word}: write NAME=VALUE, each name once.")
        values[name] = value
    return values


def named_numbers(option: str, words: Sequence[str] | None) -> dict[str, float]:
    """`NAME=NUMBER` words.

    >>> named_numbers("--weight", ["pargs=2", "rad=10.5"])
    {'pargs': 2.0, 'rad': 10.5}

    Raises:
        ConfigError: for a word that is none, or a number that is not finite.
    """
    return {
        name: number(f"{option} {name}={value}", value)
        for name, value in named_values(option, words).items()
    }


def numbers(option: str, text: str) -> list[float]:
    """Numbers between commas.

    >>> numbers("--weights", "0.5,1,2")
    [0.5, 1.0, 2.0]
    """
    return [number(f"{option} {text}", part) for part in text.split(",")]


def number(where: str, text: str) -> float:
    """A finite number.

    Raises:
        ConfigError: for anything else.
    """
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text!r} is not a number.") from error
    if not abs(value) < float("inf"):
        raise ConfigError(f"{where}: want a finite number.")
    return value


def names(text: str | None) -> list[str] | None:
    """Names between commas; None where nothing was given.

    >>> names("args, pargs"), names(None)
    (['args', 'pargs'], None)
    """
    if text is None:
        return None
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
