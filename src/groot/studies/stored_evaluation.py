"""The numbers of the predictions that a run stored when it finished."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groot.config import load_config
from groot.errors import ConfigError, DataError, ModelError, RewardError
from groot.evaluation.corpus_metrics import CorpusMetric
from groot.evaluation.measure import measure
from groot.evaluation.records import read_records
from groot.rewards import parse_rewards
from groot.studies.evaluate_folder import CONFIG_FILE, Evaluation, check_same_reward

log = logging.getLogger(__name__)


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
    specs = load_config(folder / CONFIG_FILE).reward.specs
    numbers = measure(
        examples,
        candidates,
        k=k or int(results["k"]),
        metric=_metric_of(specs),
        reward=str(results.get("reward") or " ".join(specs)),
        scheme=results.get(predictions, {}).get("scheme"),
    )
    return Evaluation(examples, candidates, numbers, split=results.get("split"))


def stored_evaluations(
    folders: tuple[str | Path, str | Path], *, predictions: str = "optimised", k: int | None = None
) -> tuple[Evaluation, Evaluation]:
    """The stored numbers of two runs, to be compared.

    Raises:
        ConfigError: where the two were optimised for, and so measured with, different rewards.
    """
    before, after = (stored_evaluation(each, predictions=predictions, k=k) for each in folders)
    check_same_reward(folders, [before.measurement.reward, after.measurement.reward])
    return before, after


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
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: no results of a finished run ({error}). Run groot train again: it continues."
        ) from error
    return dict(results)
