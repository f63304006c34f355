"""What a row of the table of guides was made of: marks over contents, so that it may be reused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from groot.engine.marks import Marks, mark_of_examples, mark_of_json, mark_of_tensors
from groot.guides import Chooser, Guide, SumOfGuides
from groot.reward_models.reward_compositions import RewardEnsemble
from groot.rewards import Reward
from groot.studies.guide_writing import Entry, WritingSettings
from groot.types import Example
from groot.writer.generator import Generator

# What a reward model is beside its weights.
OWN_SETTINGS = ("kind", "max_prompt_tokens", "max_tokens")


class Marker:
    """Marks of models in memory, each made once; the models must not change meanwhile."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def marks(
        self,
        frozen: Generator,
        entry: Entry,
        examples: Sequence[Example],
        reward: Reward,
        settings: WritingSettings,
    ) -> Marks | None:
        """What the run of an entry is made of.

        None where a part of its guide is a function, of which nobody can say whether it is the
        same as before.
        """
        contents = {
            "the frozen generator": self._of_generator(frozen),
            "the generator that writes": self._of_generator(entry.generator),
            "the prompts": mark_of_examples(examples),
            "the reward": reward.mark,
        }
        guides = [] if entry.guide is None else list(_parts_of_sum(entry.guide))
        for number, guide in enumerate(guides):
            if guide.needs == "function":
                return None
            for name, part in guide.parts().items():
                mark = self._of_part(part)
                if mark is None:
                    return None
                contents[f"the {name.replace('_', ' ')} of guide {number + 1}"] = mark
        return Marks(
            contents,
            {
                "guides": [{"name": guide.name, **guide.settings} for guide in guides],
                "temperature": entry.temperature,
                "top_k": entry.top_k,
                "n_samples": settings.n_samples_of(entry),
                "max_new_tokens": settings.limit(frozen),
                "seed": settings.seed,
            },
        )

    def _of_generator(self, generator: Generator) -> str:
        return mark_of_json(
            [
                self._of_module(generator.model),
                generator.prompts.separator,
                generator.notation.max_prompt_tokens,
            ]
        )

    def _of_part(self, part: Any) -> str | None:
        """The mark of a part of a guide, whatever it is wrapped in; None where it has none."""
        if isinstance(part, nn.Module):
            return self._of_module(part)
        if isinstance(part, Reward):
            return part.mark
        if isinstance(part, RewardEnsemble):
            members = [self._of_part(member) for member in part.models]
            return None if None in members else mark_of_json([part.how, part.penalty, members])
        wrapped = getattr(part, "model", None)
        return None if wrapped is None else self._of_part(wrapped)

    def _of_module(self, module: nn.Module) -> str:
        if id(module) not in self._known:
            self._known[id(module)] = mark_of_module(module)
        return self._known[id(module)]


def mark_of_module(module: nn.Module) -> str:
    """The mark of a model in memory: its weights, what its config says, and its tokenizer."""
    parts: Iterator[Any] = module.modules()
    config = next((part.config for part in parts if hasattr(part, "config")), None)
    tokenizer = getattr(module, "tokenizer", None)
    prompts = getattr(module, "prompts", None)
    return mark_of_json(
        {
            "weights": mark_of_tensors(module.state_dict()),
            "config": None if config is None else _settings_of(config.to_dict()),
            "tokenizer": None if tokenizer is None else _spelling(tokenizer),
            "separator": getattr(prompts, "separator", None),
            **{name: getattr(module, name, None) for name in OWN_SETTINGS},
        }
    )


def _settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config says of the model, without where it was read and by which version."""
    is_left_out = {"_name_or_path", "transformers_version"}
    return {name: value for name, value in config.items() if name not in is_left_out}


def _spelling(tokenizer: Any) -> Any:
    """How a tokenizer spells texts; what it cuts and pads is for each caller to say."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [type(tokenizer).__name__, tokenizer.get_vocab()]
    return {**json.loads(backend.to_str()), "truncation": None, "padding": None}


def _parts_of_sum(guide: Guide | Chooser) -> Iterator[Guide | Chooser]:
    if isinstance(guide, SumOfGuides):
        yield from guide.guides
    else:
        yield guide
