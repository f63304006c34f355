"""Sequence classifiers as reward models: they judge whole texts, with a tokenizer of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor, nn

from groot.errors import ModelError, ShapeError
from groot.models.classifiers import (
    REWARD_LABELS,
    holds_classifier,
    is_path,
    open_classifier,
    open_for_rewards,
)
from groot.models.loading import read_json
from groot.models.model_folder import SETTINGS_FILE, model_folder

PART = "classifier reward"  # what groot.json says that the folder holds
VERSION = 1


class ClassifierReward(nn.Module):
    """A classifier of texts whose logit is the reward of a whole output.

    A classifier reads its text in both directions, so a prefix has to be read anew for each token:
    wrapped in `Retokenising` it scores prefixes step by step, at that price.

    Args:
        model: a transformers model for sequence classification with one label, whose logit is the
            reward, or with two, where it is the second logit less the first.
        tokenizer: its tokenizer; prompt and output are read as a pair.
        max_tokens: of a longer pair the beginning of the prompt is cut; None takes what tokenizer
            and model allow.

    Raises:
        ModelError: for another number of labels, or a tokenizer that cannot pad.
    """

    kind = "sequence"

    def __init__(self, model: Any, tokenizer: Any, *, max_tokens: int | None = None) -> None:
        super().__init__()
        if model.config.num_labels not in REWARD_LABELS:
            raise ModelError(
                f"the classifier has {model.config.num_labels} labels; one (the reward) or two"
                " (bad, good) are wanted."
            )
        if tokenizer.pad_token_id is None:
            raise ModelError(
                "the classifier's tokenizer has no padding token, so texts of several lengths"
                " cannot be read together. Name one in its tokenizer_config.json (pad_token)."
            )
        if model.config.pad_token_id is None:  # the last token is looked up by it (GPT-2, Llama)
            model.config.pad_token_id = tokenizer.pad_token_id
        self.model = model
        self.tokenizer = tokenizer
        self.tokenizer.truncation_side = "left"
        limits = [
            tokenizer.model_max_length,
            getattr(model.config, "max_position_embeddings", None),
        ]
        known = [limit for limit in limits if limit is not None and 0 < limit < 10**9]
        self.max_tokens = max_tokens or min(known, default=None)

    @property
    def output_limit(self) -> int | None:
        """Tokens of an output at most; None: any."""
        if self.max_tokens is None:
            return None
        return self.max_tokens - int(self.tokenizer.num_special_tokens_to_add(pair=True))

    def spell(self, text: str) -> tuple[list[int], list[int]]:
        """Token ids of a text, and the character behind which each of them ends.

        The pieces of one character all end behind it, so no cut falls within a character.
        """
        if not self.tokenizer.is_fast:  # it does not tell where its tokens are: cut anywhere
            ids = self.tokenizer.encode(text, add_special_tokens=False)
            count = max(len(ids), 1)
            return list(ids), [-(-len(text) * (at + 1) // count) for at in range(len(ids))]
        spelled = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(spelled["input_ids"]), [end for _, end in spelled["offset_mapping"]]

    def text_rewards(self, prompts: Sequence[str], outputs: Sequence[str]) -> Tensor:
        """Reward [N] of outputs behind their prompts."""
        return self.read_texts(prompts, outputs, [True] * len(outputs))[0]

    def rewards_of_pairs(
        self, prompts: Sequence[str], chosen: Sequence[str], rejected: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """Rewards [N] of chosen and of rejected outputs, read in one call."""
        both = self.text_rewards([*prompts, *prompts], [*chosen, *rejected])
        return both[: len(prompts)], both[len(prompts) :]

    def read_texts(
        self, prompts: Sequence[str], outputs: Sequence[str], is_finished: Sequence[bool]
    ) -> tuple[Tensor, int]:
        """Reward [N] of outputs, and how many tokens were read, prompts included.

        Args:
            is_finished: not seen by a classifier: it was trained on texts without an end token.

        Raises:
            ShapeError: if prompts and outputs differ in number, or an output alone is too long.
        """
        if not len(prompts) == len(outputs) == len(is_finished):
            raise ShapeError(f"{len(prompts)} prompts but {len(outputs)} outputs: one for each.")
        longest = max((len(ids) for ids, _ in map(self.spell, outputs)), default=0)
        if self.output_limit is not None and longest > self.output_limit:
            raise ShapeError(
                f"an output has {longest} tokens, but the classifier reads {self.output_limit} at"
                " most. Ask for shorter texts (--max-new-tokens)."
            )
        batch = self.tokenizer(
            list(prompts),
            list(outputs),
            padding=True,
            truncation="only_first" if self.max_tokens else False,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        device = next(self.model.parameters()).device
        known = {name: ids.to(device) for name, ids in batch.items()}
        logits = self.model(**known).logits.float()
        rewards = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        return rewards, int(batch["attention_mask"].sum())

    def rewards(
        self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
    ) -> NoReturn:
        """Refused: the ids of a generator mean nothing to a classifier, and prefixes have no pass.

        Raises:
            ModelError: always, with what to do instead.
        """
        raise ModelError(_NOT_CAUSAL)

    prefix_rewards = rewards

    def begin(
        self, inputs: Sequence[Sequence[int]], rows: Tensor, tokens: Tensor | None = None
    ) -> NoReturn:
        """Refused: a classifier is not causal.

        Raises:
            ModelError: always, with what to do instead.
        """
        raise ModelError(_NOT_CAUSAL)

    def save(self, folder: str | Path) -> None:
        """Write an ordinary transformers folder with `groot.json` beside it."""
        folder = Path(folder)
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        settings = {"version": VERSION, "part": PART, "max_tokens": self.max_tokens}
        text = json.dumps(settings, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


_NOT_CAUSAL = (
    "a sequence classifier is not causal: it reads a text in both directions, so it cannot go on"
    " token by token.\n  Let it read every prefix anew:"
    " groot.reward_models.retokenising.Retokenising(model, generator.prompts), or train a causal"
    " reward model (groot reward-model --model GENERATOR_DIR)."
)


def is_classifier(name: str | Path) -> bool:
    """Whether a folder, or a name on the Hub, holds a sequence classifier or a bare encoder.

    A folder of a run is looked into: its model/ folder counts. False for a path without a model;
    whoever loads it says so.

    Raises:
        ModelError: if a name on the Hub cannot be reached, or a config.json is damaged.
    """
    source = _source(name)
    if is_path(source) and (Path(source) / SETTINGS_FILE).is_file():
        return read_json(Path(source) / SETTINGS_FILE).get("part") == PART
    return holds_classifier(source)


def load_classifier(name: str | Path, *, max_tokens: int | None = None) -> ClassifierReward:
    """A sequence classifier and its tokenizer, from safetensors only, in evaluation mode.

    Args:
        name: a folder, or a name on the Hub (needs a network once).
        max_tokens: as in `ClassifierReward`; None takes what `ClassifierReward.save` wrote down.

    Raises:
        ModelError: if it is missing, unsafe, damaged, or lacks the weights of a classifier.
    """
    source = _source(name)
    settings_file = Path(source) / SETTINGS_FILE
    if max_tokens is None and settings_file.is_file():
        max_tokens = _saved_limit(settings_file)
    model, tokenizer, lacking = open_classifier(source)
    if lacking:  # transformers would go on with random numbers in their place
        raise ModelError(
            f"{name}: no trained classifier: {', '.join(lacking[:3])} are not in its files.\n"
            "  Train one on preferences: groot reward-model --kind sequence --model DIR."
        )
    return ClassifierReward(model, tokenizer, max_tokens=max_tokens).eval()


def new_classifier(name: str | Path, *, max_tokens: int | None = None) -> ClassifierReward:
    """A classifier to be trained: that of a folder, or an encoder with a fresh head.

    A head with one label or two is kept; any other is replaced by a fresh one with one label. A
    fresh head is the same in each call.

    Args:
        name: a folder, or a name on the Hub (needs a network once).
        max_tokens: as in `ClassifierReward`.

    Raises:
        ModelError: if it is missing, unsafe or damaged.
    """
    model, tokenizer, lacking = open_for_rewards(_source(name))
    body = f"{model.base_model_prefix}."
    lost = [weight for weight in lacking if weight.startswith(body) and "pooler" not in weight]
    if lost:
        raise ModelError(f"{name}: {', '.join(lost[:3])} are not in its files")
    return ClassifierReward(model, tokenizer, max_tokens=max_tokens)


def _source(name: str | Path) -> str | Path:
    """The folder that holds the model, which of a run is its model/ folder; or the name itself."""
    return model_folder(name) if is_path(name) else name


def _saved_limit(path: Path) -> int | None:
    saved = read_json(path)
    if saved.get("part") != PART or saved.get("version") != VERSION:
        raise ModelError(
            f"{path}: describes {saved.get('part')!r} of version {saved.get('version')!r}; this"
            f" groot reads a {PART} of version {VERSION}."
        )
    limit = saved.get("max_tokens")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ModelError(f"{path}: max_tokens {limit!r} is no number > 0.")
    return limit
