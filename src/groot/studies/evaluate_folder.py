"""The numbers of a finished run: on other data, or from the predictions that it stored."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groot.config import load_config
from groot.data import read_examples
from groot.data.benchmarks import Split
from groot.data.result import ReadResult
from groot.engine.events import OnEvent, StageFinished, StageStarted, StepDone, ignore_events
from groot.errors import ConfigError, DataError, ModelError, RewardError
from groot.evaluation.corpus_metrics import CorpusMetric
from groot.evaluation.measure import Measurement, measure
from groot.evaluation.records import read_records
from groot.rewards import Reward, parse_rewards
from groot.search.found import Found
from groot.search.proofs import Proofs, proofs
from groot.types import Candidate, Example
from groot.writer.folders import load
from groot.writer.generator import Generator

log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
EXAMPLES_PER_STEP = 256  # between two events


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What evaluating gives.

    Args:
        examples: with gold.
        candidates: of each, with rewards.
        measurement: the numbers.
        proofs: of the candidates being the most probable; None of a generator, and of predictions
            that a run stored.
    """

    examples: list[Example]
    candidates: list[list[Candidate]]
    measurement: Measurement
    proofs: Proofs | None = None

    def summary(self, *, n_resamples: int = 2000) -> dict[str, Any]:
        """The numbers as JSON-ready dictionaries, see `Measurement.summary`; with the proofs."""
        numbers = self.measurement.summary(n_resamples=n_resamples)
        return numbers | {"proofs": None if self.proofs is None else self.proofs.as_json()}


def evaluate_folder(
    folder: str | Path,
    data: str | Path,
    *,
    split: Split = "test",
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    reward_specs: Sequence[str] | None = None,
    k: int = 5,
    choose: Literal["top", "mbr"] = "top",
    mbr_candidates: int = 16,
    exact: bool = True,
    on_bad_lines: Literal["stop", "skip"] = "stop",
    timeout_s: float = 30.0,
    workers: int = 1,
    events: OnEvent = ignore_events,
) -> Evaluation:
    """Predict labelled data with the model of a folder and measure the predictions.

    Args:
        folder: a run's folder or a model's.
        data: a file, a folder or a benchmark's name.
        split: of a benchmark or a folder of splits.
        format: of the file; None finds it out.
        reader: settings of the format's reader.
        reward_specs: rewards to measure; None takes those that the model was optimised for.
        k: ranks to look at.
        choose: what rank 1 is: the most probable candidate, or the best expected one.
        mbr_candidates: candidates that "mbr" chooses among.
        exact: whether a labeler searches until its candidates are proven to be the most probable.
        on_bad_lines: "stop" raises at the first unreadable lines, "skip" leaves them out.
        timeout_s: seconds that one call of the user's own reward may take.
        workers: processes that run the user's own reward.
        events: is called with the progress.

    Raises:
        ConfigError: if a generator's texts should not be exact: they are never proven.
        DataError: if the data cannot be read, or has no gold to compare with.
    """
    model = load(folder)
    if isinstance(model, Generator) and not exact:
        raise ConfigError("--no-exact is of labels; this model writes texts.")
    found = read_labelled(
        data, split=split, format=format, reader=reader, on_bad_lines=on_bad_lines
    )
    examples, candidates = found.examples, list[list[Candidate]]()
    searches: list[Found] = []
    asked: dict[str, Any] = {
        "top_k": k,
        "choose": choose,
        "reward": reward_specs,
        "mbr_candidates": mbr_candidates,
    }
    with model.reward(reward_specs, timeout_s=timeout_s, workers=workers) as reward:
        events(StageStarted("evaluate", len(examples)))
        start = time.monotonic()
        for first in range(0, len(examples), EXAMPLES_PER_STEP):
            part = examples[first : first + EXAMPLES_PER_STEP]
            if isinstance(model, Generator):
                ranked = model.label(part, **asked)
            else:  # the numbers are of the ranks that are looked at
                said = model.predict(part, **asked, exact=exact, probability_candidates=0)
                ranked = [one.candidates for one in said]
                searches += [search for one in said for search in one.searches]
            candidates += with_rewards(part, ranked, reward)
            events(StepDone("evaluate", len(candidates), len(examples)))
        events(StageFinished("evaluate", time.monotonic() - start))
        numbers = measure(
            examples, candidates, k=k, metric=reward.metric, scheme=found.scheme, seed=0
        )
    return Evaluation(examples, candidates, numbers, proofs(searches) if searches else None)


def read_labelled(
    data: str | Path,
    *,
    split: Split = "test",
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    on_bad_lines: Literal["stop", "skip"] = "stop",
) -> ReadResult:
    """Read data that predictions are compared with.

    Raises:
        DataError: if it cannot be read, or a row of it cannot and on_bad_lines is "stop".
    """
    found = read_examples(data, split=split, format=format, **(reader or {}))
    if found.problems and on_bad_lines == "stop":
        raise DataError(
            "\n  ".join(
                [
                    f"{len(found.problems)} of {found.n_rows} rows cannot be used:",
                    *map(str, found.problems[:10]),
                    "Mend them, or leave them out with --on-bad-lines skip.",
                ]
            )
        )
    return found


def stored_evaluation(
    folder: str | Path, *, predictions: str = "optimised", k: int | None = None
) -> Evaluation:
    """The numbers of the predictions that a run stored when it finished.

    Args:
        folder: a run's folder.
        predictions: "fit", "fit_mbr", "optimised" or "optimised_mbr".
        k: ranks to look at; None looks at those of the run.

    Raises:
        DataError: if the folder holds no such predictions.
    """
    folder = Path(folder)
    path = folder / "evaluation" / f"{predictions}.jsonl"
    if not path.is_file():
        raise DataError(
            f"{path}: no stored predictions. Finish the run with groot train, or name data to"
            " predict with --data."
        )
    results = _results(folder)
    examples, candidates = read_records(path)
    stored = results.get(predictions, {})
    numbers = measure(
        examples,
        candidates,
        k=k or int(results["k"]),
        metric=_metric_of(load_config(folder / CONFIG_FILE).reward.specs),
        scheme=stored.get("scheme"),
    )
    return Evaluation(examples, candidates, numbers)


def with_rewards(
    examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]], reward: Reward
) -> list[list[Candidate]]:
    """The candidates with their rewards filled in."""
    return [
        [dataclasses.replace(one, reward=value) for one, value in zip(some, values, strict=True)]
        for some, values in zip(candidates, reward.score(examples, candidates), strict=True)
    ]


def _metric_of(specs: Sequence[str]) -> CorpusMetric | None:
    """The form over a whole set of a reward whose values are known already."""
    if any(":" in spec for spec in specs):  # code has no such form, and need not be run to know
        return None
    try:
        with parse_rewards(specs) as reward:
            return reward.metric
    except (ConfigError, RewardError) as error:  # code that has moved away since has no such form
        log.warning("the metric of reward %s is left out: %s", " ".join(specs), error)
        return None


def _results(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: no results of a finished run ({error}). Run groot train again: it continues."
        ) from error
    return dict(found)
