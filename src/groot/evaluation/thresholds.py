"""How probable a span must be to be kept, so that what is kept is right often enough.

precision=0.95  the lowest threshold at which precision is at least 0.95, with the confidence asked
recall=0.8      the highest threshold at which recall is at least 0.8, with the confidence asked
f1=max          the threshold with the highest F1 on the data; no promise

Probabilities here are always the model's own, never calibrated ones: a calibration that was fitted
on the same texts pools spans by what is right, and would choose what is then tested.

How thresholds are chosen is in `choose_thresholds`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from groot.errors import ConfigError
from groot.evaluation.intervals import Interval, check_confidence

Measure = Literal["precision", "recall", "f1"]
Unreachable = Literal["drop", "keep"]
VERSION = 2  # 1 held thresholds of calibrated probabilities, and named no model


class Target(NamedTuple):
    """What is asked for: at least this much precision or recall, or (None) the highest F1.

    `confidence` is that with which the promise of each threshold, taken alone, holds.
    """

    measure: Measure
    value: float | None
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.measure}={'max' if self.value is None else format(self.value, 'g')}"


def parse_target(text: str, *, confidence: float = 0.95) -> Target:
    """The target that a user types.

    >>> parse_target("precision=0.9")
    Target(measure='precision', value=0.9, confidence=0.95)

    Raises:
        ConfigError: if it is none, or the confidence is no share between 0 and 1.
    """
    check_confidence(confidence)
    name, _, value = text.replace(" ", "").partition("=")
    if name == "f1" and value in ("", "max"):
        return Target("f1", None, confidence)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name in ("precision", "recall"):
        if 0 < number < 1:
            return Target(cast(Measure, name), number, confidence)
        raise ConfigError(f"target {text!r}: {name} must lie between 0 and 1, as in {name}=0.9.")
    raise ConfigError(f"target {text!r} is none. Targets: precision=0.95, recall=0.8, f1=max.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a threshold does on the data that it was chosen on.

    Args:
        threshold: keep what is at least so probable; None where the target is not reachable.
        bound: the precision or recall that is reached but for the error allowed; of a target that
            is not reachable the best there is. None for F1.
        best: of a target that is not reachable, the threshold with that bound, if there is one.
        reason: why it is not reachable.
        n_gold: gold spans.
        n_predicted: spans that the labeler says.
        n_kept: of them at or above the threshold.
        n_right: of those the right ones.
        precision: share of the kept that is right; None where none is kept.
        recall: share of the gold that is kept; None without gold.
        f1: their harmonic mean.
        kept: share of the predicted that is kept.
        intervals: of precision, recall and kept: exact, 95 %, for a threshold named beforehand.
        f1_held_out: of f1=max, the F1 on texts that had no part in the choice; else None.
    """

    threshold: float | None
    bound: float | None
    best: float | None
    reason: str
    n_gold: int
    n_predicted: int
    n_kept: int
    n_right: int
    precision: float | None
    recall: float | None
    f1: float | None
    kept: float | None
    intervals: Mapping[str, Interval | None]
    f1_held_out: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds for all labels together or for each, with what they need to be used rightly.

    Args:
        target: as typed.
        confidence: that the promise of a threshold holds.
        all: one threshold for all labels.
        labels: a threshold for each label; empty where one serves all.
        combined: what the thresholds of the labels do together; None where one serves all.
        unreachable: what becomes of spans whose label has no threshold.
        settings: all that changes the probabilities of predictions, the model too, by name; they
            must be the same wherever the thresholds are used.
        n_texts: that they were chosen on.
        data: where those are from.
    """

    target: str
    confidence: float
    all: Outcome
    labels: Mapping[str, Outcome] = field(default_factory=dict)
    combined: Outcome | None = None
    unreachable: Unreachable = "drop"
    settings: Mapping[str, Any] = field(default_factory=dict)
    n_texts: int = 0
    data: str = ""

    def has_threshold(self, label: str) -> bool:
        """Whether the target is reachable for a label."""
        outcome = self.labels.get(label) if self.labels else self.all
        return outcome is not None and outcome.threshold is not None

    def keeps(self, label: str, probability: float | None) -> bool:
        """Whether a span of the label is kept, by the model's own probability of it."""
        outcome = self.labels.get(label) if self.labels else self.all
        if outcome is None or outcome.threshold is None:
            return self.unreachable == "keep"
        return probability is not None and probability >= outcome.threshold

    @property
    def is_reachable(self) -> bool:
        """Whether there is any threshold at all."""
        outcomes = list(self.labels.values()) or [self.all]
        return any(outcome.threshold is not None for outcome in outcomes)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"version": VERSION, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write a thresholds file."""
        text = json.dumps(self.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


def read_thresholds(path: Path) -> Thresholds:
    """Read what `Thresholds.save` wrote.

    Raises:
        ConfigError: if it is no such file.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version = stored.pop("version")
        if version != VERSION:
            raise ValueError(f"version {version!r}; this groot reads version {VERSION}")
        labels = {name: _outcome(value) for name, value in stored.pop("labels").items()}
        combined = stored.pop("combined")
        read = Thresholds(
            all=_outcome(stored.pop("all")),
            labels=labels,
            combined=None if combined is None else _outcome(combined),
            **stored,
        )
        if read.unreachable not in get_args(Unreachable):
            raise ValueError(f"unreachable is {read.unreachable!r}")
        dict(read.settings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: no thresholds that can be used ({error!r}). Choose them (again) with"
            f" groot threshold --out {path}."
        ) from error
    return read


def _outcome(value: Mapping[str, Any]) -> Outcome:
    outcome = Outcome(**value)
    if outcome.threshold is not None and not 0 <= outcome.threshold <= 1:
        raise ValueError(f"threshold {outcome.threshold!r} is no probability")
    return outcome
