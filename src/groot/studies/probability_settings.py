"""What the probabilities of a labeler's items follow from: the settings, and the model's mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from groot.engine.marks import mark_of_files
from groot.errors import ConfigError
from groot.models.model_folder import SETTINGS_FILE
from groot.types import Example
from groot.writer.folders import labeler_folder, load_labeler
from groot.writer.prediction import Prediction
from groot.writer.writer import Writer

# What the probabilities of a model follow from; not its calibration, nor what lies beside it.
MODEL_FILES = ("*.safetensors", "config.json", "tokenizer*.json", SETTINGS_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilitySettings:
    """How labels are searched and chosen, as far as the probabilities of items follow from it.

    Args:
        top_k: candidates per text.
        choose: what comes first: the most probable candidate, or the best expected one.
        reward: what "mbr" maximises; None is what the labeler was optimised for.
        candidates: searched per text, for probabilities and for "mbr"; 2 at least.
        exact: whether the top_k are searched until they are proven to be the most probable.
        dtype: arithmetic of the model.

    Raises:
        ConfigError: if a number cannot be.
    """

    top_k: int = 1
    choose: Literal["top", "mbr"] = "top"
    reward: tuple[str, ...] | None = None
    candidates: int = 16
    exact: bool = True
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"top_k is {self.top_k}; at least 1 candidate is needed.")
        if self.candidates < 2:
            raise ConfigError(
                f"candidates is {self.candidates}: of a single candidate no probability of a span"
                " can be told. Give 2 at least; 16 are the default."
            )

    def open(self, folder: str | Path) -> Writer:
        """The labeler of a folder, in the arithmetic asked for."""
        labeler = load_labeler(folder)
        if self.dtype != "float32":
            labeler.model.to(getattr(torch, self.dtype))
        return labeler

    def predict(
        self, labeler: Writer, examples: Sequence[Example], *, calibrated: bool | None = None
    ) -> list[Prediction]:
        """What a labeler says of examples; `calibrated` as in `Writer.predict`."""
        return labeler.predict(
            examples,
            top_k=self.top_k,
            choose=self.choose,
            reward=self.reward,
            mbr_candidates=self.candidates,
            probability_candidates=self.candidates,
            calibrated=calibrated,
            exact=self.exact,
        )

    def binding(self, labeler: Writer, model: str) -> dict[str, Any]:
        """All that the labeler's own probabilities follow from, by name.

        A threshold that was chosen under one of these means something under the same one only. A
        calibration is not in it: thresholds are of the labeler's own probabilities.

        Args:
            model: the mark of the model.
        """
        is_mbr = self.choose == "mbr"
        return {
            "model": model,
            "choose": self.choose,
            "reward": list(self.reward or labeler.reward_specs) if is_mbr else None,
            "candidates": max(self.candidates, self.top_k),
            # proving more candidates takes a wider search, which finds others beside them
            "top_k": self.top_k if self.exact and not is_mbr else None,
            "exact": self.exact,
            "dtype": self.dtype,
        }


def model_mark(folder: str | Path) -> str:
    """The mark of the contents that a labeler's probabilities follow from."""
    folder = labeler_folder(folder)
    paths = {path for pattern in MODEL_FILES for path in folder.glob(pattern)}
    return mark_of_files({path.name: path for path in paths})
