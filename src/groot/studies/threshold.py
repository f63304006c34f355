"""Thresholds of a labeler: chosen on labelled data, opened again, applied to predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from groot.engine.events import OnEvent, ignore_events
from groot.errors import ConfigError
from groot.evaluation.choose_thresholds import choose_thresholds
from groot.evaluation.thresholds import Target, Thresholds, Unreachable, read_thresholds
from groot.outputs.items import label_of
from groot.outputs.marginals import Marginals
from groot.studies.labelled_data import LabelledData
from groot.studies.predicted_items import PredictedItems, predicted_items
from groot.studies.probability_settings import ProbabilitySettings, model_mark
from groot.types import Candidate, Gold
from groot.writer.prediction import Prediction


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """What is asked of thresholds.

    Args:
        target: what is promised.
        per_label: a threshold for each label, and one for all.
        unreachable: what becomes of spans of labels that have no threshold.
        predict: how the labeler predicts; the thresholds hold for such predictions only.
    """

    target: Target
    per_label: bool = False
    unreachable: Unreachable = "drop"
    predict: ProbabilitySettings = field(default_factory=ProbabilitySettings)


def threshold_folder(
    folder: str | Path,
    data: LabelledData,
    settings: ThresholdSettings,
    *,
    events: OnEvent = ignore_events,
) -> Thresholds:
    """Choose thresholds for the spans that the model of a folder predicts.

    Args:
        folder: a run's folder or a model's.
        data: not what the model was trained on.

    Raises:
        DataError: if the data cannot be read, has no gold, or nothing is predicted.
        ModelError: if there is no labeler in the folder.
    """
    labeler = settings.predict.open(folder)
    items = predicted_items(labeler, data.read().examples, settings.predict, events=events)
    return dataclasses.replace(
        thresholds_of(items, settings),
        settings=settings.predict.binding(labeler, model_mark(folder)),
        data=str(data.source),
    )


def thresholds_of(items: PredictedItems, settings: ThresholdSettings) -> Thresholds:
    """Choose thresholds for what the first candidates say."""
    first = np.flatnonzero(items.is_first)
    chosen = choose_thresholds(
        items.probabilities[first],
        items.is_right[first],
        [items.labels[i] for i in first],
        items.texts[first],
        items.n_gold,
        settings.target,
        per_label=settings.per_label,
        unreachable=settings.unreachable,
    )
    return dataclasses.replace(chosen, n_texts=items.n_texts)


def above_thresholds(prediction: Prediction, thresholds: Thresholds) -> Prediction:
    """The prediction without the spans, or classes, that are below their threshold.

    What is compared is the labeler's own probability of each (`Prediction.marginals`), as when the
    thresholds were chosen, whether or not a calibration maps those that are told.
    """
    marginals = prediction.marginals or Marginals(0.0, {})
    candidates: list[Candidate] = []
    for candidate in prediction.candidates:
        if isinstance(candidate.output, tuple):
            kept = tuple(
                item
                for item in candidate.output
                if thresholds.keeps(label_of(item), marginals.probability(item))
            )
            # spans only, or classes only, as before
            candidate = dataclasses.replace(candidate, output=cast(Gold, kept))
        candidates.append(candidate)
    return dataclasses.replace(prediction, candidates=candidates)


def open_thresholds(path: str | Path, binding: Mapping[str, Any]) -> Thresholds:
    """Read thresholds that were chosen for predictions like those that are asked for.

    Args:
        path: a file of `groot threshold`.
        binding: what `ProbabilitySettings.binding` says of the predictions.

    Raises:
        ConfigError: if the file is none, has no threshold, or is of other predictions.
    """
    thresholds = read_thresholds(Path(path))
    if not thresholds.is_reachable and thresholds.unreachable == "drop":
        raise ConfigError(
            f"{path}: {thresholds.target} is not reachable, so nothing would be left.\n"
            "  Choose thresholds for a lower target with groot threshold."
        )
    chosen_for = dict(thresholds.settings)
    differing = [name for name in binding if chosen_for.get(name) != binding[name]]
    if {"choose", "exact"} & set(differing):  # what follows from them differs as well
        differing = [name for name in differing if name not in ("reward", "top_k")]
    if differing:
        lines = [_difference(name, binding[name], chosen_for.get(name)) for name in differing]
        raise ConfigError(
            f"{path}: was chosen for other predictions than these:\n  "
            + "\n  ".join(lines)
            + "\n  Or choose thresholds again with groot threshold."
        )
    return thresholds


def _difference(name: str, asked: Any, chosen_for: Any) -> str:
    """What differs, and what to do about it."""
    if name == "model":
        return "the model is another one: its contents differ."
    flags = {"top_k": "top-k", "exact": "exact" if chosen_for else "no-exact"}
    value = " ".join(chosen_for or ()) if name == "reward" else chosen_for
    flag = f"--{flags.get(name, name)}" + ("" if name == "exact" else f" {value}")
    return f"{name} is {asked!r}, there it was {chosen_for!r}. Give {flag}."
