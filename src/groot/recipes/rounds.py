"""The rounds of optimisation: what they are called, in which order, and what they are for."""

from __future__ import annotations

from dataclasses import dataclass

from groot.config import Config


@dataclass(frozen=True, slots=True)
class Round:
    """A round: fresh candidates, then training on them.

    Args:
        number: from 1, counted through all rounds of a run.
        name: of its stage.
        distils: whether the model learns MBR's choice, rather than to order candidates by reward.
        variations: varied texts per training text.
        goes_back: whether it starts from an average with the fitted weights.
    """

    number: int
    name: str
    distils: bool = False
    variations: int = 1
    goes_back: bool = False

    @property
    def candidates(self) -> str:
        """The name of the stage that makes its candidates."""
        return f"{self.name}: candidates"

    @property
    def file_name(self) -> str:
        """Of its candidates, without ending."""
        return self.name.replace(" ", "-")


def rounds_of(config: Config, *, can_vary: bool = True) -> list[Round]:
    """The rounds of a run, in order: contrast, then MBR distillation. Without the one, no other.

    Args:
        can_vary: False leaves MBR distillation out, which learns from varied texts.

    >>> [round.name for round in rounds_of(Config())]
    ['round 1', 'round 2', 'round 3', 'distil 1', 'distil 2']
    """
    contrast = config.optimise.rounds
    distil = config.distil
    return [Round(number, f"round {number}") for number in range(1, contrast + 1)] + [
        Round(contrast + number, f"distil {number}", True, distil.variations, number > 1)
        for number in range(1, distil.rounds + 1)
        if can_vary and contrast
    ]
