"""What a labeler says of labelled texts, span by span: for calibration and thresholds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groot.engine.events import (
    Note,
    OnEvent,
    StageFinished,
    StageStarted,
    StepDone,
    ignore_events,
)
from groot.engine.ledger import seen_sentence
from groot.errors import DataError
from groot.outputs.items import Item, gold_of, items_of, label_of
from groot.studies.probability_settings import ProbabilitySettings
from groot.types import Example
from groot.writer.prediction import Prediction
from groot.writer.writer import Writer

EXAMPLES_PER_STEP = 256  # between two events


@dataclass(frozen=True, slots=True)
class PredictedItems:
    """The spans, or classes, that the candidates of some texts say.

    Args:
        probabilities: [N] of each, the labeler's own.
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

    @classmethod
    def of(
        cls, predictions: Sequence[Prediction], golds: Sequence[frozenset[Item]]
    ) -> PredictedItems:
        """Compare each text's prediction with its gold.

        Probabilities are taken from `Prediction.marginals`, which no calibration has touched.
        """
        rows: list[tuple[float, bool, bool, str, int]] = []
        for number, (prediction, gold) in enumerate(zip(predictions, golds, strict=True)):
            candidates, marginals = prediction.candidates, prediction.marginals
            first = items_of(candidates[0].output if candidates else None)
            rows += [
                (marginal.probability, item in gold, item in first, label_of(item), number)
                for item, marginal in (marginals.of.items() if marginals else ())
            ]
        p, is_right, is_first, labels, texts = zip(*rows, strict=True) if rows else ((),) * 5
        return cls(
            np.array(p, dtype=float),
            np.array(is_right, dtype=bool),
            np.array(is_first, dtype=bool),
            list(labels),
            np.array(texts, dtype=np.int64),
            Counter(label_of(item) for gold in golds for item in gold),
            len(golds),
        )


def predicted_items(
    labeler: Writer,
    examples: Sequence[Example],
    settings: ProbabilitySettings | None = None,
    *,
    events: OnEvent = ignore_events,
) -> PredictedItems:
    """Predict labelled examples; those without gold for the labeler's task are left out.

    Args:
        settings: how; None takes the defaults.

    Raises:
        DataError: if no example has gold, or none that the labeler could say.
    """
    settings = settings or ProbabilitySettings()
    task = labeler.task
    golds = [(example, gold_of(example, task)) for example in examples]
    with_gold = [
        (example, frozenset(items_of(gold))) for example, gold in golds if isinstance(gold, tuple)
    ]
    if not with_gold:
        raise DataError(
            f"none of the {len(examples)} texts has gold {task}.\n"
            f"  Give data that is labelled with {task}."
        )
    _tell_seen([example.text for example, _ in with_gold], labeler, events)
    _check_labels({label_of(item) for _, gold in with_gold for item in gold}, labeler, events)
    start = time.monotonic()
    events(StageStarted("predict", len(with_gold)))
    predictions: list[Prediction] = []
    for first in range(0, len(with_gold), EXAMPLES_PER_STEP):
        part = [example for example, _ in with_gold[first : first + EXAMPLES_PER_STEP]]
        predictions += settings.predict(labeler, part, calibrated=False)
        events(StepDone("predict", len(predictions), len(with_gold)))
    events(StageFinished("predict", time.monotonic() - start))
    return PredictedItems.of(predictions, [gold for _, gold in with_gold])


def _tell_seen(texts: Sequence[str], labeler: Writer, events: OnEvent) -> None:
    """Warn of texts on which the labeler is better than on new ones."""
    for use, count in labeler.ledger.seen(texts).items():
        if use in ("learnt_from", "chosen_on"):
            advice = "on new texts it is less good. Give data that it has not seen."
            events(Note(f"{seen_sentence(use, count, len(texts))} {advice}", level="warning"))


def _check_labels(gold_labels: set[str], labeler: Writer, events: OnEvent) -> None:
    """Raise where the labeler knows no label of the data; name those that it does not know."""
    unknown = sorted(gold_labels - set(labeler.labels))
    if gold_labels and len(unknown) == len(gold_labels):
        raise DataError(
            f"the labeler knows no label of the data: {', '.join(unknown[:5])}.\n"
            f"  It knows {', '.join(labeler.labels[:5])}. Give data with its labels."
        )
    if unknown:
        events(
            Note(
                f"{len(unknown)} labels that the labeler does not know are never found:"
                f" {', '.join(unknown[:5])}",
                level="warning",
            )
        )
