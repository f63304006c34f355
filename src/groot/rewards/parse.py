"""From what a user types after --reward to a Reward."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groot.engine.marks import mark_of_json
from groot.errors import ConfigError, ModelError, UnknownNameError
from groot.rewards.call_settings import CallSettings
from groot.rewards.compose import OwnPart, Part, Reward
from groot.rewards.cost_file import read_cost_table
from groot.rewards.free_text import BatchPart
from groot.rewards.labeler_judge import OpenLabeler
from groot.rewards.overlap import FBeta

F_BETA = re.compile(r"(class_)?f(\d+(?:\.\d*)?|\.\d+)")
WEIGHTED = re.compile(r"(?P<spec>.+)=(?P<weight>[^=]*)")

RewardSpec = str | Callable[..., Any]


@dataclass(frozen=True)
class UsersFunction:
    """A function of the user's own before it is loaded: where it is, or the function itself."""

    function: RewardSpec


def parse_rewards(
    specs: Sequence[RewardSpec],
    *,
    weights: Sequence[float] | None = None,
    calls: CallSettings | None = None,
    gold_text: Callable[[Any], str | None] | None = None,
    open_labeler: OpenLabeler | None = None,
) -> Reward:
    """The reward that the specs name, summed with their weights.

    Args:
        specs: each a name of the table ("exact"), any F-beta ("f0.5"), a cost table
            ("costs.yaml"), a reward of free text with its settings ("length:4-12"), a function of
            the user's own ("package.module:function", "path/file.py:function", or the function
            itself); "name=0.8" gives it a weight.
        weights: one for each spec, where they are not given with the names.
        calls: how functions of the user's own are called.
        gold_text: gives the gold of an example as the model should write it, for the column
            `completion` of functions in TRL's form; None for the reference or the classes.
        open_labeler: opens the folder of a labeler, for labeler_judge: `groot.load`.

    Raises:
        ConfigError: with every spec that is wrong.
        RewardError: where a function of the user's own cannot be loaded.

    >>> parse_rewards(["f0.5=0.8", "exact=0.2"]).name
    'f0.5=0.8 exact=0.2'
    """
    if isinstance(specs, str):
        specs = [specs]
    own_weights: list[float | None] = []
    named: list[OwnPart | UsersFunction] = []
    mistakes: list[str] = []
    for spec in specs:
        try:
            bare, weight = _split_weight(spec)
            own_weights.append(weight)
            named.append(_find(bare, open_labeler))
        except (ConfigError, UnknownNameError) as error:
            mistakes.append(str(error))
    if weights is not None and any(weight is not None for weight in own_weights):
        mistakes.append("Weights are given twice, with the names and apart. Give them once.")
    if weights is not None and len(weights) != len(specs):
        mistakes.append(f"{len(weights)} weights for {len(specs)} rewards; give one for each.")
    if not specs:
        mistakes.append("No reward is named. Name at least one, for example f0.5.")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    parts, close = _parts(named, calls or CallSettings(), gold_text)
    _make_names_differ(parts)
    with_names = [1.0 if weight is None else weight for weight in own_weights]
    return Reward(parts, with_names if weights is None else weights, close=close)


def _parts(
    named: Sequence[OwnPart | UsersFunction],
    calls: CallSettings,
    gold_text: Callable[[Any], str | None] | None,
) -> tuple[list[Part], Callable[[], None] | None]:
    """The parts in the order of their names, and what ends their worker processes."""
    functions = [part.function for part in named if isinstance(part, UsersFunction)]
    if not functions:
        return [part for part in named if isinstance(part, OwnPart)], None
    from groot.rewards.user_part import user_parts  # only they need the worker pool

    loaded, close = user_parts(functions, calls, gold_text)
    users = iter(loaded)
    return [part if isinstance(part, OwnPart) else next(users) for part in named], close


def _split_weight(spec: RewardSpec) -> tuple[RewardSpec, float | None]:
    if not isinstance(spec, str):
        return spec, None
    match = WEIGHTED.fullmatch(spec.strip())
    if match is None:
        return spec.strip(), None
    try:
        weight = float(match["weight"])
    except ValueError as error:
        raise ConfigError(
            f"reward {spec!r}: {match['weight']!r} is not a weight. Write name=number, f0.5=0.8."
        ) from error
    if not (abs(weight) < float("inf")):
        raise ConfigError(f"reward {spec!r}: a weight must be a finite number.")
    return match["spec"], weight


def _find(spec: RewardSpec, open_labeler: OpenLabeler | None) -> OwnPart | UsersFunction:
    if not isinstance(spec, str):
        return UsersFunction(spec)
    # Here, not above: the table's file imports this one.
    from groot.rewards import REWARDS

    if names_text_reward(spec):
        return _text_part(spec, open_labeler)
    f_beta = F_BETA.fullmatch(spec)
    if f_beta is not None:
        return OwnPart(spec, FBeta(float(f_beta[2]), of="classes" if f_beta[1] else "gold"))
    if spec.endswith((".yaml", ".yml")):
        path = Path(spec)
        table = read_cost_table(path)
        return OwnPart(table.name, table, mark_of_json(table.costs))
    if spec.endswith(".py"):
        raise ConfigError(
            f"reward {spec!r} names a file but no function. Write {spec}:my_function."
        )
    if ":" in spec:
        return UsersFunction(spec)
    try:
        return OwnPart(spec, REWARDS[spec])
    except UnknownNameError as error:
        module, _, function = spec.rpartition(".")
        dotted = f"\n  Did you mean the function {module}:{function}?" if module else ""
        raise ConfigError(f"{error}{dotted}") from error


def _text_part(spec: str, open_labeler: OpenLabeler | None) -> OwnPart:
    from groot.rewards import TEXT_REWARDS

    name, _, argument = spec.partition(":")
    native: Any = TEXT_REWARDS[name](argument)
    if hasattr(native, "open"):
        native.open(open_labeler)
    kind = BatchPart if hasattr(native, "score_all") else OwnPart
    return kind(spec, native, getattr(native, "mark", ""))


def names_text_reward(spec: str) -> bool:
    """Whether a spec names one of our rewards of free text, and so no code of the user's own.

    >>> names_text_reward("length:4-12"), names_text_reward("my_length.py:score")
    (True, False)
    """
    from groot.rewards import TEXT_REWARDS

    return spec.partition(":")[0] in TEXT_REWARDS


def refuse_code(specs: Sequence[str], folder: str) -> None:
    """Refuse the specs that a folder names where they name code of the user's own.

    Args:
        folder: whose folder it is: "model".

    Raises:
        ModelError: if they do.

    >>> refuse_code(["f0.5", "length:4-12"], "model")
    """
    for spec in specs:
        if ":" in spec and not names_text_reward(spec):
            raise ModelError(
                f"the {folder}'s folder names a reward with code of its own, {spec!r}, and no code"
                " is run because a folder says so.\n  If it is yours, name it again: --reward"
                f" {spec}, or from Python reward=[...]."
            )


def _make_names_differ(parts: Sequence[Part]) -> None:
    """Number the parts whose names repeat, so that each has its own key in logs."""
    repeated = {name for name, n in Counter(part.name for part in parts).items() if n > 1}
    seen: Counter[str] = Counter()
    for part in parts:
        if part.name in repeated:
            seen[part.name] += 1
            if seen[part.name] > 1:
                part.name = f"{part.name}_{seen[part.name]}"
