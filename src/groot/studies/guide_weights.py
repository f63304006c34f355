"""The weight of each guide, chosen on prompts of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from groot.engine.ledger import text_hash
from groot.errors import ConfigError
from groot.rewards import Reward
from groot.studies.guide_entries import Contenders, make_entry
from groot.studies.guide_writing import WritingSettings, mean_reward_of
from groot.types import Example

# Mean reward of a guide with a weight.
MeanReward = Callable[[str, float], float]


@dataclass(frozen=True)
class WeightTrials:
    """What was tried, and on how many prompts.

    Args:
        tried: mean reward of each guide with each weight.
        n_prompts: on which they were tried.
        n_left_out: prompts that stand among those that the guides are compared on.
    """

    tried: dict[str, dict[str, float]]
    n_prompts: int
    n_left_out: int


def with_chosen_weights(
    contenders: Contenders,
    names: Sequence[str],
    grid: Sequence[float],
    prompts: Sequence[Example],
    reward: Reward,
    *,
    compared_on: Sequence[Example],
    settings: WritingSettings | None = None,
) -> tuple[Contenders, WeightTrials]:
    """The contenders with the best weight of each guide, and what was tried.

    A weight that was chosen on a prompt fits it; a p-value on the same prompt would be too small.
    So prompts that the guides are compared on are left out.

    Args:
        contenders: the generator and what steers it.
        names: guides that have a weight.
        grid: the weights that are tried.
        prompts: on which they are tried.
        reward: what the weights are chosen by.
        compared_on: the prompts of the comparison.
        settings: how long the texts are, and from which seed.

    Raises:
        ConfigError: if no prompt is left.
    """
    compared = {text_hash(example.text) for example in compared_on}
    kept = [example for example in prompts if text_hash(example.text) not in compared]
    if not kept:
        raise ConfigError(
            f"all {len(prompts)} prompts for choosing weights stand among those that the guides are"
            " compared on, so that the p-values would be too small. Give other prompts: --dev FILE."
        )

    def mean_reward(name: str, weight: float) -> float:
        entry_settings = replace(contenders.settings, weights={name: weight})
        entry = make_entry(name, replace(contenders, settings=entry_settings))
        return mean_reward_of(entry, kept, reward, settings)

    best, tried = choose_weights(names, grid, mean_reward)
    chosen = replace(contenders.settings, weights={**contenders.settings.weights, **best})
    trials = WeightTrials(tried, len(kept), len(prompts) - len(kept))
    return replace(contenders, settings=chosen), trials


def choose_weights(
    names: Sequence[str],
    grid: Sequence[float],
    mean_reward: MeanReward,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The weight of each guide with the highest mean reward on prompts kept for that.

    Rewards of different models have different scales, so one weight for all compares nothing.

    Args:
        names: guides that have a weight.
        grid: the weights that are tried.
        mean_reward: of a guide with a weight.

    Returns:
        the best weight of each, of equal ones the smallest; and everything that was tried.

    >>> choose_weights(["pargs"], [4.0, 1.0, 2.0], lambda name, weight: 3 - abs(weight - 2))
    ({'pargs': 2.0}, {'pargs': {'1': 2.0, '2': 3.0, '4': 1.0}})
    """
    best: dict[str, float] = {}
    tried: dict[str, dict[str, float]] = {}
    for name in names:
        values = {weight: mean_reward(name, weight) for weight in sorted(set(grid))}
        best[name] = max(values, key=lambda weight: (values[weight], -weight))
        tried[name] = {f"{weight:g}": value for weight, value in values.items()}
    return best, tried
