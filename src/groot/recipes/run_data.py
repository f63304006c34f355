"""The data of a run, read and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from groot.config import Config
from groot.data import Splits, read_splits
from groot.data.held_out import split_off_test
from groot.errors import ConfigError, DataError, RewardError
from groot.outputs.items import gold_task
from groot.rewards import Reward
from groot.types import Candidate, Example, Task

TRIED = 8  # training examples whose gold a reward scores before anything is trained


@dataclass(frozen=True, slots=True)
class RunData:
    """The examples of a run.

    Args:
        train, dev, test: each at least one example; test is dev where there is no test set.
        split: which of them the final numbers come from.
        scheme: tag scheme of the training data; None where there are no tags.
        problems: lines that were left out, "path:line: reason".
    """

    train: list[Example]
    dev: list[Example]
    test: list[Example]
    split: str
    scheme: str | None
    problems: tuple[str, ...]

    @property
    def task(self) -> Task:
        """What the gold is; that of the first example, as all are of one task."""
        return gold_task(self.train[0]) or "spans"


def read_data(config: Config) -> RunData:
    """Read and check the data of a run.

    Raises:
        DataError: naming path:line of what cannot be read; nothing has been written then.
    """
    data = config.data
    if data.train is None:
        raise DataError("no training data: name a file, a folder or a benchmark")
    splits = read_splits(
        data.train, data.dev, data.test, task=data.task, format=data.format, **data.reader
    )
    return checked(splits, config)


def checked(splits: Splits, config: Config) -> RunData:
    """The data of a run, if its bad lines may be left out and its gold can be trained on.

    Raises:
        DataError: with path:line of the bad lines, or naming the kinds of gold.
    """
    data = config.data
    problems = tuple(str(problem) for problem in _problems(splits))
    if problems and data.on_bad_lines == "stop":
        shown = "\n  ".join(problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise DataError(
            f"{len(problems)} lines cannot be used:\n  {shown}{more}\n"
            "  Mend them, or leave them out and have them counted with"
            " --set data.on_bad_lines=skip."
        )
    train = splits.train.examples[: data.max_train]
    test = None if splits.test is None else splits.test.examples
    if test is None and data.test_share is not None:
        train, test = split_off_test(train, data.test_share)
    tasks = {gold_task(example) for example in train}
    where = splits.train.where or "the training data"
    if len(tasks) != 1 or None in tasks:
        raise DataError(
            f"{where}: gold of several kinds or none: {sorted(map(str, tasks))}."
            " Name one with --task."
        )
    if tasks == {"text"}:
        _check_text(splits, config)
    dev = splits.dev.examples
    split, final = ("dev", dev) if test is None else ("test", test)
    return RunData(train, dev, final, split, splits.train.scheme, problems)


def _check_text(splits: Splits, config: Config) -> None:
    """What a run on free text needs besides.

    Raises:
        DataError, ConfigError: saying what is missing or does not fit.
    """
    if not any(example.reference is not None for example in splits.dev.examples):
        raise DataError(
            f"{splits.dev.where or 'the dev data'}: no example has a reference, which picks the"
            " checkpoint. Give --dev with references."
        )
    if config.optimise.selects_on == "f1":
        raise ConfigError(
            "optimise.selects_on: f1 counts spans or classes, and free text has none. Take reward"
            " or both."
        )


def try_reward(data: RunData, reward: Reward, gold_text: Callable[[Example], str | None]) -> None:
    """Score the gold of a few training examples, so that a reward is known before training.

    Args:
        gold_text: the target of an example's gold.

    Raises:
        RewardError: if the reward cannot score them, or one of its parts says nothing of any.
    """
    tried = [example for example in data.train if example.gold is not None][:TRIED]
    gold = [[Candidate(gold_text(example) or "", example.gold, source="gold")] for example in tried]
    parts = reward.score_parts(tried, gold).parts
    silent = [name for name, rows in parts.items() if all(row[0] is None for row in rows)]
    if tried and silent:
        raise RewardError(
            f"{tried[0].source or tried[0].id}: reward {', '.join(map(repr, silent))} says nothing"
            f" about the gold of the first {len(tried)} training examples, and so cannot be"
            " maximised. Of free text take 'exact', 'token_accuracy', a reward of free text such"
            " as length:4-12, or a function of your own that gives a number."
        )


def _problems(splits: Splits) -> list[Any]:
    found = [*splits.train.problems, *splits.dev.problems]
    return [*found, *(splits.test.problems if splits.test is not None else [])]
