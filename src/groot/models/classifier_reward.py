"""Sequence classifiers as reward models: they judge whole texts, with a tokenizer of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from groot.errors import ModelError, ShapeError
from groot.models.loading import _as_model_error
from groot.models.safety import refuse_unsafe_files


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
        ModelError: for another number of labels.
    """

    kind = "sequence"

    def __init__(self, model: Any, tokenizer: Any, *, max_tokens: int | None = None) -> None:
        super().__init__()
        if model.config.num_labels not in (1, 2):
            raise ModelError(
                f"the classifier has {model.config.num_labels} labels; one (the reward) or two"
                " (bad, good) are wanted."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.tokenizer.truncation_side = "left"
        limits = [
            tokenizer.model_max_length,
            getattr(model.config, "max_position_embeddings", None),
        ]
        known = [limit for limit in limits if limit is not None and 0 < limit < 10**9]
        self.max_tokens = max_tokens or min(known, default=None)

    def text_rewards(self, prompts: Sequence[str], outputs: Sequence[str]) -> Tensor:
        """Reward [N] of outputs behind their prompts."""
        return self.read_texts(prompts, outputs, [True] * len(outputs))[0]

    def read_texts(
        self, prompts: Sequence[str], outputs: Sequence[str], is_finished: Sequence[bool]
    ) -> tuple[Tensor, int]:
        """Reward [N] of outputs, and how many tokens were read, prompts included.

        Args:
            is_finished: not seen by a classifier: it was trained on texts without an end token.

        Raises:
            ShapeError: if prompts and outputs differ in number.
        """
        if not len(prompts) == len(outputs) == len(is_finished):
            raise ShapeError(f"{len(prompts)} prompts but {len(outputs)} outputs: one for each.")
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

    def prefix_rewards(
        self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
    ) -> NoReturn:
        """Refused: there is no pass that scores all prefixes.

        Raises:
            ModelError: always, with what to do instead.
        """
        raise ModelError(_NOT_CAUSAL)

    def begin(
        self, inputs: Sequence[Sequence[int]], rows: Tensor, tokens: Tensor | None = None
    ) -> NoReturn:
        """Refused: a classifier is not causal.

        Raises:
            ModelError: always, with what to do instead.
        """
        raise ModelError(_NOT_CAUSAL)


_NOT_CAUSAL = (
    "a sequence classifier is not causal: it reads a text in both directions, so it cannot go on"
    " token by token.\n  Let it read every prefix anew:"
    " groot.models.retokenising.Retokenising(model, generator.prompts), or train a causal reward"
    " model (groot reward-model --model GENERATOR_DIR)."
)


def load_classifier(name: str | Path, *, max_tokens: int | None = None) -> ClassifierReward:
    """A sequence classifier and its tokenizer, from safetensors only, in evaluation mode.

    Args:
        name: a folder, or a name on the Hub (needs a network once).
        max_tokens: as in `ClassifierReward`.

    Raises:
        ModelError: if it is missing, unsafe, damaged, or lacks the weights of a classifier.
    """
    folder = Path(name)
    if folder.exists() or str(name).startswith((".", "/", "~")):
        if not (folder / "config.json").is_file():
            raise ModelError(f"{name}: no model here (config.json is missing)")
        refuse_unsafe_files(folder)
    with _as_model_error(str(name)):
        tokenizer = AutoTokenizer.from_pretrained(str(name), trust_remote_code=False)
    with _as_model_error(str(name)):
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
            str(name),
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    model, info = loaded
    lacking = sorted(set(info["missing_keys"]) & {name for name, _ in model.named_parameters()})
    if lacking:  # transformers would go on with random numbers in their place
        raise ModelError(
            f"{name}: no trained classifier: {', '.join(lacking[:3])} are not in its files"
        )
    return ClassifierReward(model, tokenizer, max_tokens=max_tokens).eval()
