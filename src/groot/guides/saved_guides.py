"""A guide with its models and settings in one folder, and guides made by name.

guide.json       name, settings, which of the folders beside it are its models; and, where that was
                 found out, what comes first under it
reward_model/    of args, pargs, cd, rad, farma, deal and best_of_n
tuned/ reference/    of implicit
0/ 1/ ...        the guides of a sum
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from groot.errors import ConfigError, ModelError
from groot.guides import GUIDES
from groot.guides.guide import Chooser, Guide, SumOfGuides
from groot.models.alternatives import position_limit
from groot.models.loading import load_model, read_json, save_model
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.outputs.choose import Choice
from groot.reward_models.classifier_reward import ClassifierReward
from groot.reward_models.folders import (
    AnyRewardModel,
    ReadyRewardModel,
    in_ids_of,
    open_reward_model,
    original_of,
    reads_text,
    save_reward_model,
)
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.retokenising import Retokenising
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.rewards import Reward, refuse_code
from groot.writer.generator import Generator
from groot.writer.labeler import Labeler

logger = logging.getLogger(__name__)

GUIDE_FILE = "guide.json"
VERSION = 1
PART = "guide"
REWARD_MODEL, TUNED, REFERENCE = "reward_model", "tuned", "reference"

# Guides that are made of a reward model; `deal` and `best_of_n` ask it for whole texts.
OF_REWARD_MODEL = ("args", "pargs", "cd", "rad", "farma", "deal", "best_of_n")
OF_LABELS = OF_REWARD_MODEL[:5]  # what also steers a labeler

# Those of them that take a reward model of whole texts.
OF_CLASSIFIER = ("best_of_n", "deal", "args")


def make_guide(
    name: str,
    generator: Generator | Labeler,
    *,
    reward_model: AnyRewardModel | None = None,
    tuned: TextModel | None = None,
    reference: TextModel | None = None,
    reward: Reward | None = None,
    **settings: Any,
) -> Guide | Chooser:
    """The guide of a name in `GUIDES`, for a generator or a labeler.

    Args:
        generator: what it steers; a labeler takes the guides of a reward model of its own tokens.
        reward_model: what most guides need, with the generator's tokenizer or another (slower); a
            sequence classifier, or an ensemble.
        tuned: what `implicit` needs; reference is the generator where it is None.
        reward: of a text against another, what `mbr` maximises.
        settings: of the guide; see its class.

    Raises:
        ConfigError: if something is missing, a setting does not exist, or the reward model is of
            another kind.
        ModelError: if a labeler's reward model has other tokens than the labeler.
    """
    made: Any = GUIDES[name]
    given_here = {"model", "tuned", "reference", "reward", "max_length"}
    known = {*inspect.signature(made).parameters} - given_here
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(f"guide {name!r} has no setting {', '.join(unknown)}.")
    if isinstance(generator, Labeler) and name not in OF_LABELS:
        raise ConfigError(
            f"guide {name!r} does not steer labels; these do: {', '.join(OF_LABELS)}. To choose"
            " among a labeler's candidates by expected reward: --choose mbr."
        )
    if name in OF_REWARD_MODEL:
        if reward_model is None:
            raise ConfigError(f"guide {name!r} needs a reward model: --reward-model DIR.")
        if isinstance(reward_model, ClassifierReward) and name not in OF_CLASSIFIER:
            raise ConfigError(
                f"guide {name!r} steers by rewards of prefixes, and a sequence classifier is not"
                f" causal: it judges whole texts. Use it with {', '.join(OF_CLASSIFIER)}, or train"
                " a causal reward model: groot reward-model --model GENERATOR_DIR."
            )
        if isinstance(generator, Labeler):
            return made(_read_labels(reward_model, generator), **settings)
        judge = read_by(reward_model, generator)
        if name == "best_of_n":
            return made(judge.rewards, **settings)
        if name == "deal":
            limit = position_limit(generator.model)
            return made(generator.model, judge.rewards, max_length=limit, **settings)
        return made(judge, **settings)
    assert isinstance(generator, Generator)  # labelers have left above
    if name == "implicit":
        if tuned is None:
            raise ConfigError("guide 'implicit' needs a tuned model: --tuned DIR.")
        return made(tuned, reference, **settings)
    if name == "mbr":
        if reward is None:
            raise ConfigError("guide 'mbr' needs a reward: --reward NAME.")
        return made(reward, generator.prompts.text, **settings)
    raise ConfigError(
        f"guide {name!r} is made of a function; make it in Python and pass it to the generator."
    )


def read_by(reward_model: AnyRewardModel, generator: Generator) -> ReadyRewardModel:
    """The reward model in the ids of a generator: as it is, or by way of the text.

    With another tokenizer every candidate is read anew as text, at each step, from its beginning.
    """
    ready = in_ids_of(reward_model, generator.prompts)
    if reads_text(ready):
        logger.warning(
            "the reward model has other tokens than the generator: it reads every candidate anew"
            " as text, which is much slower than a reward model trained on a copy of the generator"
        )
    return ready


def _read_labels(reward_model: AnyRewardModel, labeler: Labeler) -> ReadyRewardModel:
    """The reward model, which has to read a labeler's own tokens: labels are no text."""
    model = labeler.model
    ready = in_ids_of(reward_model, Prompts(model.tokenizer, is_causal=model.is_causal))
    if reads_text(ready):
        raise ModelError(
            "the reward model has other tokens than the labeler. Train it on a copy of the labeler:"
            " groot reward-model CANDIDATES --model LABELER_DIR"
        )
    return ready


def save_guide(
    guide: Guide | Chooser,
    folder: str | Path,
    *,
    choose: Choice | None = None,
    reward: Sequence[str] | None = None,
) -> None:
    """Write a guide with everything that it is made of, the generator apart.

    Args:
        choose: what comes first under it, where that was found out.
        reward: what "mbr" maximises; None is what the labeler was optimised for.

    Raises:
        ConfigError: for a guide made of a function that no folder can hold: a grammar, a heuristic
            or reward other than a reward model's, rewards of one's own.
    """
    folder = Path(folder)
    saved = _describe(guide, folder)
    if choose is not None:
        saved["use"] = {"choose": choose, "reward": None if reward is None else list(reward)}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": VERSION, "part": PART, **saved}, indent=2) + "\n"
    (folder / GUIDE_FILE).write_text(text, encoding="utf-8")


def _describe(guide: Guide | Chooser, folder: Path) -> dict[str, Any]:
    """What guide.json says; the models are written on the way."""
    if isinstance(guide, SumOfGuides):
        for number, one in enumerate(guide.guides):
            save_guide(one, folder / str(number))
        return {"name": guide.name, "settings": {}, "guides": len(guide.guides)}
    held: dict[str, Any] = {"name": guide.name, "settings": getattr(guide, "settings", {})}
    parts = vars(guide)
    if guide.name in OF_REWARD_MODEL:
        model = parts.get("heuristic") or parts.get("reward") or parts.get("model")
        model = getattr(model, "__self__", model)  # of deal and best_of_n, the method `rewards`
        if not isinstance(model, (RewardModel, Retokenising, RewardEnsemble)):
            raise _unsaved(guide, "its reward is not that of a reward model")
        save_reward_model(original_of(model), folder / REWARD_MODEL)
        return {**held, "models": [REWARD_MODEL]}
    if guide.name == "implicit":
        models = {TUNED: parts["tuned"], REFERENCE: parts["reference"]}
        models = {name: model for name, model in models.items() if model is not None}
        for name, model in models.items():
            save_model(model, folder / name)
        return {**held, "models": list(models)}
    if guide.name == "mbr":
        return {**held, "reward": parts["reward"].name.split()}
    raise _unsaved(guide, "it is made of a function")


def _unsaved(guide: Guide | Chooser, reason: str) -> ConfigError:
    return ConfigError(f"guide {guide.name!r} cannot be saved: {reason}. Make it in Python again.")


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
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def load_guide(folder: str | Path, generator: Generator | Labeler) -> Guide | Chooser:
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
        guides = [load_guide(folder / str(number), generator) for number in range(count)]
        if not all(isinstance(guide, Guide) for guide in guides):
            raise ModelError(f"{path}: is the sum of something else than guides of next tokens.")
        return SumOfGuides([guide for guide in guides if isinstance(guide, Guide)])
    models = saved.get("models", [])
    refuse_code(saved.get("reward", ()), "guide")
    return make_guide(
        name,
        generator,
        reward_model=open_reward_model(folder / REWARD_MODEL) if REWARD_MODEL in models else None,
        tuned=load_model(folder / TUNED) if TUNED in models else None,
        reference=load_model(folder / REFERENCE) if REFERENCE in models else None,
        reward=generator.reward(saved["reward"]) if "reward" in saved else None,
        **settings,
    )
