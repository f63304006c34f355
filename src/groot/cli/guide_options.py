"""Options that the commands on guides share, and `NAME=VALUE` words behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from groot.errors import ConfigError

GeneratorArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="the folder of a generator, or of its run")
]
PromptsOption = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help='JSONL, each line {"prompt": ...} and whatever the reward needs; or a benchmark',
    ),
]
SplitOption = Annotated[
    Literal["train", "dev", "test"], typer.Option(help="of a benchmark or a folder of splits")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="prompts at most, the first ones; default: all")
]
RewardModelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--reward-model",
        metavar="DIR",
        help="a folder that groot reward-model wrote, or a sequence classifier; several times: one"
        " of each kind, or more with --ensemble",
    ),
]
EnsembleOption = Annotated[
    Literal["mean", "worst", "uncertainty"] | None,
    typer.Option(
        help="make several reward models of one kind into one: their mean, the lowest, or the mean"
        " less --penalty times the variance",
    ),
]
PenaltyOption = Annotated[
    float, typer.Option(min=0, help="of --ensemble uncertainty, per unit of reward")
]
TransformOption = Annotated[
    Literal["none", "log_sigmoid"],
    typer.Option(
        help="of rewards, in guides of next tokens: log_sigmoid takes a reward for the logit of a"
        " success and adds its log-probability",
    ),
]
TunedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tuned",
        metavar="NAME=DIR",
        help="a tuned generator, dpo=DIR or grpo=DIR; the implicit guide needs dpo",
    ),
]
WeightOption = Annotated[
    list[str] | None,
    typer.Option(
        "--weight",
        metavar="GUIDE=NUMBER",
        help="nats per unit of reward, pargs=2; default: the guide's own",
    ),
]
TopKOption = Annotated[
    int, typer.Option("--top-k", "-k", min=1, help="tokens that unguided samples are drawn from")
]
LookaheadOption = Annotated[
    int, typer.Option(min=0, help="tokens that deal writes on behind each candidate")
]
MaxNewTokensOption = Annotated[
    int | None,
    typer.Option(min=1, help="tokens of a text at most, its end counted; default: the generator's"),
]


def named_values(option: str, words: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` words.

    >>> named_values("--tuned", ["dpo=runs/dpo"])
    {'dpo': 'runs/dpo'}

    Raises:
        ConfigError: for a word that is none, or a name that comes twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        name, _, value = word.partition("=")
        if not name or not value or name in found:
            raise ConfigError(f"{option} {word}: write NAME=VALUE, each name once.")
        found[name] = value
    return found


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
    return [number(f"{option} {text}", one) for one in text.split(",")]


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
