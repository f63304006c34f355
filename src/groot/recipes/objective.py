"""The objective that the settings name, with its own settings, checked against its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from groot.errors import ConfigError
from groot.objectives import OBJECTIVES

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
GIVEN = 3  # log_p, rewards and mask, which each objective is called with


def objective_of(name: str, settings: Mapping[str, Any]) -> Objective:
    """The function of a name in `OBJECTIVES`, its settings bound.

    Raises:
        ConfigError: for a name or a setting that does not exist, and for an objective that needs
            more than candidates and rewards.

    >>> objective_of("pair_margin", {"margni": 5})
    Traceback (most recent call last):
    groot.errors.ConfigError: optimise.objective_settings: pair_margin has no setting 'margni'; \
it has margin.
    """
    function = OBJECTIVES[name]
    parameters = list(inspect.signature(function).parameters.values())
    compared = [p.name for p in parameters[GIVEN:] if "Tensor" in str(p.annotation)]
    if compared:
        raise ConfigError(
            f"optimise.objective: {name} needs {compared[0]} of a frozen model, which groot train"
            " does not keep. For free text, train with optimise.rounds=0, then: groot tune DIR"
            f" --objective {name} --out NEW_DIR"
        )
    known = [p.name for p in parameters[GIVEN:]]
    unknown = [each for each in settings if each not in known]
    if unknown:
        raise ConfigError(
            f"optimise.objective_settings: {name} has no setting {unknown[0]!r}; it has"
            f" {', '.join(known) or 'none'}."
        )
    return partial(function, **settings)
