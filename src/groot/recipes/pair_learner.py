"""A backbone that is to learn rewards from pairs, opened with all that this takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groot.data.preferences import Preference
from groot.engine.ledger import UNKNOWN, Ledger
from groot.errors import ConfigError
from groot.evaluation.reward_pairs import PairScores, pair_report
from groot.models.loading import add_lora, load_model
from groot.models.model_folder import SETTINGS_FILE, model_folder
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.recipes.pair_losses import pair_loss, pair_scores
from groot.recipes.reward_model_settings import RewardModelSettings
from groot.recipes.spelled_pairs import Spell, SpelledPair, classifier_speller, prefix_speller
from groot.recipes.text_pair_losses import text_pair_loss, text_pair_scores
from groot.reward_models.classifier_reward import ClassifierReward, is_classifier, new_classifier
from groot.reward_models.prefix_model import RewardModel
from groot.writer.folders import holds_generator, load_generator, load_token_labeler
from groot.writer.notation import Notation
from groot.writer.text_notation import TextNotation
from groot.writer.writer import Writer

PAIRS_AT_A_TIME = 64


@dataclass(frozen=True, slots=True)
class SpelledPairs:
    """Preferences in the tokens of a reward model.

    Args:
        items: the pairs that can be used.
        prompts: the prompt of each of them, as text.
        missed: a line on each pair that cannot be used.
    """

    items: list[SpelledPair]
    prompts: list[str]
    missed: list[str]


@dataclass(frozen=True, slots=True)
class PairLearner:
    """A reward model that learns from pairs, and how it does.

    Args:
        model: a fresh reward model.
        spell: preference -> item, or the reason why there is none.
        loss_of: loss [B] of the model on items.
        scores_of: rewards of the items' outputs and their prefixes.
        ledger: which texts the backbone has seen.
    """

    model: RewardModel | ClassifierReward
    spell: Spell
    loss_of: Callable[..., Tensor]
    scores_of: Callable[..., list[PairScores]]
    ledger: Ledger

    def spelled(self, pairs: Sequence[Preference]) -> SpelledPairs:
        """Preferences in the tokens of the model."""
        items: list[SpelledPair] = []
        prompts: list[str] = []
        missed: list[str] = []
        for pair in pairs:
            item = self.spell(pair)
            if isinstance(item, str):
                missed.append(f"{pair.source}: {item}")
            else:
                items.append(item)
                prompts.append(pair.prompt)
        return SpelledPairs(items, prompts, missed)

    @torch.no_grad()
    def measure(self, items: Sequence[SpelledPair]) -> dict[str, float]:
        """Minus the mean loss on pairs, and the share of pairs that the model orders right."""
        self.model.eval()
        losses: list[float] = []
        for first in range(0, len(items), PAIRS_AT_A_TIME):
            part = items[first : first + PAIRS_AT_A_TIME]
            losses += self.loss_of(self.model, part, is_measured=True).tolist()
        accuracy = pair_report(self.scores_of(self.model, items))["accuracy"]
        return {"minus_loss": -sum(losses) / len(losses), "accuracy": accuracy}


def open_learner(name: str | Path, settings: RewardModelSettings) -> PairLearner:
    """A fresh reward model on a backbone.

    Args:
        name: a folder of a writer, so that tokens match, or any model, by folder or name.
        settings: how it will be trained.

    Raises:
        ConfigError: for a classifier that should learn rewards of prefixes.
        ModelError: if it cannot be loaded.
    """
    if is_classifier(name):
        classifier = _open_classifier(name, settings)
        return PairLearner(
            classifier, classifier_speller(classifier), text_pair_loss, text_pair_scores, UNKNOWN
        )
    if (model_folder(name) / SETTINGS_FILE).is_file():
        opened: Callable[..., Writer] = load_token_labeler
        if holds_generator(name):
            opened = load_generator
        writer = opened(name)
        model = _prefix_model(writer.model, settings, writer.notation.settings())
        notation, ledger = writer.notation, writer.ledger
    else:
        model = _prefix_model(load_model(name), settings, {})
        notation, ledger = _any_text(model.prompts), UNKNOWN
    return PairLearner(model, prefix_speller(model, notation), pair_loss, pair_scores, ledger)


def _any_text(prompts: Prompts) -> Notation:
    """The notation of a model that is no writer yet: texts of any length."""
    return TextNotation(prompts, max_prompt_tokens=sys.maxsize, max_new_tokens=sys.maxsize)


def _prefix_model(
    backbone: TextModel, settings: RewardModelSettings, notation: Mapping[str, Any]
) -> RewardModel:
    """A fresh reward model of prefixes.

    Args:
        backbone: reads them.
        settings: how it will be trained.
        notation: what `groot.json` says of the writer whose tokens it reads.
    """
    if settings.lora_r:
        backbone = add_lora(
            backbone, r=settings.lora_r, alpha=settings.lora_alpha, dropout=settings.lora_dropout
        )
    if settings.kind != "vocabulary":
        _freeze_unused_head(backbone)
    return RewardModel(
        backbone,
        settings.kind,
        separator=notation.get("separator"),
        max_prompt_tokens=notation.get("max_prompt_tokens"),
    )


def _open_classifier(name: str | Path, settings: RewardModelSettings) -> ClassifierReward:
    """A classifier to train, as the settings want it.

    Raises:
        ConfigError: for settings that no classifier can have.
        ModelError: if it cannot be loaded.
    """
    if settings.kind != "sequence":
        raise ConfigError(
            f"{name}: a sequence classifier or encoder is not causal: it reads a text in both"
            f" directions, so it cannot learn rewards of prefixes (kind {settings.kind!r}).\n"
            "  Train it on whole outputs: --kind sequence; or give a causal or encoder-decoder"
            f" model for --kind {settings.kind}."
        )
    if settings.lora_r:
        raise ConfigError(f"{name}: a classifier is trained whole; leave out --lora-r.")
    return new_classifier(name)


def _freeze_unused_head(backbone: TextModel) -> None:
    """An output layer of its own is never used by a reward model with a head."""
    core: Any = backbone._parts[0]
    output, embeddings = core.get_output_embeddings(), core.get_input_embeddings()
    if output is not None and output.weight is not embeddings.weight:
        output.requires_grad_(False)
