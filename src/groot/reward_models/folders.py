"""Reward models of every make, by folder: with a head, classifiers, and several as one.

groot.json      what the folder holds; a plain classifier of transformers has none
0/ 1/ ...       the models of an ensemble
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

from groot.errors import ConfigError, ModelError
from groot.models.loading import read_json
from groot.models.model_folder import SETTINGS_FILE
from groot.models.prompts import Prompts
from groot.reward_models.classifier_reward import ClassifierReward, is_classifier, load_classifier
from groot.reward_models.prefix_model import RewardModel, load_reward_model
from groot.reward_models.retokenising import Retokenising, TextRewards, has_same_tokens
from groot.reward_models.reward_compositions import RewardEnsemble

AnyRewardModel: TypeAlias = RewardModel | ClassifierReward | RewardEnsemble
# What reads the ids of a generator.
ReadyRewardModel: TypeAlias = RewardModel | Retokenising | RewardEnsemble

ENSEMBLE = "reward ensemble"  # what groot.json says that the folder holds
VERSION = 1


def open_reward_model(folder: str | Path) -> AnyRewardModel:
    """The reward model in a folder, whatever it is made of, in evaluation mode.

    Args:
        folder: one that groot reward-model wrote, or `save_reward_model`, or that holds a
            sequence classifier of transformers.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    folder = Path(folder)
    path = folder / SETTINGS_FILE
    if path.is_file() and (saved := read_json(path)).get("part") == ENSEMBLE:
        count = saved.get("models")
        if saved.get("version") != VERSION or type(count) is not int or count < 1:
            raise ModelError(
                f"{path}: an ensemble of version {saved.get('version')!r} and {count!r} models."
                f" This groot reads version {VERSION}."
            )
        models = [open_reward_model(folder / str(number)) for number in range(count)]
        return _ensemble(models, saved.get("how", "mean"), saved.get("penalty", 0.5), str(path))
    if folder.is_dir() and is_classifier(folder):
        return load_classifier(folder)
    return load_reward_model(folder)


def _ensemble(models: list[AnyRewardModel], how: str, penalty: float, where: str) -> RewardEnsemble:
    try:
        return RewardEnsemble(models, how=how, penalty=penalty)  # type: ignore[arg-type]
    except (ConfigError, TypeError) as error:
        raise ModelError(f"{where}: {error}") from error


def save_reward_model(model: AnyRewardModel, folder: str | Path) -> None:
    """Write a reward model, so that `open_reward_model` gives it again."""
    folder = Path(folder)
    if not isinstance(model, RewardEnsemble):
        model.save(folder)
        return
    for number, one in enumerate(model.models):
        assert isinstance(one, (RewardModel, ClassifierReward, RewardEnsemble))
        save_reward_model(one, folder / str(number))
    settings = {
        "version": VERSION,
        "part": ENSEMBLE,
        "how": model.how,
        "penalty": model.penalty,
        "models": len(model.models),
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def in_ids_of(model: AnyRewardModel, prompts: Prompts) -> ReadyRewardModel:
    """A reward model in the ids of a generator: as it is, or by way of the text.

    By way of the text every prefix is read anew from its beginning, which is slow.
    """
    if isinstance(model, RewardEnsemble):
        members = [in_ids_of(one, prompts) for one in model.models]  # type: ignore[arg-type]
        return RewardEnsemble(members, how=model.how, penalty=model.penalty)
    if isinstance(model, RewardModel) and has_same_tokens(model, prompts):
        return model
    texts: TextRewards = model
    return Retokenising(texts, prompts)


def original_of(model: ReadyRewardModel) -> AnyRewardModel:
    """What `in_ids_of` was given.

    Raises:
        ModelError: for a composition of other things than reward models.
    """
    if isinstance(model, RewardEnsemble):
        members = [original_of(one) for one in model.models]  # type: ignore[arg-type]
        return RewardEnsemble(members, how=model.how, penalty=model.penalty)
    found = model.model if isinstance(model, Retokenising) else model
    if not isinstance(found, (RewardModel, ClassifierReward)):
        raise ModelError("its reward is not that of a reward model")
    return found


def reads_text(model: ReadyRewardModel) -> bool:
    """Whether a reward model, or one of an ensemble, reads the text anew at each step."""
    if isinstance(model, RewardEnsemble):
        return any(reads_text(one) for one in model.models)  # type: ignore[arg-type]
    return isinstance(model, Retokenising)
