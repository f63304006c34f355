"""The numbers of a model on labelled data, and of two models measured with one reward."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.engine.ledger import Use, seen_sentence
from groot.errors import ConfigError
from groot.evaluation.comparison import CHOOSING_SPLIT, compare
from groot.evaluation.measure import measure
from groot.evaluation.measurement import Measurement
from groot.evaluation.thresholds import Thresholds
from groot.rewards import CallSettings, Reward
from groot.search.found import Found
from groot.search.proofs import Proofs, proofs
from groot.studies.labelled_data import LabelledData
from groot.studies.predicted_items import EXAMPLES_PER_STEP
from groot.studies.probability_settings import ProbabilitySettings, model_mark
from groot.studies.threshold import above_thresholds, open_thresholds
from groot.types import Candidate, Example
from groot.writer.folders import load
from groot.writer.writer import Writer

CONFIG_FILE = "config.yaml"
MOST_CHOSEN_ON = 0.05  # share of texts that may have chosen a model which is tested on them


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """How a model is measured.

    Args:
        reward: to measure; None takes what the model was optimised for.
        k: ranks to look at.
        choose: what rank 1 is: the most probable candidate, or the best expected one.
        candidates: searched per text, for "mbr" and for thresholds.
        exact: whether a labeler searches until its candidates are proven to be the most probable.
        thresholds: a file of `groot threshold`; what is below its label's threshold is dropped
            before anything is measured.
        timeout_s: seconds that one call of the user's own reward may take.
        workers: processes that run the user's own reward.
    """

    reward: tuple[str, ...] | None = None
    k: int = 5
    choose: Literal["top", "mbr"] = "top"
    candidates: int = 16
    exact: bool = True
    thresholds: Path | None = None
    timeout_s: float = 30.0
    workers: int = 1

    @property
    def predict(self) -> ProbabilitySettings:
        """How a labeler predicts."""
        return ProbabilitySettings(
            top_k=self.k,
            choose=self.choose,
            reward=self.reward,
            candidates=self.candidates,
            exact=self.exact,
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What evaluating gives.

    Args:
        examples: with gold.
        candidates: of each, with rewards.
        measurement: the numbers.
        proofs: of the candidates being the most probable; None of a generator, and of predictions
            that a run stored.
        split: of stored predictions, the set of the run that they are of; "dev" chose its weights.
        seen: how many of the texts the model learnt from, was chosen on and so on, by its ledger.
    """

    examples: list[Example]
    candidates: list[list[Candidate]]
    measurement: Measurement
    proofs: Proofs | None = None
    split: str | None = None
    seen: Mapping[Use, int] = field(default_factory=dict)

    @property
    def chose(self) -> bool:
        """Whether the model was chosen on these texts, so that a test on them finds too much."""
        return self.split == CHOOSING_SPLIT or self.seen.get("chosen_on", 0) > MOST_CHOSEN_ON * len(
            self.examples
        )

    def seen_sentences(self) -> list[str]:
        """What is to be said beside the numbers."""
        return [seen_sentence(use, count, len(self.examples)) for use, count in self.seen.items()]

    def summary(self, *, n_resamples: int = 2000) -> dict[str, Any]:
        """The numbers as JSON-ready dictionaries, see `Measurement.summary`; with the proofs."""
        numbers = self.measurement.summary(n_resamples=n_resamples)
        proven = None if self.proofs is None else self.proofs.as_json()
        return numbers | {"proofs": proven, "seen": dict(self.seen)}


def evaluate_folder(
    folder: str | Path,
    data: LabelledData,
    settings: EvaluationSettings | None = None,
    *,
    events: OnEvent = ignore_events,
) -> Evaluation:
    """Predict labelled data with the model of a folder and measure the predictions.

    Args:
        folder: a run's folder or a model's.
        data: with gold.
        settings: how; None takes the defaults.
        events: is called with the progress.

    Raises:
        ConfigError: if a generator's texts should be exact or above thresholds, which labels only
            can be, or if the thresholds are of other predictions.
        DataError: if the data cannot be read, or has no gold to compare with.
    """
    settings = settings or EvaluationSettings()
    model = load(folder)
    return _evaluated(model, folder, data, settings, events)


def evaluate_two(
    folders: tuple[str | Path, str | Path],
    data: LabelledData,
    settings: EvaluationSettings | None = None,
    *,
    events: OnEvent = ignore_events,
) -> tuple[Evaluation, Evaluation]:
    """Measure two models on the same data with the same reward, so that they can be compared.

    Raises:
        ConfigError: as `evaluate_folder`, and where no reward is named and the two were optimised
            for different ones.
    """
    settings = settings or EvaluationSettings()
    models = [load(folder) for folder in folders]
    if settings.reward is None:
        check_same_reward(folders, [" ".join(model.reward_specs) for model in models])
    before, after = (
        _evaluated(model, folder, data, settings, events)
        for model, folder in zip(models, folders, strict=True)
    )
    return before, after


def compare_evaluations(
    before: Evaluation, after: Evaluation
) -> dict[str, dict[str, float | None]]:
    """The paired comparison, see `compare`; not tested where the examples chose the weights."""
    is_tested = not (before.chose or after.chose)
    return compare(before.measurement, after.measurement, is_tested=is_tested)


def check_same_reward(folders: Sequence[str | Path], rewards: Sequence[str]) -> None:
    """Raise where two models would be measured with different rewards.

    Raises:
        ConfigError: naming both.
    """
    if len(set(rewards)) > 1:
        pairs = zip(folders, rewards, strict=True)
        told = " and ".join(f"{folder} for {reward or 'no reward'}" for folder, reward in pairs)
        raise ConfigError(
            f"the two were optimised for different rewards, {told}, and numbers of different"
            " rewards cannot be compared.\n  Name the one to measure both by: --data DATA --reward"
            " REWARD."
        )


def _evaluated(
    model: Writer,
    folder: str | Path,
    data: LabelledData,
    settings: EvaluationSettings,
    events: OnEvent,
) -> Evaluation:
    if not model.writes_labels and (settings.thresholds is not None or not settings.exact):
        raise ConfigError("thresholds and --no-exact are of labels; this model writes texts.")
    read = data.read()
    thresholds = None
    if settings.thresholds is not None:
        binding = settings.predict.binding(model, model_mark(folder))
        thresholds = open_thresholds(settings.thresholds, binding)
    candidates: list[list[Candidate]] = []
    searches: list[Found] = []
    calls = CallSettings(timeout_s=settings.timeout_s, workers=settings.workers)
    with model.reward(settings.reward, calls=calls) as reward:
        events(StageStarted("evaluate", len(read.examples)))
        start = time.monotonic()
        for first in range(0, len(read.examples), EXAMPLES_PER_STEP):
            part = read.examples[first : first + EXAMPLES_PER_STEP]
            ranked, certificates = _predicted(model, part, settings, thresholds)
            candidates += with_rewards(part, ranked, reward)
            searches += certificates
            events(StepDone("evaluate", len(candidates), len(read.examples)))
        events(StageFinished("evaluate", time.monotonic() - start))
        numbers = measure(
            read.examples,
            candidates,
            k=settings.k,
            metric=reward.metric,
            reward=reward.name,
            scheme=read.scheme,
        )
    return Evaluation(
        read.examples,
        candidates,
        numbers,
        proofs(searches) if searches else None,
        seen=model.ledger.seen([example.text for example in read.examples]),
    )


def _predicted(
    model: Writer,
    examples: Sequence[Example],
    settings: EvaluationSettings,
    thresholds: Thresholds | None,
) -> tuple[list[list[Candidate]], list[Found]]:
    """The candidates of each example, and the certificates of a labeler's searches."""
    # without thresholds the numbers are of the ranks that are looked at
    searched = 0 if thresholds is None else settings.candidates
    predictions = model.predict(
        examples,
        top_k=settings.k,
        choose=settings.choose,
        reward=settings.reward,
        mbr_candidates=settings.candidates,
        exact=settings.exact,
        probability_candidates=searched,
    )
    searches = [search for prediction in predictions for search in prediction.searches]
    if thresholds is not None:
        predictions = [above_thresholds(prediction, thresholds) for prediction in predictions]
    return [prediction.candidates for prediction in predictions], searches


def with_rewards(
    examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]], reward: Reward
) -> list[list[Candidate]]:
    """The candidates with their rewards filled in."""
    rewards = reward.score(examples, candidates)
    return [
        [
            dataclasses.replace(candidate, reward=value)
            for candidate, value in zip(ranked, values, strict=True)
        ]
        for ranked, values in zip(candidates, rewards, strict=True)
    ]
