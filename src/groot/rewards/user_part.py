"""The user's own reward functions as parts of a reward: called in workers, failures kept."""

from __future__ import annotations

import json
import logging
import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from groot.errors import ConfigError, RewardError
from groot.rewards.call_settings import CallSettings
from groot.rewards.compose import Rewards, says_nothing
from groot.rewards.places import place_of
from groot.rewards.pool import WorkerPool
from groot.rewards.worker import Answer
from groot.types import Candidate, Example

LOGGER = logging.getLogger(__name__)

# Under "skip", failures that are written to a file and warned of; the others are only counted.
SHOWN_FAILURES = 5

GoldText = Callable[[Example], str | None]


def user_parts(
    functions: Sequence[str | Callable[..., Any]],
    settings: CallSettings,
    gold_text: GoldText | None = None,
) -> tuple[list[UserPart], Callable[[], None]]:
    """The functions of one reward as parts that share their worker processes.

    Args:
        functions: each "package.module:function", "path/file.py:function" or the function itself.
        settings: how they are called.
        gold_text: as for `parse_rewards`.

    Returns:
        the parts, and what ends the worker processes.

    Raises:
        ConfigError: with every mistake of the settings and of the functions' names.
        RewardError: for a function that cannot be loaded.
    """
    mistakes, places = settings.mistakes(), []
    for function in functions:
        try:
            places.append(place_of(function))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    pool = WorkerPool(places, settings)
    try:
        parts = [UserPart(pool, number, settings, gold_text) for number in range(len(places))]
    except BaseException:
        pool.close()
        raise
    return parts, pool.close


class UserPart:
    """One function of the user's own, called once for each example with all its candidates.

    Its name is the function's. What it returns is checked; a call that raises, hangs, crashes or
    returns an infinite reward fails: under "stop" that is an error, under "skip" its rewards are
    missing, until more than max_missing of all values are. A wrong type or length is always an
    error: it would be wrong again at the next example.
    """

    def __init__(
        self,
        pool: WorkerPool,
        number: int,
        settings: CallSettings,
        gold_text: GoldText | None = None,
    ) -> None:
        place = pool.places[number]
        self.spec = place.spec
        self.name = place.name or place.spec
        self.mark = place.mark
        self.form = pool.load(number)
        self._pool = pool
        self._number = number
        self._settings = settings
        self._failures = settings.failures
        self._gold_text = gold_text or text_of_gold
        self._counts: Counter[str] = Counter()
        self._n_shown = 0
        self._is_nothing_told = False

    def score(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        """Rewards of the candidates of each example, from the worker processes."""
        asked = [b for b, ranked in enumerate(candidates) if ranked]
        expected = self._counts["asked"] + sum(map(len, candidates))
        rewards: Rewards = [[] for _ in examples]
        answers = self._answers((examples[b], candidates[b]) for b in asked)
        for b, answer in zip(asked, answers, strict=True):
            rewards[b] = self._take(answer, examples[b], candidates[b], expected)
        return rewards

    def of_nothing(self, examples: Sequence[Example]) -> list[float | None]:
        """The reward of saying nothing of each example; None where the function cannot tell.

        No candidate is at stake, so a failed call stops nothing and is not counted.
        """
        rewards: list[float | None] = []
        for answer in self._answers((example, [says_nothing(example)]) for example in examples):
            value = answer.values[0] if answer.kind == "values" else None
            rewards.append(None if value is None or math.isnan(value) else value)
            if answer.kind != "values" and not self._is_nothing_told:
                self._is_nothing_told = True
                LOGGER.warning(
                    "reward %s fails on output that says nothing, so malformed candidates have no"
                    " reward: %s",
                    self.name,
                    answer.detail.splitlines()[0],
                )
        return rewards

    def counts(self) -> dict[str, int]:
        """How many values were asked for so far, and how many are missing, by reason."""
        reasons = ("asked", "none", "nan", "raised", "hung", "crashed", "infinite")
        return {reason: self._counts[reason] for reason in reasons}

    def _answers(self, rows: Iterable[tuple[Example, Sequence[Candidate]]]) -> Iterator[Answer]:
        is_trl = self.form == "trl"
        jobs = (
            (example, ranked, self._gold_text(example) if is_trl else None)
            for example, ranked in rows
        )
        return self._pool.calls(self._number, jobs)

    def _take(
        self,
        answer: Answer,
        example: Example,
        candidates: Sequence[Candidate],
        expected: int,
    ) -> list[float | None]:
        """The values of an answer, nan as None; raises where the policy says so."""
        self._counts["asked"] += len(candidates)
        if answer.output:
            LOGGER.debug("reward %s at %s printed: %s", self.name, example.id, answer.output)
        values = list(answer.values)
        if answer.kind == "values":
            self._counts["none"] += sum(value is None for value in values)
            n_nan = sum(value is not None and math.isnan(value) for value in values)
            if n_nan and not self._counts["nan"]:
                LOGGER.warning("reward %s returned nan; counted as missing", self.name)
            self._counts["nan"] += n_nan
            values = [None if value is None or math.isnan(value) else value for value in values]
        else:
            values = [None] * len(candidates)
            self._counts[answer.kind] += len(candidates)
            self._report(answer, example, candidates)
        if self._settings.on_error == "skip":
            self._check_missing(len(candidates), expected)
        return values

    def _report(self, answer: Answer, example: Example, candidates: Sequence[Candidate]) -> None:
        is_fatal = self._settings.on_error == "stop" or answer.kind == "impossible"
        if not is_fatal and self._n_shown >= SHOWN_FAILURES:
            return
        self._n_shown += 1
        path = self._write_failure(answer, example, candidates)
        where = f"example {example.id!r}" + (f" ({example.source})" if example.source else "")
        if not is_fatal:
            first = answer.detail.splitlines()[0]
            LOGGER.warning("reward %s failed at %s: %s See %s", self.name, where, first, path)
            return
        advice = (
            "Mend the function."
            if answer.kind == "impossible"
            else "Mend the function, or leave such rewards missing with --on-reward-error skip."
        )
        indented = answer.detail.rstrip().replace("\n", "\n    ")
        raise RewardError(
            f"reward {self.spec!r} failed at {where}: {indented}\n"
            f"  The example and its candidates are in {path}\n  {advice}"
        )

    def _check_missing(self, k: int, expected: int) -> None:
        """Stop where more than max_missing of the values fail; one example always may."""
        kinds = ("nan", "raised", "hung", "crashed", "infinite")
        failed = {kind: self._counts[kind] for kind in kinds if self._counts[kind]}
        total = sum(failed.values())
        if total > max(k, self._settings.max_missing * expected):
            reasons = ", ".join(f"{n} {kind}" for kind, n in failed.items())
            raise RewardError(
                f"reward {self.spec!r} failed for {total} of {expected} values ({reasons}), more "
                f"than the {self._settings.max_missing:.1%} that may be missing. Mend the function."
            )

    def _write_failure(
        self, answer: Answer, example: Example, candidates: Sequence[Candidate]
    ) -> Path:
        if self._failures is None:
            self._failures = Path(tempfile.mkdtemp(prefix="groot-reward-failure-"))
        self._failures.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{self.name}-{example.id or 'example'}")[:100]
        path = self._failures / f"{slug}.json"
        record = {
            "reward": self.spec,
            "kind": answer.kind,
            "detail": answer.detail,
            "output": answer.output,
            "example": asdict(example),
            "candidates": [asdict(candidate) for candidate in candidates],
        }
        path.write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
        return path


def text_of_gold(example: Example) -> str | None:
    """The gold as text where it is one or nearly: the reference, or the classes."""
    if example.reference is not None:
        return example.reference
    return None if example.classes is None else ", ".join(example.classes)
