"""Guides made by name, for a labeler or a generator of free text."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from groot.errors import ConfigError, ModelError
from groot.guides import GUIDES, Chooser, Guide, Listed, Materials
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.reward_models.folders import AnyRewardModel, ReadyRewardModel, in_ids_of, reads_text
from groot.rewards import Reward

logger = logging.getLogger(__name__)


class Steered(Protocol):
    """What a guide steers; labelers and generators are."""

    @property
    def model(self) -> TextModel:
        """The language model that writes."""

    @property
    def prompts(self) -> Prompts:
        """Spells inputs and texts in token ids."""

    @property
    def writes_labels(self) -> bool:
        """Whether what it writes is labels, not text."""


def make_guide(
    name: str,
    writer: Steered,
    *,
    reward_model: AnyRewardModel | None = None,
    tuned: TextModel | None = None,
    reference: TextModel | None = None,
    reward: Reward | None = None,
    **settings: Any,
) -> Guide | Chooser:
    """The guide of a name in `GUIDES`, for a generator or a labeler.

    Args:
        writer: what it steers; a labeler takes the guides of a reward model of its own tokens.
        reward_model: what most guides need, with the writer's tokenizer or another (slower); a
            sequence classifier, or an ensemble.
        tuned: what `implicit` needs; reference is the writer's own model where it is None.
        reward: of a text against another, what `mbr` maximises.
        settings: of the guide; see its class.

    Raises:
        ConfigError: if something is missing, a setting does not exist, or the reward model is of
            another kind.
        ModelError: if a labeler's reward model has other tokens than the labeler.
    """
    guide: type[Listed] = GUIDES[name]
    unknown = sorted(settings.keys() - guide.setting_defaults().keys())
    if unknown:
        raise ConfigError(f"guide {name!r} has no setting {', '.join(unknown)}.")
    if writer.writes_labels and not guide.steers_labels:
        raise ConfigError(f"{refusal_of_labels(name)} {MBR_ADVICE}")
    kinds = () if reward_model is None else (reward_model.kind,)
    lack = lack_of(guide, kinds=kinds, has_tuned=tuned is not None, has_reward=reward is not None)
    if lack is not None:
        raise ConfigError(f"guide {name!r} needs {lack}.")
    ready = None if reward_model is None else read_by(reward_model, writer)
    materials = Materials(writer.model, writer.prompts, ready, tuned, reference, reward)
    made = guide.made_of(materials, **settings)
    assert isinstance(made, (Guide, Chooser))
    return made


MBR_ADVICE = "To choose among a labeler's candidates by expected reward: --choose mbr."


def refusal_of_labels(name: str) -> str:
    """What to say of a guide that does not steer labels."""
    able = ", ".join(name for name, guide in GUIDES.items() if guide.steers_labels)
    return f"guide {name!r} does not steer labels; these do: {able}."


def lack_of(
    guide: type[Listed], *, kinds: Collection[str], has_tuned: bool, has_reward: bool
) -> str | None:
    """What there is not, of what a guide needs, in words; None where it can be made.

    Args:
        guide: a class in `GUIDES`.
        kinds: of the reward models that there are.
        has_tuned: whether there is a tuned model.
        has_reward: whether there is a reward.
    """
    match guide.needs:
        case "reward model" if not kinds:
            return f"a reward model of kind {_listed(guide.kinds)}: --reward-model DIR"
        case "reward model" if not set(kinds) & set(guide.kinds):
            takers = [name for name, other in GUIDES.items() if set(kinds) & set(other.kinds)]
            return (
                f"a reward model of kind {_listed(guide.kinds)}, but this one is of kind"
                f" {_listed(kinds)}, which {', '.join(takers)} take. Train one for it: groot"
                f" reward-model --kind {guide.kinds[0]} --model GENERATOR_DIR"
            )
        case "tuned model" if not has_tuned:
            return "a generator that was tuned with dpo: --tuned DIR"
        case "reward" if not has_reward:
            return "a reward: --reward NAME"
        case "function":
            return "a function: make the guide in Python, and pass it to the generator"
    return None


def _listed(kinds: Iterable[str]) -> str:
    return " or ".join(kinds)


def read_by(reward_model: AnyRewardModel, writer: Steered) -> ReadyRewardModel:
    """The reward model in the ids of a writer: as it is, or by way of the text.

    With another tokenizer every candidate is read anew as text, at each step, from its beginning.

    Raises:
        ModelError: for labels by way of the text; labels are no text.
    """
    ready = in_ids_of(reward_model, writer.prompts)
    if not reads_text(ready):
        return ready
    if writer.writes_labels:
        raise ModelError(
            "the reward model has other tokens than the labeler. Train it on a copy of the labeler:"
            " groot reward-model CANDIDATES --model LABELER_DIR"
        )
    logger.warning(
        "the reward model has other tokens than the generator: it reads every candidate anew as"
        " text, which is much slower than a reward model trained on a copy of the generator"
    )
    return ready
