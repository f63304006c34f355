"""Fit a map from a labeler's probabilities to true ones, and keep it beside the model."""

from __future__ import annotations

from pathlib import Path

from groot.engine.events import OnEvent, ignore_events
from groot.engine.ledger import write_ledger
from groot.evaluation.calibration_map import Calibration, fit_calibration
from groot.studies.labelled_data import LabelledData
from groot.studies.predicted_items import predicted_items
from groot.studies.probability_settings import ProbabilitySettings
from groot.writer.folders import labeler_folder


def calibrate_folder(
    folder: str | Path,
    data: LabelledData,
    *,
    candidates: int = 16,
    events: OnEvent = ignore_events,
) -> Calibration:
    """Fit a calibration on labelled data and keep it beside the model of a folder.

    The ledger of the model says afterwards which texts it was calibrated on.

    Args:
        folder: a run's folder or a model's.
        data: not what the model was trained on.
        candidates: searched per text.

    Raises:
        DataError: if the data cannot be read, has no gold, or nothing can be learnt from it.
        ModelError: if there is no labeler in the folder.
    """
    settings = ProbabilitySettings(candidates=candidates)
    labeler = settings.open(folder)
    examples = data.read().examples
    items = predicted_items(labeler, examples, settings, events=events)
    calibration = fit_calibration(
        items.probabilities,
        items.is_right,
        items.texts,
        items.is_first,
        candidates=candidates,
        data=str(data.source),
    )
    place = labeler_folder(folder)
    calibration.save(place)
    texts = [example.text for example in examples]
    write_ledger(place, labeler.ledger.with_texts("calibrated_on", texts))
    return calibration
