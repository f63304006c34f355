"""What `groot predict` and a server share: an opened writer that turns rows into lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch

from groot.errors import ConfigError
from groot.evaluation.thresholds import Thresholds
from groot.guides.saved_guides import holds_guide, saved_choice
from groot.outputs.choose import Choice
from groot.outputs.items import items_of, label_of
from groot.rewards import refuse_code
from groot.studies.probability_settings import ProbabilitySettings, model_mark
from groot.studies.threshold import above_thresholds, open_thresholds
from groot.work.guide_choice import GuideChoice, opened_guide
from groot.work.predicted_file import PredictedFile
from groot.work.predicted_lines import InputLine, line_of
from groot.writer.folders import load
from groot.writer.prediction import Prediction, PredictSettings
from groot.writer.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How texts are labelled or written, as a user asks for it.

    Args:
        top_k: candidates per text.
        choose: what comes first: the most probable candidate, or the best expected one; None is
            what was found out with a saved guide, or else the most probable.
        reward: what "mbr" maximises; None is what was found out with it, or else what the model
            was optimised for.
        candidates: searched per text for probabilities, and for "mbr".
        calibrated, exact: as in `PredictSettings`.
        thresholds: a file of `groot threshold`: spans below their label's threshold are dropped.
        guide: steers the search, or the writing of free text.
        batch_size: texts searched together.
        dtype: arithmetic of the model.

    Raises:
        ConfigError: if settings do not fit each other.
    """

    top_k: int = 1
    choose: Choice | None = None
    reward: tuple[str, ...] | None = None
    candidates: int = 16
    calibrated: bool | None = None
    exact: bool = True
    thresholds: Path | None = None
    guide: GuideChoice | None = None
    batch_size: int = 64
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if self.first == "mbr" and self.candidates < 2:
            raise ConfigError(
                f"--choose mbr cannot choose among --candidates {self.candidates}. A guide of groot"
                " steer may ask for it by itself: --choose top."
            )
        if self.guide is not None and self.thresholds is not None:
            raise ConfigError("--thresholds hold for unguided labels: leave out --guide.")

    @property
    def first(self) -> Choice:
        """What comes first: as asked for, or as a saved guide has it."""
        return self.choose or self._saved[0] or "top"

    @property
    def maximised(self) -> tuple[str, ...] | None:
        """What "mbr" maximises: as asked for, or as a saved guide has it."""
        saved, reward = self._saved
        if saved is None or self.choose not in (None, saved) or self.reward:
            return self.reward
        if saved == "mbr":
            refuse_code(reward or (), "guide")
        return None if reward is None else tuple(reward)

    @property
    def _saved(self) -> tuple[Choice | None, list[str] | None]:
        if self.guide is None or not holds_guide(self.guide.name):
            return None, None
        return saved_choice(self.guide.name)


@dataclass(frozen=True)
class Predictor:
    """A writer that is open, with what was asked of it.

    Args:
        writer: a labeler or a generator.
        settings: of its predictions.
        thresholds: below which spans are dropped; None keeps all.
    """

    writer: Writer
    settings: PredictSettings
    thresholds: Thresholds | None = None

    @classmethod
    def open(cls, folder: Path, request: Request) -> Self:
        """The writer of a folder, as a request wants it.

        Raises:
            ModelError: if there is neither a labeler nor a generator in the folder, or no
                calibration where one is asked for.
            ConfigError: if the thresholds are none, are not reachable, or are of other predictions.
        """
        writer = load(folder)
        if request.dtype != "float32":
            writer.model.to(getattr(torch, request.dtype))
        guide = request.guide
        settings = PredictSettings(
            top_k=request.top_k,
            choose=request.first,
            reward=request.maximised,
            mbr_candidates=request.candidates,
            guide=None if guide is None else opened_guide(guide, writer),
            probability_candidates=request.candidates,
            calibrated=request.calibrated,
            exact=request.exact,
            seed=0 if guide is None else guide.seed,
            batch_size=request.batch_size,
        )
        return cls(writer, settings, thresholds_of(folder, writer, request))

    def predict(self, rows: Sequence[InputLine]) -> list[Prediction]:
        """What the writer says of rows, nothing dropped."""
        return self.writer.predict([row.example for row in rows], self.settings)

    def lines(self, rows: Sequence[InputLine], done: PredictedFile) -> Iterator[dict[str, Any]]:
        """The line of each row, what is below its threshold left out; counted in `done`."""
        for row, prediction in zip(rows, self.predict(rows), strict=True):
            first = items_of(prediction.candidates[0].output) if prediction.candidates else ()
            done.spans += len(first)
            if prediction.exact is not None:
                done.proven = (done.proven or 0) + prediction.exact
            if self.thresholds is not None:
                prediction = self._kept(prediction, done)
            yield line_of(row, prediction, task=self.writer.task)

    def _kept(self, prediction: Prediction, done: PredictedFile) -> Prediction:
        """The prediction without what is below its threshold; of the first candidate counted."""
        assert self.thresholds is not None
        kept = above_thresholds(prediction, self.thresholds)
        if prediction.candidates:
            before, after = (items_of(each.candidates[0].output) for each in (prediction, kept))
            done.dropped += len(before) - len(after)
            for name in (label_of(item) for item in before if item not in after):
                if not self.thresholds.has_threshold(name):
                    done.dropped_labels[name] = done.dropped_labels.get(name, 0) + 1
        return kept


def thresholds_of(folder: Path, writer: Writer, request: Request) -> Thresholds | None:
    """The thresholds that a request names, if they are of predictions like those it asks for.

    Raises:
        ConfigError: if they are none, are not reachable, or are of other predictions.
    """
    if request.thresholds is None:
        return None
    if not writer.writes_labels:
        raise ConfigError("--thresholds hold for labels; this model writes texts.")
    asked = ProbabilitySettings(
        top_k=request.top_k,
        choose=request.first,
        reward=request.maximised,
        candidates=request.candidates,
        exact=request.exact,
        dtype=request.dtype,
    )
    return open_thresholds(request.thresholds, asked.binding(writer, model_mark(folder)))
