"""`--reward f0.5=0.8 exact=0.2`: one option, several weighted rewards after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

WEIGHTED = re.compile(r"[^-=][^=]*=[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


class RewardCommand(TyperCommand):
    """A command whose --reward also takes the `name=weight` words that follow."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual, after every such word has got its own --reward."""
        return super().parse_args(ctx, spread_rewards(args))


def spread_rewards(args: Sequence[str]) -> list[str]:
    """The arguments with `--reward` repeated before each weighted reward but the first.

    >>> spread_rewards(["atis", "--reward", "f0.5=0.8", "exact=0.2", "--seed", "1"])
    ['atis', '--reward', 'f0.5=0.8', '--reward', 'exact=0.2', '--seed', '1']
    """
    spread: list[str] = []
    is_after_reward = False
    for place, word in enumerate(args):
        if word == "--":
            return [*spread, *args[place:]]
        if is_after_reward and WEIGHTED.fullmatch(word):
            spread += ["--reward", word]
            continue
        is_value = place > 0 and args[place - 1] == "--reward"
        is_after_reward = (is_value and bool(WEIGHTED.fullmatch(word))) or bool(
            word.startswith("--reward=") and WEIGHTED.fullmatch(word.removeprefix("--reward="))
        )
        spread.append(word)
    return spread
