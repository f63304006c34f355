"""A guide with its models and settings in one folder.

guide.json       name, settings, which of the folders beside it are its models; and, where that was
                 found out, what comes first under it
reward_model/    of a guide that is made of a reward model
tuned/ reference/    of one that is made of a tuned model
0/ 1/ ...        the guides of a sum
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

from groot.errors import ConfigError, ModelError
from groot.guides import Chooser, Guide, SumOfGuides
from groot.guides.making import Steered, make_guide
from groot.models.loading import load_model, read_json, save_model
from groot.outputs.choose import Choice
from groot.reward_models.folders import open_reward_model, original_of, save_reward_model
from groot.rewards import Reward, refuse_code

GUIDE_FILE = "guide.json"
VERSION = 1
PART = "guide"

# The models among the parts of a guide: how each is written into a folder, and read from one.
MODELS: Mapping[str, tuple[Callable[[Any, Path], None], Callable[[Path], Any]]] = {
    "reward_model": (
        lambda model, folder: save_reward_model(original_of(model), folder),
        open_reward_model,
    ),
    "tuned": (save_model, load_model),
    "reference": (save_model, load_model),
}


class Rewarding(Steered, Protocol):
    """What a guide steers, and parses the reward that a saved one maximises."""

    def reward(self, specs: Sequence[str] | None = None) -> Reward:
        """The reward of specs."""


def save_guide(
    guide: Guide | Chooser,
    folder: str | Path,
    *,
    choose: Choice | None = None,
    reward: Sequence[str] | None = None,
) -> None:
    """Write a guide with everything that it is made of, the writer apart.

    Args:
        choose: what comes first under it, where that was found out.
        reward: what "mbr" maximises; None is what the labeler was optimised for.

    Raises:
        ConfigError: for a guide made of a function that no folder can hold: a grammar, a heuristic
            or reward other than a reward model's, rewards of one's own.
    """
    folder = Path(folder)
    saved = _save_parts(guide, folder)
    if choose is not None:
        saved["use"] = {"choose": choose, "reward": None if reward is None else list(reward)}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": VERSION, "part": PART, **saved}, indent=2) + "\n"
    (folder / GUIDE_FILE).write_text(text, encoding="utf-8")


def _save_parts(guide: Guide | Chooser, folder: Path) -> dict[str, Any]:
    """Write the models of a guide; returns what guide.json says of it."""
    described: dict[str, Any] = {"name": guide.name, "settings": guide.settings}
    if isinstance(guide, SumOfGuides):
        for number, summand in enumerate(guide.guides):
            save_guide(summand, folder / str(number))
        return {**described, "guides": len(guide.guides)}
    if guide.needs == "function":
        raise ConfigError(
            f"guide {guide.name!r} cannot be saved: it is made of a function. Make it in Python"
            " again."
        )
    parts = dict(guide.parts())
    reward = parts.pop("reward", None)
    if reward is not None:
        described["reward"] = reward.name.split()
    for name, model in parts.items():
        save, _ = MODELS[name]
        try:
            save(model, folder / name)
        except ModelError as error:
            raise ConfigError(f"guide {guide.name!r} cannot be saved: {error}") from error
    return {**described, "models": list(parts)} if parts else described


def holds_guide(folder: str | Path) -> bool:
    """Whether `save_guide` wrote a guide there."""
    return (Path(folder) / GUIDE_FILE).is_file()


def saved_choice(folder: str | Path) -> tuple[Choice | None, list[str] | None]:
    """What comes first under the guide in a folder, and what "mbr" maximises; see `save_guide`.

    Raises:
        ModelError: if it is damaged.
    """
    path = Path(folder) / GUIDE_FILE
    use = read_json(path).get("use")
    if use is None:
        return None, None
    choose, reward = (
        use.get(name) if isinstance(use, dict) else None for name in ("choose", "reward")
    )
    if choose not in get_args(Choice) or not (reward is None or _are_names(reward)):
        raise ModelError(f'{path}: "use" is damaged. Learn the guide again, or take it out.')
    return choose, reward


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def load_guide(folder: str | Path, writer: Rewarding) -> Guide | Chooser:
    """The guide in a folder, for a generator or a labeler.

    Raises:
        ModelError: if there is none, or it is damaged, or names a reward with code of its own.
        ConfigError: if it does not fit what it should steer.
    """
    folder = Path(folder)
    if not holds_guide(folder):
        raise ModelError(f"{folder}: no guide here ({GUIDE_FILE} is missing).")
    path = folder / GUIDE_FILE
    saved = read_json(path)
    if saved.get("part") != PART or saved.get("version") != VERSION:
        raise ModelError(
            f"{path}: describes {saved.get('part')!r} of version {saved.get('version')!r}; this"
            f" groot reads a guide of version {VERSION}."
        )
    name, settings = saved.get("name"), saved.get("settings")
    if not isinstance(name, str) or not isinstance(settings, Mapping):
        raise ModelError(f"{path}: name or settings are missing.")
    if name == SumOfGuides.name:
        count = saved.get("guides")
        if not isinstance(count, int) or count < 1:
            raise ModelError(f"{path}: says nothing of the guides that it is the sum of.")
        guides = [load_guide(folder / str(number), writer) for number in range(count)]
        rescorers = [guide for guide in guides if isinstance(guide, Guide)]
        if len(rescorers) < count:
            raise ModelError(f"{path}: is the sum of something else than guides of next tokens.")
        return SumOfGuides(rescorers)
    named = saved.get("models", [])
    models = {part: read(folder / part) for part, (_, read) in MODELS.items() if part in named}
    refuse_code(saved.get("reward", ()), "guide")
    reward = writer.reward(saved["reward"]) if "reward" in saved else None
    return make_guide(name, writer, reward=reward, **models, **settings)
