"""What a user holds: a model with its notation, which `groot.load` returns."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch

from groot.engine.ledger import UNKNOWN, Ledger, write_ledger
from groot.errors import ConfigError, ModelError
from groot.evaluation.calibration_map import CALIBRATION_FILE, Calibration
from groot.models.model_folder import SETTINGS_FILE
from groot.models.prompts import Prompts
from groot.outputs.choose import choose_all
from groot.rewards import CallSettings, Reward, parse_rewards, refuse_code
from groot.rewards.labeler_judge import OpenLabeler
from groot.targets.words import split_words
from groot.types import Candidate, Example, Gold, Task
from groot.writer.notation import Answer, Asked, Notation
from groot.writer.prediction import (
    Prediction,
    PredictSettings,
    prediction_of,
    weighed,
    with_log_p,
)

VERSION = 1


class Writer:
    """A model that writes labels or texts, with all that it takes to use it.

    Args:
        model: the language model, or an aligned labeler: what the notation writes with.
        notation: how examples and outputs are written down for it, and searched.
        reward_specs: what it was optimised for, as given; used by choose="mbr".
        is_trusted: whether code that reward_specs name may be run. A model's folder is data, so
            that of a writer that was loaded is not, unless the reward is named again.
        calibration: maps the model's probabilities to those that it states; None states its own.
        open_labeler: opens the folder of a labeler, for rewards that judge by one.
    """

    notation: Notation

    def __init__(
        self,
        model: Any,
        notation: Notation,
        *,
        reward_specs: Sequence[str] = (),
        is_trusted: bool = True,
        calibration: Calibration | None = None,
        open_labeler: OpenLabeler | None = None,
    ) -> None:
        self.model = model
        self.notation = notation
        self.reward_specs = tuple(reward_specs)
        self.is_trusted = is_trusted
        self.calibration = calibration
        self.open_labeler = open_labeler
        self.ledger: Ledger = UNKNOWN

    @property
    def task(self) -> Task:
        """What it writes: spans, classes or text."""
        return self.notation.task

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels or classes that it knows; none where it writes free text."""
        return self.notation.labels

    @property
    def prompts(self) -> Prompts:
        """How plain inputs and texts are spelled in the model's tokens."""
        return self.notation.prompts

    @property
    def writes_labels(self) -> bool:
        """Whether it writes labels, whose probabilities and proofs are known."""
        return self.notation.has_proofs

    def __repr__(self) -> str:
        labels = f", {len(self.labels)} labels" if self.labels else ""
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        return f"<{type(self).__name__} of {self.task}{labels}, {weights / 1e6:.1f} M weights>"

    def with_model(self, model: Any) -> Self:
        """The same writer around another model, such as one with adapters; uncalibrated."""
        other = copy.copy(self)
        other.model = model
        other.calibration = None
        return other

    def reward(
        self, specs: Sequence[str] | None = None, *, calls: CallSettings | None = None
    ) -> Reward:
        """The reward that specs name; None takes what the writer was optimised for.

        Args:
            calls: how functions of the user's own are called.

        Raises:
            ModelError: the specs come from a folder and name code, which is not run unasked.
            ConfigError: if no reward is named and none was trained for.
        """
        if specs is None and not self.is_trusted:
            refuse_code(self.reward_specs, "model")
        return parse_rewards(
            list(self.reward_specs if specs is None else specs),
            calls=calls,
            gold_text=self.gold_text,
            open_labeler=self.open_labeler,
        )

    def gold_text(self, example: Example) -> str | None:
        """The target of the gold: what TRL's reward functions get as `completion`."""
        return None if example.gold is None else self.notation.encode(example, example.gold)

    def __call__(
        self, texts: str | Sequence[str], *, top_k: int = 1, **settings: Any
    ) -> list[list[Candidate]]:
        """Write labels, or texts, for texts.

        Args:
            texts: one text or several.
            top_k: candidates per text, best first.
            settings: further ones of `PredictSettings`, such as choose="mbr" or a guide.

        Returns:
            per text its candidates; `candidate.spans` hold character offsets, labels,
            probabilities.
        """
        given = [texts] if isinstance(texts, str) else texts
        return self.label([example_of(text) for text in given], top_k=top_k, **settings)

    def label(self, examples: Sequence[Example], **settings: Any) -> list[list[Candidate]]:
        """Like calling the writer, for examples; their gold is not looked at."""
        return [prediction.candidates for prediction in self.predict(examples, **settings)]

    def predict(
        self,
        examples: Sequence[Example],
        settings: PredictSettings | None = None,
        **changes: Any,
    ) -> list[Prediction]:
        """What is written for examples, with the probability of each span or class.

        Args:
            examples: their gold is not looked at.
            settings: how; None takes the defaults.
            changes: settings of `PredictSettings` by name, over those.

        Raises:
            ModelError: calibrated=True, and the writer has no calibration.
            ConfigError: for a guide that does not steer what is written, and where proofs or
                calibrated probabilities are asked of a model that writes free text.
        """
        settings = dataclasses.replace(settings or PredictSettings(), **changes)
        mapped = self._calibration_of(settings)
        answers = self.notation.answers(self.model, examples, settings.asked)
        every = [answer.candidates for answer in answers]
        if settings.choose == "mbr":
            with self.reward(settings.reward) as maximised:
                chosen = choose_all(examples, [weighed(a) for a in answers], maximised, "mbr")
            every = [
                with_log_p(ranked, answer) for ranked, answer in zip(chosen, answers, strict=True)
            ]
        return [
            prediction_of(answer, ranked, settings, mapped)
            for answer, ranked in zip(answers, every, strict=True)
        ]

    def _calibration_of(self, settings: PredictSettings) -> Calibration | None:
        if not self.notation.has_proofs and (settings.calibrated or not settings.exact):
            raise ConfigError(
                "calibration and proofs are of labels; this model writes texts. Leave out"
                " --calibrated and --no-exact."
            )
        if settings.calibrated and self.calibration is None:
            raise ModelError(
                "the labeler has no calibration. Make one with groot calibrate, or take the"
                " model's own probabilities."
            )
        return None if settings.calibrated is False else self.calibration

    def answers(self, examples: Sequence[Example], asked: Asked) -> list[Answer]:
        """What a search gives for each example, with its certificates."""
        return self.notation.answers(self.model, examples, asked)

    def candidates(
        self, examples: Sequence[Example], k: int, **asked: Any
    ) -> list[list[Candidate]]:
        """The top k candidates of each example with log_p, best first.

        Args:
            asked: further settings of `Asked`, such as width or batch_size.
        """
        return [answer.candidates for answer in self.answers(examples, Asked(k, **asked))]

    @torch.no_grad()
    def score(
        self,
        examples: Sequence[Example | str],
        outputs: Sequence[Sequence[Gold]],
        *,
        batch_size: int = 32,
    ) -> list[list[float | None]]:
        """log_p of given outputs of each example, or text, of at most one window.

        Returns:
            nats, the end of the target included; None for an output that no target can say.
        """
        self.model.eval()
        notation = self.notation
        read = [example_of(each) if isinstance(each, str) else each for each in examples]
        scores: list[list[float | None]] = []
        for first in range(0, len(read), batch_size):
            part = range(first, min(first + batch_size, len(read)))
            targets = [[notation.target(read[i], gold) for gold in outputs[i]] for i in part]
            real = [[target for target in of_one if target is not None] for of_one in targets]
            inputs = [notation.input_ids(read[i]) for i in part]
            log_p, _ = notation.log_p(self.model, inputs, real)
            for row, of_one in zip(log_p.tolist(), targets, strict=True):
                values = iter(row)
                scores.append([None if target is None else next(values) for target in of_one])
        return scores

    def save(self, folder: str | Path) -> None:
        """Write the model as its notation does, most as a transformers folder, and `groot.json`."""
        folder = Path(folder)
        self.notation.save_model(self.model, folder)
        settings = {
            "version": VERSION,
            **self.notation.settings(),
            "reward": list(self.reward_specs),
            "offset_unit": "codepoint",
        }
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
        (folder / CALIBRATION_FILE).unlink(missing_ok=True)  # of the model that was there before
        if self.calibration is not None:
            self.calibration.save(folder)
        write_ledger(folder, self.ledger)


def example_of(text: str, *, id: str = "") -> Example:
    """An example without gold, cut into words."""
    words, starts = split_words(text)
    return Example(text, tuple(words), tuple(starts), id=id)
