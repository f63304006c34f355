"""The user's own reward functions as parts of a reward: found, called in workers, failures kept."""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal

from groot.errors import ConfigError, RewardError
from groot.rewards.compose import Rewards
from groot.rewards.pool import WorkerPool
from groot.rewards.worker import Answer, Place
from groot.types import Candidate, Example

LOGGER = logging.getLogger(__name__)

# Under "skip", failures that are written to a file and warned of; the others are only counted.
SHOWN_FAILURES = 5

GoldText = Callable[[Example], str | None]


class UserParts:
    """The functions of one reward, which share their worker processes.

    Args: as for `parse_rewards`.
    """

    def __init__(
        self,
        functions: Sequence[str | Callable[..., Any]],
        *,
        timeout_s: float,
        workers: int,
        on_error: Literal["stop", "skip"],
        max_missing: float,
        memory_mb: int | None,
        failures: Path | None,
        gold_text: GoldText | None,
    ) -> None:
        mistakes = _mistakes(timeout_s, workers, on_error, max_missing, memory_mb)
        places = []
        for function in functions:
            try:
                places.append(place_of(function))
            except ConfigError as error:
                mistakes.append(str(error))
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        self._pool = WorkerPool(places, timeout_s=timeout_s, workers=workers, memory_mb=memory_mb)
        try:
            self.parts = [
                UserPart(
                    self._pool,
                    number,
                    on_error=on_error,
                    max_missing=max_missing,
                    failures=failures,
                    gold_text=gold_text,
                )
                for number in range(len(places))
            ]
        except BaseException:
            self._pool.close()
            raise

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()


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
        *,
        on_error: Literal["stop", "skip"],
        max_missing: float,
        failures: Path | None,
        gold_text: GoldText | None,
    ) -> None:
        self.spec = pool.places[number].spec
        self.name = pool.places[number].name or self.spec
        loaded = pool.load(number)
        self.form = loaded.form
        self.fingerprint = f"{self.spec} {loaded.source_hash}"
        self._pool = pool
        self._number = number
        self._on_error = on_error
        self._max_missing = max_missing
        self._failures = failures
        self._gold_text = gold_text or text_of_gold
        self._counts: Counter[str] = Counter()
        self._n_shown = 0

    def score(
        self, examples: Sequence[Example], candidates: Sequence[Sequence[Candidate]]
    ) -> Rewards:
        """Rewards of the candidates of each example, from the worker processes."""
        is_trl = self.form == "trl"
        asked = [b for b, some in enumerate(candidates) if some]
        expected = self._counts["asked"] + sum(map(len, candidates))
        rewards: Rewards = [[] for _ in examples]
        answers = self._pool.calls(
            self._number,
            (
                (examples[b], candidates[b], self._gold_text(examples[b]) if is_trl else None)
                for b in asked
            ),
        )
        for b, answer in zip(asked, answers, strict=True):
            rewards[b] = self._take(answer, examples[b], candidates[b], expected)
        return rewards

    def counts(self) -> dict[str, int]:
        """How many values were asked for so far, and how many are missing, by reason."""
        reasons = ("asked", "none", "nan", "raised", "hung", "crashed", "infinite")
        return {reason: self._counts[reason] for reason in reasons}

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
        if self._on_error == "skip":
            self._check_missing(len(candidates), expected)
        return values

    def _report(self, answer: Answer, example: Example, candidates: Sequence[Candidate]) -> None:
        is_fatal = self._on_error == "stop" or answer.kind == "impossible"
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
        if total > max(k, self._max_missing * expected):
            reasons = ", ".join(f"{n} {kind}" for kind, n in failed.items())
            raise RewardError(
                f"reward {self.spec!r} failed for {total} of {expected} values ({reasons}), more "
                f"than the {self._max_missing:.1%} that may be missing. Mend the function."
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


def place_of(function: str | Callable[..., Any]) -> Place:
    """Where a function is, so that a worker process finds it.

    >>> place_of("my_package.rewards:brevity").module
    'my_package.rewards'

    Raises:
        ConfigError: if the spec is not of the form, or names a file that is not there.
    """
    if not isinstance(function, str):
        return _place_of_object(function)
    where, _, name = function.rpartition(":")
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"reward {function!r} names no function behind the colon. "
            "Write package.module:function or path/file.py:function."
        )
    if where.endswith(".py") or "/" in where:
        if not Path(where).is_file():
            raise ConfigError(f"reward {function!r}: there is no file {where}.")
        return Place(function, file=str(Path(where).resolve()), name=name)
    if not where or not all(part.isidentifier() for part in where.split(".")):
        raise ConfigError(
            f"reward {function!r}: {where!r} is neither a module nor a .py file. "
            "Write package.module:function or path/file.py:function."
        )
    return Place(function, module=where, name=name)


def _place_of_object(function: Callable[..., Any]) -> Place:
    """A function that came as an object: pickled, with its code where no import would find it."""
    import cloudpickle  # type: ignore[import-untyped]

    name = getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        raise ConfigError(f"reward {function!r} is a {type(function).__name__}, not a function.")
    module = inspect.getmodule(function)
    by_value = (
        module is not None
        and module.__name__ != "__main__"
        and PathFinder.find_spec(module.__name__.partition(".")[0]) is None
    )
    try:
        if module is not None and by_value:
            cloudpickle.register_pickle_by_value(module)
        try:
            pickled = cloudpickle.dumps(function)
        finally:
            if module is not None and by_value:
                cloudpickle.unregister_pickle_by_value(module)
    except Exception as error:
        raise ConfigError(
            f"reward {name!r} cannot be sent to a worker process: {error}. "
            "Put it in a file of its own and give it as path/file.py:function."
        ) from error
    source = ""
    with suppress(OSError, TypeError):  # typed in by hand, or an object that is called
        source = inspect.getsource(function)
    return Place(name, name=name, pickled=pickled, source=source)


def _mistakes(
    timeout_s: float, workers: int, on_error: str, max_missing: float, memory_mb: int | None
) -> list[str]:
    wrong = []
    if not 0 < timeout_s < math.inf:
        wrong.append(f"timeout_s is {timeout_s}; it must be a number of seconds above 0.")
    if workers < 1:
        wrong.append(f"workers is {workers}; rewards need at least 1 process.")
    if on_error not in ("stop", "skip"):
        wrong.append(f"on_error is {on_error!r}; it can be 'stop' or 'skip'.")
    if not 0 <= max_missing <= 1:
        wrong.append(f"max_missing is {max_missing}; it is a share between 0 and 1.")
    if memory_mb is not None and memory_mb < 1:
        wrong.append(f"memory_mb is {memory_mb}; it must be above 0, or None for no limit.")
    return wrong
