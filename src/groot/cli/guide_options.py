"""Options that the commands on guides share, and `NAME=VALUE` words behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from groot.cli.data_options import SplitOption
from groot.errors import ConfigError

if TYPE_CHECKING:
    from groot.studies.guide_entries import Contenders
    from groot.types import Example

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


GuidesOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="Take these guides, or rows, only. Default: every one that there is material for, but"
        " for the costly ones (deal), which take longer than all others together: name them.",
    ),
]


@dataclass(frozen=True)
class StudyOptions:
    """What a study of guides is about: a generator, prompts, guides and what they are made of."""

    folder: GeneratorArgument
    prompts: PromptsOption
    reward_model: RewardModelsOption = None
    tuned: TunedOption = None
    guides: GuidesOption = None
    split: SplitOption = "test"
    limit: LimitOption = None
    top_k: TopKOption = 10
    weight: WeightOption = None
    ensemble: EnsembleOption = None
    penalty: PenaltyOption = 0.5
    transform: TransformOption = "none"
    max_new_tokens: MaxNewTokensOption = None
    batch_size: Annotated[int, typer.Option(min=1, help="Write so many texts together.")] = 64
    seed: Annotated[
        int, typer.Option(help="Draw everything that is drawn, and the tests, from this seed.")
    ] = 0

    def examples(self) -> list[Example]:
        """The prompts, read."""
        from groot.studies.open_guides import read_prompts

        return read_prompts(self.prompts, split=self.split, limit=self.limit)

    def contenders(self, **settings: Any) -> Contenders:
        """The generator with all that guides of it are made of.

        Args:
            settings: further ones of `EntrySettings`.
        """
        from groot.studies.guide_entries import EntrySettings
        from groot.studies.open_guides import open_contenders

        return open_contenders(
            self.folder,
            reward_models=self.reward_model or (),
            tuned=named_values("--tuned", self.tuned),
            ensemble=self.ensemble,
            penalty=self.penalty,
            settings=EntrySettings(
                weights=named_numbers("--weight", self.weight),
                transform=self.transform,
                top_k=self.top_k,
                **settings,
            ),
        )

    def rows(self, contenders: Contenders) -> list[str]:
        """The names of the guides that are asked for, or that there is material for.

        Raises:
            ConfigError: for a name that is unknown, or that there is no material for.
        """
        from groot.studies.guide_entries import check_names

        rows = names(self.guides) or contenders.default_rows()
        check_names(rows, contenders)
        return rows


def written_with_report(out: Path | None, file: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Write the numbers of a study and the report into its folder, where one is given.

    Returns:
        `report`, the path of the report, for what is printed as JSON; nothing without a folder.
    """
    if out is None:
        return {}
    from groot.engine.files import write_json
    from groot.report import write_report

    write_json(out / file, numbers)
    return {"report": str(write_report(out))}


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
