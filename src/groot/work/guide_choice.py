"""Texts of a generator, or labels, that a guide steers, for groot predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groot.errors import ConfigError
from groot.guides import GUIDES, Chooser, Guide
from groot.guides.making import make_guide
from groot.guides.rewarded import Transform
from groot.guides.saved_guides import holds_guide, load_guide, save_guide
from groot.reward_models.reward_compositions import How
from groot.search.steered_search import check_steers_labels
from groot.studies.open_guides import open_generator, open_reward_models
from groot.writer.writer import Writer


@dataclass(frozen=True, slots=True)
class GuideChoice:
    """What was asked for.

    Args:
        name: of a guide, or the folder of a saved one.
        reward_models: their folders; several of one kind make an ensemble.
        reward: what mbr maximises.
        weight: nats per unit of reward; None is the guide's own.
        seed: of what is drawn.
        save_to: folder for the guide with its models and settings.
        ensemble: how several reward models are made into one.
        penalty: of an ensemble that counts its uncertainty.
        transform: of rewards.
        tuned: folder of the generator tuned with DPO, for the implicit guide.
    """

    name: str
    reward_models: Sequence[Path] = ()
    reward: Sequence[str] | None = None
    weight: float | None = None
    seed: int = 0
    save_to: Path | None = None
    ensemble: How | None = None
    penalty: float = 0.5
    transform: Transform = "none"
    tuned: Path | None = None


def open_guide(choice: GuideChoice, generator: Writer) -> Guide | Chooser:
    """The guide that was asked for.

    Raises:
        ConfigError: if something is missing, or settings are given for a guide that has its own.
    """
    if holds_guide(choice.name):
        own = (choice.weight, choice.ensemble, choice.tuned)
        if choice.reward_models or choice.transform != "none" or own != (None, None, None):
            raise ConfigError(
                f"--guide {choice.name} is a saved guide with a reward model and a weight of its"
                " own. Name a guide instead, or leave out --reward-model, --weight and the like."
            )
        return load_guide(choice.name, generator)
    settings: dict[str, Any] = {} if choice.weight is None else {"weight": choice.weight}
    if choice.transform != "none":
        settings["transform"] = choice.transform
    models, _ = open_reward_models(
        choice.reward_models, ensemble=choice.ensemble, penalty=choice.penalty
    )
    if len(models) > 1:
        raise ConfigError(
            f"reward models of kinds {', '.join(models)}: a guide has one. Name those of one kind."
        )
    needs_reward = GUIDES[choice.name].needs == "reward"
    return make_guide(
        choice.name,
        generator,
        reward_model=next(iter(models.values()), None),
        tuned=None if choice.tuned is None else open_generator(choice.tuned).model,
        reward=generator.reward(choice.reward) if needs_reward else None,
        **settings,
    )


def opened_guide(choice: GuideChoice, writer: Writer) -> Guide | Chooser:
    """The guide that was asked for; saved where that was asked for, too.

    Raises:
        ConfigError: if it does not steer what the writer writes.
    """
    guide = open_guide(choice, writer)
    if writer.writes_labels:
        check_steers_labels(guide)
    if choice.save_to is not None:
        save_guide(guide, choice.save_to)
    return guide
