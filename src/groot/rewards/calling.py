"""Calling a reward function of the user's: which form it has, what it gets, what it may return."""

from __future__ import annotations

import asyncio
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from groot.outputs.items import plain
from groot.types import Candidate, Example

Form = Literal["native", "trl"]

FORMS = (
    "A reward is f(example, candidates) -> list[float | None], "
    "or in TRL's form f(prompts, completions, **columns) -> list[float | None]"
)


class ImpossibleError(ValueError):
    """What the function is, or what it returned, breaks the contract of a reward."""


class InfiniteError(ValueError):
    """It returned an infinite reward."""


def form_of(function: Callable[..., Any]) -> Form:
    """Which form a function has, by the names of its parameters.

    >>> form_of(lambda completions, **columns: [0.0 for _ in completions])
    'trl'

    Raises:
        ImpossibleError: if they name neither.
    """
    if not callable(function):
        raise ImpossibleError(f"it is a {type(function).__name__}, not a function. {FORMS}.")
    names = inspect.signature(function).parameters
    if "completions" in names:
        return "trl"
    if "example" in names and "candidates" in names:
        return "native"
    given = ", ".join(names) or "none"
    raise ImpossibleError(f"its parameters ({given}) tell neither form. {FORMS}.")


def call(
    function: Callable[..., Any],
    example: Example,
    candidates: Sequence[Candidate],
    completion: str | None = None,
) -> list[float | None]:
    """The checked rewards of one call; nan is kept apart from None.

    Raises:
        ImpossibleError, InfiniteError: as `check_rewards` does.
    """
    if form_of(function) == "native":
        rewards = function(example=example, candidates=list(candidates))
    else:
        rewards = function(**trl_arguments(function, example, candidates, completion))
    if inspect.iscoroutine(rewards):
        rewards = asyncio.run(rewards)
    return check_rewards(rewards, len(candidates))


def trl_arguments(
    function: Callable[..., Any],
    example: Example,
    candidates: Sequence[Candidate],
    completion: str | None,
) -> dict[str, Any]:
    """What a function in TRL's form is called with: lists with one entry for each candidate.

    All of it where the function takes **columns, else only what it names.

    Raises:
        ImpossibleError: if it names a column that the example does not have.
    """
    everything: dict[str, Any] = {
        name: [value] * len(candidates) for name, value in columns_of(example, completion).items()
    }
    everything |= {
        "prompts": [example.text] * len(candidates),
        "completions": [candidate.target for candidate in candidates],
        "outputs": [plain(candidate.output) for candidate in candidates],
        "log_p": [candidate.log_p for candidate in candidates],
        "trainer_state": None,
        "log_extra": _ignore,
        "log_metric": _ignore,
    }
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        wanted = everything
    else:
        wanted = {p.name: everything[p.name] for p in parameters if p.name in everything}
    lacking = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and parameter.name not in everything
    ]
    if lacking:
        raise ImpossibleError(
            f"it asks for {', '.join(lacking)}, and the example has no such column. "
            f"There are: {', '.join(sorted(everything))}."
        )
    return wanted


def columns_of(example: Example, completion: str | None) -> Mapping[str, Any]:
    """The columns of one example: its gold in plain form, then its own columns, which win."""
    return {
        "id": example.id,
        "source": example.source,
        "text": example.text,
        "spans": plain(example.spans),
        "classes": plain(example.classes),
        "reference": example.reference,
        "completion": completion,
        **example.columns,
    }


def check_rewards(rewards: object, n: int) -> list[float | None]:
    """The rewards of n candidates as plain floats; None and nan are both missing, and kept apart.

    A list or a tuple, or a numpy or torch vector. Each entry a number (numpy and torch scalars
    too) or None. True and False are 1 and 0: the natural result of a comparison, and nothing
    else that they could mean.

    Raises:
        ImpossibleError: any other type, another length, an entry that is no number.
        InfiniteError: an entry that is infinite.
    """
    if getattr(rewards, "ndim", None) == 1 and hasattr(rewards, "tolist"):
        rewards = rewards.tolist()
    if not isinstance(rewards, list | tuple):
        raise ImpossibleError(
            f"it returned a {type(rewards).__name__}, not a list of {n} numbers (or None), "
            "one for each candidate."
        )
    if len(rewards) != n:
        raise ImpossibleError(
            f"it returned {len(rewards)} rewards for {n} candidates; return one for each."
        )
    return [_number(value, index) for index, value in enumerate(rewards)]


def _number(value: Any, index: int) -> float | None:
    if value is None:
        return None
    if not isinstance(value, numbers.Real) and getattr(value, "ndim", None) == 0:
        value = value.item()  # a scalar of numpy or torch
    if not isinstance(value, numbers.Real):
        kind = type(value).__name__
        raise ImpossibleError(
            f"it returned a {kind} at index {index}, where a number or None should be."
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise InfiniteError(f"it returned {number} at index {index}; return None where unknown.")
    return number


def _ignore(*args: object, **kwargs: object) -> None:
    """TRL's log_extra and log_metric: taken, so that its functions run, and not kept."""
