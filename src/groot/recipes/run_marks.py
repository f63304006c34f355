"""What a run is made of: the marks that decide whether it may go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot.config import Config
from groot.data.preferences import Preference, PreferenceSet
from groot.engine.marks import (
    Marks,
    mark_of_examples,
    mark_of_file,
    mark_of_json,
    mark_of_tensors,
)
from groot.engine.run_folder import library_versions
from groot.models.model_marks import mark_of_model
from groot.recipes.run_data import RunData
from groot.rewards import Reward
from groot.writer.writer import Writer

# Settings that never change the weights, so that a run goes on whatever they are: what is printed
# or kept, how fast, and places of contents that have a mark of their own.
FREE_SETTINGS = (
    "output",
    "evaluation",
    "data",
    "reward.timeout_s",
    "reward.workers",
    "optimise.candidates_file",
)


def marks_of_run(
    config: Config, data: RunData, reward: Reward, writer: Writer | None = None
) -> Marks:
    """What a run on these settings, data and reward is made of.

    Args:
        writer: to start from, where the caller gave one; else the config names the model.
    """
    name, given = config.model.name, config.optimise.candidates_file
    model = None if name is None else mark_of_model(name)
    if writer is not None:
        model = mark_of_tensors(writer.model.state_dict())
    free = FREE_SETTINGS if model is None else (*FREE_SETTINGS, "model.name")
    return Marks(
        {
            "the training data": mark_of_examples(data.train),
            "the dev data": mark_of_examples(data.dev),
            "the test data": mark_of_examples(data.test),
            "the model to start from": model,
            "the reward": reward.mark,
            "the candidates file": None if given is None else mark_of_file(Path(given)),
        },
        {**_without(config.model_dump(mode="json"), free), "versions": library_versions()},
    )


def _without(settings: dict[str, Any], free: tuple[str, ...]) -> dict[str, Any]:
    """Nested settings without those that are named by their dotted paths."""
    for path in free:
        *sections, name = path.split(".")
        place = settings
        for section in sections:
            place = place[section]
        del place[name]
    return settings


def settings_that_bind(settings: Any) -> dict[str, Any]:
    """The settings of a smaller run, a dataclass, without how often it is saved."""
    values = dataclasses.asdict(settings)
    del values["checkpoint_every_s"]
    return {**values, "versions": library_versions()}


def mark_of_preferences(preferences: PreferenceSet | Sequence[Preference] | None) -> str | None:
    """The mark of pairs, but for the places where they were read; None where there are none."""
    if preferences is None:
        return None
    pairs = preferences.pairs if isinstance(preferences, PreferenceSet) else preferences
    return mark_of_json([dataclasses.replace(pair, source="") for pair in pairs])
