"""What a labeler says of labelled texts, span by span: for calibration and thresholds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groot.data.benchmarks import Split
from groot.engine.events import (
    Note,
    OnEvent,
    StageFinished,
    StageStarted,
    StepDone,
    ignore_events,
)
from groot.errors import DataError
from groot.evaluation.calibration_map import Calibration, fit_calibration
from groot.evaluation.choose_thresholds import choose_thresholds
from groot.evaluation.thresholds import Target, Thresholds, Unreachable
from groot.models.labeler_settings import labeler_folder
from groot.outputs.items import gold_of, items_of, label_of
from groot.studies.evaluate_folder import EXAMPLES_PER_STEP, read_labelled
from groot.types import Example
from groot.writer.labeler import Labeler, load


@dataclass(frozen=True, slots=True)
class PredictedItems:
    """The spans, or classes, that the candidates of some texts say.

    Args:
        probabilities: [N] of each.
        is_right: [N] whether it is gold.
        is_first: [N] whether the first candidate says it.
        labels: [N] its label.
        texts: [N] number of the text that it is of.
        n_gold: label -> how many are gold.
        n_texts: texts with gold.
    """

    probabilities: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    is_first: NDArray[np.bool_]
    labels: list[str]
    texts: NDArray[np.int64]
    n_gold: Mapping[str, int]
    n_texts: int


def predicted_items(
    labeler: Labeler,
    examples: Sequence[Example],
    *,
    choose: Literal["top", "mbr"] = "top",
    reward: Sequence[str] | None = None,
    candidates: int = 16,
    calibrated: bool | None = None,
    events: OnEvent = ignore_events,
) -> PredictedItems:
    """Predict labelled examples; those without gold for the labeler's task are left out.

    Args:
        choose, reward, calibrated: as in `Labeler.predict`.
        candidates: searched per text, for probabilities and for "mbr".

    Raises:
        DataError: if no example has gold, or none that the labeler could say.
    """
    task = labeler.form.task
    golds = [(one, gold_of(one, task)) for one in examples]
    with_gold = [(one, set(items_of(gold))) for one, gold in golds if isinstance(gold, tuple)]
    if not with_gold:
        raise DataError(
            f"none of the {len(examples)} texts has gold {task}.\n"
            f"  Give data that is labelled with {task}."
        )
    n_gold = Counter(label_of(item) for _, gold in with_gold for item in gold)
    unknown = sorted(set(n_gold) - set(labeler.form.labels))
    if n_gold and len(unknown) == len(n_gold):
        raise DataError(
            f"the labeler knows no label of the data: {', '.join(unknown[:5])}.\n"
            f"  It knows {', '.join(labeler.form.labels[:5])}. Give data with its labels."
        )
    if unknown:
        events(
            Note(
                f"{len(unknown)} labels that the labeler does not know are never found:"
                f" {', '.join(unknown[:5])}",
                level="warning",
            )
        )
    start = time.monotonic()
    events(StageStarted("predict", len(with_gold)))
    rows: list[tuple[float, bool, bool, str, int]] = []
    for first in range(0, len(with_gold), EXAMPLES_PER_STEP):
        part = with_gold[first : first + EXAMPLES_PER_STEP]
        found = labeler.predict(
            [one for one, _ in part],
            choose=choose,
            reward=reward,
            mbr_candidates=candidates,
            probability_candidates=candidates,
            calibrated=calibrated,
        )
        for number, ((_, gold), one) in enumerate(zip(part, found, strict=True), start=first):
            said = items_of(one.candidates[0].output if one.candidates else None)
            rows += [
                (p, item in gold, item in said, label_of(item), number)
                for item, p in one.probabilities.items()
            ]
        events(StepDone("predict", first + len(part), len(with_gold)))
    events(StageFinished("predict", time.monotonic() - start))
    p, is_right, is_first, labels, texts = zip(*rows, strict=True) if rows else ((),) * 5
    return PredictedItems(
        np.array(p, dtype=float),
        np.array(is_right, dtype=bool),
        np.array(is_first, dtype=bool),
        list(labels),
        np.array(texts, dtype=np.int64),
        n_gold,
        len(with_gold),
    )


def calibrate_folder(
    folder: str | Path,
    data: str | Path,
    *,
    split: Split = "dev",
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    candidates: int = 16,
    on_bad_lines: Literal["stop", "skip"] = "stop",
    events: OnEvent = ignore_events,
) -> Calibration:
    """Fit a calibration on labelled data and keep it beside the model of a folder.

    Args:
        folder: a run's folder or a model's.
        data: a file, a folder or a benchmark's name; not what the model was trained on.
        split, format, reader, on_bad_lines: as in `evaluate_folder`.
        candidates: searched per text.

    Raises:
        DataError: if the data cannot be read, has no gold, or nothing can be learnt from it.
        ModelError: if there is no labeler in the folder.
    """
    labeler = load(folder)
    found = read_labelled(
        data, split=split, format=format, reader=reader, on_bad_lines=on_bad_lines
    )
    items = predicted_items(
        labeler, found.examples, candidates=candidates, calibrated=False, events=events
    )
    fitted = fit_calibration(
        items.probabilities,
        items.is_right,
        items.texts,
        items.is_first,
        candidates=candidates,
        data=str(data),
    )
    fitted.save(labeler_folder(folder))
    return fitted


def threshold_folder(
    folder: str | Path,
    data: str | Path,
    target: Target,
    *,
    split: Split = "dev",
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    per_label: bool = False,
    confidence: float = 0.95,
    unreachable: Unreachable = "drop",
    choose: Literal["top", "mbr"] = "top",
    reward: Sequence[str] | None = None,
    candidates: int = 16,
    calibrated: bool | None = None,
    on_bad_lines: Literal["stop", "skip"] = "stop",
    events: OnEvent = ignore_events,
) -> Thresholds:
    """Choose thresholds for the spans that the model of a folder predicts.

    Args:
        folder: a run's folder or a model's.
        data: a file, a folder or a benchmark's name; not what the model was trained on.
        target, per_label, confidence, unreachable: as in `choose_thresholds`.
        split, format, reader, on_bad_lines: as in `evaluate_folder`.
        choose, reward, calibrated: as in `Labeler.predict`.
        candidates: searched per text.

    Raises:
        DataError: if the data cannot be read, has no gold, or nothing is predicted.
        ModelError: if there is no labeler in the folder.
    """
    labeler = load(folder)
    found = read_labelled(
        data, split=split, format=format, reader=reader, on_bad_lines=on_bad_lines
    )
    items = predicted_items(
        labeler,
        found.examples,
        choose=choose,
        reward=reward,
        candidates=candidates,
        calibrated=calibrated,
        events=events,
    )
    first = np.flatnonzero(items.is_first)
    return choose_thresholds(
        items.probabilities[first],
        items.is_right[first],
        [items.labels[i] for i in first],
        items.texts[first],
        items.n_gold,
        target,
        per_label=per_label,
        confidence=confidence,
        unreachable=unreachable,
        n_texts=items.n_texts,
        settings=settings_of(
            labeler, choose=choose, reward=reward, candidates=candidates, calibrated=calibrated
        ),
        data=str(data),
    )


def settings_of(
    labeler: Labeler,
    *,
    choose: str,
    reward: Sequence[str] | None = None,
    candidates: int,
    calibrated: bool | None,
) -> dict[str, Any]:
    """What predictions must have in common for a threshold of one to mean the same for the other.

    `reward` is what "mbr" maximises, None without it; `calibration` the fingerprint of the map, or
    None where probabilities are the model's own.
    """
    mapped = None if calibrated is False else labeler.calibration
    return {
        "choose": choose,
        "reward": list(reward or labeler.reward_specs) if choose == "mbr" else None,
        "candidates": candidates,
        "calibration": None if mapped is None else mapped.fingerprint,
    }
