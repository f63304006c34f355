"""Settings that older versions wrote, by the names that they have today."""

from __future__ import annotations

from typing import Any

# What the settings of an objective were called in the section optimise, with their defaults.
OBJECTIVE_SETTINGS = {
    "margin": 5.0,
    "reward_temperature": 0.1,
    "log_p_temperature": 1.0,
    "beta": 1.0,
    "sharpness": 0.5,
}


def renew(values: dict[str, Any]) -> None:
    """Give the settings of older versions their names of today, in place.

    A setting of an objective that has the default of that time is left out: every objective has
    it as its own. `generation.fit_selects_on` is `fit.selects_on`.

    >>> values = {"optimise": {"margin": 3.0, "beta": 1.0}}
    >>> renew(values)
    >>> values
    {'optimise': {'objective_settings': {'margin': 3.0}}}
    """
    optimise, generation = values.get("optimise"), values.get("generation")
    if isinstance(optimise, dict):
        for name, default in OBJECTIVE_SETTINGS.items():
            value = optimise.pop(name, default)
            if value != default:
                optimise.setdefault("objective_settings", {})[name] = value
    if isinstance(generation, dict) and "fit_selects_on" in generation:
        selects_on = generation.pop("fit_selects_on")
        if selects_on == "reward":
            values.setdefault("fit", {})["selects_on"] = "reward"
