"""Reward models: a backbone with a head that scores outputs, and every prefix of them, in one pass.

A causal backbone, or the decoder of an encoder-decoder, reads prompt and output once; its hidden
state behind token t gives the reward of the prefix that ends there. The end token is read like any
other, so that stopping has a reward too. Padding is never read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groot.errors import ModelError, ShapeError
from groot.models.alternatives import begin_alternatives
from groot.models.loading import load_model, read_json, save_model
from groot.models.model_folder import SETTINGS_FILE, saved_folder
from groot.models.prompts import Prompts
from groot.models.text_model import TextModel
from groot.reward_models.kinds import REWARD_KINDS, RewardKind
from groot.reward_models.prefix_scoring import (
    AdditiveScoring,
    HeadScoring,
    PrefixScoring,
    VocabularyScoring,
)

HEAD_FILE = "reward_head.safetensors"
PART = "reward model"  # what groot.json says that the folder holds
VERSION = 1


class RewardModel(nn.Module):
    """A language model with a head that says how good an output is, and every prefix of it.

    Args:
        backbone: a causal or an encoder-decoder model; its input is the prompt.
        kind: what the rewards mean, and how they are learnt; see `groot.reward_models.kinds`.
        separator: what ends the prompt of a causal backbone; None as in `Prompts`.
        max_prompt_tokens: of a longer prompt that is given as text, the end is read; None: all.

    Raises:
        ModelError: for a kind that does not exist.
    """

    def __init__(
        self,
        backbone: TextModel,
        kind: RewardKind,
        *,
        separator: str | None = None,
        max_prompt_tokens: int | None = None,
    ) -> None:
        super().__init__()
        if kind not in REWARD_KINDS:
            raise ModelError(f"no reward model of kind {kind!r}. Kinds: {', '.join(REWARD_KINDS)}")
        self.backbone = backbone
        self.kind: RewardKind = kind
        self.prompts = Prompts(
            backbone.tokenizer, is_causal=backbone.is_causal, separator=separator
        )
        self.max_prompt_tokens = max_prompt_tokens
        self.head: nn.Linear | None = None
        if kind == "additive":
            rows = backbone.model.get_input_embeddings().weight.shape[0]
            self.head = nn.Linear(int(backbone.config.hidden_size), rows)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
            self.head.to(backbone.device)
        elif kind != "vocabulary":
            width = int(backbone.config.hidden_size)
            self.head = nn.Linear(width, 1, bias=kind in ("value", "rad"))
            with torch.no_grad():
                generator = torch.Generator().manual_seed(0)
                weight = torch.randn(1, width, generator=generator) / (width + 1) ** 0.5
                self.head.weight.copy_(weight)
                if self.head.bias is not None:
                    self.head.bias.zero_()
            self.head.to(backbone.device)

    @property
    def tokenizer(self) -> Any:
        """Of the backbone; inputs and outputs are given in its ids."""
        return self.backbone.tokenizer

    def reward_of(self, hidden: Tensor) -> Tensor:
        """Rewards [...] of hidden states [..., d] behind the last token of a prefix."""
        assert self.head is not None
        rewards: Tensor = self.head(hidden)
        return rewards.squeeze(-1).float()

    def token_rewards(self, hidden: Tensor) -> Tensor:
        """Rewards [..., V] of every next token, of hidden states [..., d] before it.

        Of kind "additive", what each token adds to the reward of the prefix.
        """
        if self.kind == "additive":
            assert self.head is not None
            added: Tensor = self.head(hidden)
            return added.float()
        return self.backbone.logits(hidden).float()

    def prefix_rewards(
        self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """Reward of every prefix of every output, in one pass.

        Args:
            inputs: N inputs in token ids; equal ones are run once.
            outputs: N outputs in token ids, end token included where they end; none is empty.

        Returns:
            [N, T] rewards, of outputs[n][: t + 1] at t; 0 in padding. is_real [N, T] bool.

        Raises:
            ShapeError: if inputs and outputs differ in number, or an output is empty.
        """
        hidden, tokens, is_real = self._hidden(inputs, outputs)
        if self.kind in ("vocabulary", "additive"):
            logits = self.token_rewards(hidden[:, :-1])
            rewards = logits.gather(2, tokens[:, :, None])[:, :, 0]
            if self.kind == "additive":
                rewards = rewards.cumsum(1)
        else:
            rewards = self.reward_of(hidden[:, 1:])
        return rewards.masked_fill(~is_real, 0.0), is_real

    def rewards_and_best_next(
        self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`prefix_rewards`, and the highest reward that one token more could give to each prefix.

        Returns:
            rewards [N, T], best next rewards [N, T], 0 in padding, and is_real [N, T].

        Raises:
            ModelError: unless the model is of kind "vocabulary".
        """
        if self.kind != "vocabulary":
            raise ModelError(f"a reward model of kind {self.kind!r} does not score all next tokens")
        hidden, tokens, is_real = self._hidden(inputs, outputs)
        logits = self.token_rewards(hidden)  # [N, T + 1, V]
        rewards = logits[:, :-1].gather(2, tokens[:, :, None])[:, :, 0]
        best = logits[:, 1:].amax(2)
        return rewards.masked_fill(~is_real, 0.0), best.masked_fill(~is_real, 0.0), is_real

    def rewards(self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> Tensor:
        """Reward [N] of whole outputs, end token included; see `prefix_rewards`."""
        prefix_rewards, is_real = self.prefix_rewards(inputs, outputs)
        return last_of(prefix_rewards, is_real)

    def conversation_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """A prompt of messages in the tokenizer's chat template; None where it has none."""
        if not getattr(self.tokenizer, "chat_template", None):
            return None
        ids = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        return [int(one) for one in ids]

    def text_rewards(self, prompts: Sequence[str], outputs: Sequence[str]) -> Tensor:
        """Reward [N] of whole outputs given as text, read with the model's own tokenizer."""
        return self.read_texts(prompts, outputs, [True] * len(outputs))[0]

    def read_texts(
        self, prompts: Sequence[str], outputs: Sequence[str], is_finished: Sequence[bool]
    ) -> tuple[Tensor, int]:
        """Reward [N] of outputs given as text, and how many tokens were read.

        Equal prompts are read once, and counted once.

        Args:
            is_finished: which outputs end here; the others are prefixes, without an end token. One
                that has no token, such as a space that the tokenizer drops, has the reward 0.
        """
        limit = self.max_prompt_tokens
        inputs = [self.prompts.input_ids(prompt, limit=limit) for prompt in prompts]
        targets = [
            ids if is_whole else ids[:-1]
            for ids, is_whole in zip(
                map(self.prompts.target_ids, outputs), is_finished, strict=True
            )
        ]
        there = [row for row, ids in enumerate(targets) if ids]
        found = torch.zeros(len(targets), device=self.backbone.device)
        if there:
            inputs = [inputs[row] for row in there]
            index = torch.tensor(there, device=found.device)
            found = found.index_copy(
                0, index, self.rewards(inputs, [targets[row] for row in there])
            )
        read = sum(map(len, targets)) + (sum(map(len, set(map(tuple, inputs)))) if there else 0)
        return found, read

    @torch.no_grad()
    def begin(
        self, inputs: Sequence[Sequence[int]], rows: Tensor, tokens: Tensor | None = None
    ) -> PrefixScoring:
        """Start scoring N prefixes step by step; puts the model into evaluation mode.

        Args:
            inputs: B inputs in token ids, each of which is run once.
            rows: [N] which input each prefix belongs to; ascending.
            tokens: [N, m] what the prefixes begin with; None for empty ones.
        """
        self.eval()
        memory = self.backbone.encode(inputs)
        if self.kind == "additive":  # the first tokens have rewards, too
            scoring = AdditiveScoring(
                self.token_rewards, begin_alternatives(self.backbone, memory, rows)
            )
            every = torch.arange(len(rows), device=rows.device)
            for column in () if tokens is None else tokens.T:
                scoring.advance(every, column)
            return scoring
        alternatives = begin_alternatives(self.backbone, memory, rows, tokens)
        if self.kind == "vocabulary":
            return VocabularyScoring(self.backbone, alternatives)
        return HeadScoring(self.reward_of, alternatives)

    def _hidden(
        self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states [N, T + 1, d] before the first and behind each token, tokens, is_real."""
        if len(inputs) != len(outputs):
            raise ShapeError(f"{len(inputs)} inputs but {len(outputs)} outputs: give one for each.")
        if not outputs or not all(outputs):
            raise ShapeError("an output without tokens has no reward; give at least its end token")
        places: dict[tuple[int, ...], int] = {}
        rows = [places.setdefault(tuple(ids), len(places)) for ids in inputs]
        tokens, is_real = self.backbone.pad(outputs)
        index = torch.tensor(rows, device=tokens.device)
        # one token more at the end, which is never read, so that the last one is
        wide = torch.nn.functional.pad(tokens, (0, 1), value=self.backbone.pad_id)
        memory = self.backbone.encode(list(places))
        return self.backbone.hidden_states(memory, index, wide), tokens, is_real

    def save(self, folder: str | Path) -> None:
        """Write an ordinary transformers folder, the head in safetensors and `groot.json`."""
        folder = Path(folder)
        save_model(self.backbone, folder)
        if self.head is not None:
            weights = {
                name: weight.detach().cpu().contiguous()
                for name, weight in self.head.state_dict().items()
            }
            save_file(weights, folder / HEAD_FILE)
        settings = {
            "version": VERSION,
            "part": PART,
            "kind": self.kind,
            "separator": self.prompts.separator,
            "max_prompt_tokens": self.max_prompt_tokens,
        }
        text = json.dumps(settings, ensure_ascii=False, indent=2) + "\n"
        (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def last_of(rewards: Tensor, is_real: Tensor) -> Tensor:
    """The reward [N] at the last real place of each row of rewards [N, T]."""
    return rewards.gather(1, is_real.sum(1, keepdim=True) - 1)[:, 0]


def load_reward_model(folder: str | Path) -> RewardModel:
    """The reward model in a folder that `save` wrote, in evaluation mode.

    Raises:
        ModelError: if there is none, or it is unsafe or damaged.
    """
    advice = "Give the folder that groot reward-model wrote."
    folder = saved_folder(folder, what="reward model", advice=advice)
    settings = read_json(folder / SETTINGS_FILE)
    if settings.get("part") != PART:
        raise ModelError(f"{folder}: {SETTINGS_FILE} describes something else than a reward model.")
    if settings.get("version") != VERSION or settings.get("kind") not in REWARD_KINDS:
        raise ModelError(
            f"{folder / SETTINGS_FILE}: version {settings.get('version')!r}, kind"
            f" {settings.get('kind')!r}. This groot reads version {VERSION} and the kinds"
            f" {', '.join(REWARD_KINDS)}."
        )
    separator = settings.get("separator")
    if separator is not None and not isinstance(separator, str):
        raise ModelError(f"{folder / SETTINGS_FILE}: separator {separator!r} is not a text.")
    limit = settings.get("max_prompt_tokens")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ModelError(f"{folder / SETTINGS_FILE}: max_prompt_tokens {limit!r} is no number > 0.")
    model = RewardModel(
        load_model(folder), settings["kind"], separator=separator, max_prompt_tokens=limit
    )
    if model.head is not None:
        _load_head(model.head, folder / HEAD_FILE)
    return model.eval()


def _load_head(head: nn.Linear, path: Path) -> None:
    try:
        weights = load_file(path)
    except Exception as error:  # the reader of safetensors has errors of its own
        raise ModelError(f"{path}: the head of the reward model cannot be read: {error}") from error
    wanted = {name: weight.shape for name, weight in head.state_dict().items()}
    if {name: weight.shape for name, weight in weights.items()} != wanted:
        raise ModelError(f"{path}: holds {sorted(weights)}, not a head that fits the model.")
    if not all(bool(weight.isfinite().all()) for weight in weights.values()):
        raise ModelError(f"{path}: holds NaN or infinite values")
    head.load_state_dict(weights)
