"""What a run folder holds for a report; whatever is not there is named in a notice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.errors import DataError
from groot.evaluation.measure import measure
from groot.evaluation.measurement import Measurement
from groot.evaluation.records import read_records
from groot.types import Candidate, Example

STAGE_NAMES = {
    "fit": "fitted",
    "fit_mbr": "fitted + MBR",
    "optimised": "optimised",
    "optimised_mbr": "optimised + MBR",
}


@dataclass(frozen=True)
class Stage:
    """One column of the before/after table.

    Args:
        key: its name in results.json and of its file in DIR/evaluation.
        numbers: its summary in results.json.
        examples: of its record file; empty where there is none.
        candidates: of each example, in rank order.
        measurement: of those records; None where there are none.
    """

    key: str
    numbers: Mapping[str, Any]
    examples: Sequence[Example] = ()
    candidates: Sequence[Sequence[Candidate]] = ()
    measurement: Measurement | None = None

    @property
    def name(self) -> str:
        return STAGE_NAMES[self.key]


@dataclass(frozen=True)
class Run:
    """The contents of a run folder, as far as a report needs them."""

    folder: Path
    results: Mapping[str, Any]
    stages: Mapping[str, Stage]
    log: Sequence[Mapping[str, Any]]
    notices: list[str] = field(default_factory=list)

    @property
    def before(self) -> Stage | None:
        return self.stages.get("fit") or self.stages.get("fit_mbr")

    @property
    def after(self) -> Stage | None:
        return self.stages.get("optimised") or self.stages.get("optimised_mbr")

    @property
    def last(self) -> Stage:
        """The stage that the run ended with."""
        return self.after or self.before or next(iter(self.stages.values()))


def read_run(folder: Path) -> Run:
    """Read results, log and records of a run.

    Raises:
        DataError: if there is no results.json or it holds no results.
    """
    notices: list[str] = []
    results = _read_results(folder / "results.json")
    k = int(results.get("k") or 1)
    stages = {
        key: _read_stage(folder, key, results[key], k, notices)
        for key in STAGE_NAMES
        if isinstance(results.get(key), Mapping)
    }
    if not stages:
        raise DataError(
            f"{folder / 'results.json'}: none of {', '.join(STAGE_NAMES)} is in it, so there is "
            "nothing to report. Run groot train again; it continues where it stopped."
        )
    return Run(folder, results, stages, _read_log(folder / "log.jsonl", notices), notices)


def _read_results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path} does not exist, so there is nothing to report yet. "
            "groot train writes it when the evaluation is done."
        )
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}).") from error
    if not isinstance(results, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(results).__name__}.")
    return results


def _read_stage(
    folder: Path, key: str, numbers: Mapping[str, Any], k: int, notices: list[str]
) -> Stage:
    path = folder / "evaluation" / f"{key}.jsonl"
    if not path.is_file():
        notices.append(
            f"evaluation/{key}.jsonl is missing: plots and examples leave “{STAGE_NAMES[key]}” out."
        )
        return Stage(key, numbers)
    examples, candidates = read_records(path)
    task = numbers.get("task")
    return Stage(key, numbers, examples, candidates, measure(examples, candidates, k=k, task=task))


def _read_log(path: Path, notices: list[str]) -> list[dict[str, Any]]:
    if not path.is_file():
        notices.append("log.jsonl is missing: there are no learning curves.")
        return []
    rows: list[dict[str, Any]] = []
    unreadable = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a killed run may be cut
            unreadable += 1
            continue
        if isinstance(row, dict):
            rows.append(row)
    if unreadable:
        notices.append(f"{unreadable} lines of log.jsonl could not be read and are left out.")
    return rows
