"""How many rewards a stage asked for and how many are missing, kept with the stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from accelerate import Accelerator
from accelerate.utils import gather_object

from groot.rewards import Reward

Counts = Mapping[str, Mapping[str, int]]


class RewardCount:
    """Counts what is asked of a reward from now on, over all processes.

    A reward counts only what its own process asked. A stage that is done keeps its counts, so that
    those of a run that was stopped and continued are those of an unbroken run.
    """

    def __init__(self, reward: Reward, accelerator: Accelerator) -> None:
        self._reward = reward
        self._accelerator = accelerator
        self._before = reward.counts()

    def so_far(self) -> dict[str, dict[str, int]]:
        """By part of the reward and reason, as `Reward.counts`; all processes must ask."""
        mine = {
            part: {reason: number - self._before[part][reason] for reason, number in of.items()}
            for part, of in self._reward.counts().items()
        }
        several = self._accelerator.num_processes > 1
        return summed(gather_object([mine]) if several else [mine])


def summed(several: Iterable[Counts]) -> dict[str, dict[str, int]]:
    """Counts added up.

    >>> summed([{"f1": {"asked": 2, "none": 0}}, {"f1": {"asked": 3, "none": 1}}])
    {'f1': {'asked': 5, 'none': 1}}
    """
    total: dict[str, dict[str, int]] = {}
    for counts in several:
        for part, of in counts.items():
            row = total.setdefault(part, {})
            for reason, number in of.items():
                row[reason] = row.get(reason, 0) + number
    return total
