"""Reward models that read other tokens than the generator: by way of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

import torch
from torch import Tensor

from groot.errors import ModelError
from groot.models.prompts import Prompts
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.prefix_scoring import PrefixScoring

REPLACEMENT = "\ufffd"  # what bytes that are no character decode to
LONGEST_CHARACTER = 4  # bytes of a character in UTF-8


class TextRewards(Protocol):
    """What scores outputs given as text; `RewardModel` does, and so does a classifier."""

    @property
    def kind(self) -> str:
        """What the rewards mean."""

    def read_texts(
        self, prompts: Sequence[str], outputs: Sequence[str], is_finished: Sequence[bool]
    ) -> tuple[Tensor, int]:
        """Reward [N] of outputs, which end where is_finished, and how many tokens were read."""


def has_same_tokens(model: RewardModel, prompts: Prompts) -> bool:
    """Whether a reward model reads the very ids that a generator writes, prompts included."""
    own = model.prompts
    return (
        own.is_causal == prompts.is_causal
        and own.end_id == prompts.end_id
        and own.tail == prompts.tail
        and own.tokenizer.get_vocab() == prompts.tokenizer.get_vocab()
    )


def check_same_tokens(model: RewardModel, prompts: Prompts) -> None:
    """Refuse a reward model whose ids mean something else than the generator's.

    Raises:
        ModelError: with what to do instead.
    """
    if not has_same_tokens(model, prompts):
        raise ModelError(
            "the reward model has another tokenizer, or ends prompts otherwise, than the generator,"
            " so that its token ids mean something else.\n  Train it on a copy of the generator"
            " (groot reward-model --model GENERATOR_DIR), or let it read the text:"
            " groot.reward_models.retokenising.Retokenising(model, generator.prompts), which is"
            " slower."
        )


@dataclass(eq=False)
class Retokenising:
    """A reward model for a generator with another tokenizer; the same interface, in its ids.

    Every prefix is decoded with the generator's tokenizer and read anew with the reward model's,
    whole, because a piece more may change how the text before it is cut. Bytes at the end that are
    no character yet are held back until they are; where nothing else is there, the reward is 0.

    Args:
        model: scores texts.
        prompts: of the generator, which spelled the ids.
        batch_size: texts read in one call.
    """

    model: TextRewards
    prompts: Prompts
    _: KW_ONLY
    batch_size: int = 128

    @property
    def kind(self) -> str:
        """What the rewards mean. Of a vocabulary only the candidates that are named are scored."""
        return self.model.kind

    def begin(
        self, inputs: Sequence[Sequence[int]], rows: Tensor, tokens: Tensor | None = None
    ) -> RetokenisingScoring:
        """Start scoring N prefixes step by step.

        Args:
            inputs: B inputs in the generator's token ids.
            rows: [N] which input each prefix belongs to.
            tokens: [N, m] what the prefixes begin with; None for empty ones.
        """
        outputs = [[] for _ in rows] if tokens is None else tokens.tolist()
        prompts = [self.prompt_text(ids) for ids in inputs]
        return RetokenisingScoring(self, [prompts[row] for row in rows.tolist()], outputs)

    def rewards(self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> Tensor:
        """Reward [N] of outputs in the generator's ids, each read once."""
        return self.rewards_and_cost([self.prompt_text(ids) for ids in inputs], outputs)[0]

    def prefix_rewards(
        self, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """Reward of every prefix of every output, each prefix in a row of its own.

        Returns:
            [N, T] rewards, 0 in padding, and is_real [N, T] bool.
        """
        texts = [self.prompt_text(ids) for ids in inputs]
        rows = [row for row, output in enumerate(outputs) for _ in output]
        prefixes = [output[: end + 1] for output in outputs for end in range(len(output))]
        flat = self.rewards_and_cost([texts[row] for row in rows], prefixes)[0]
        width = max(map(len, outputs))
        lengths = torch.tensor([len(output) for output in outputs], device=flat.device)
        is_real = torch.arange(width, device=flat.device)[None] < lengths[:, None]
        return flat.new_zeros(is_real.shape).masked_scatter(is_real, flat), is_real

    def prompt_text(self, input_ids: Sequence[int]) -> str:
        """The prompt that input ids spell, without what ends it."""
        ids, tail = list(input_ids), list(self.prompts.tail)
        return self.prompts.text(ids[: -len(tail)] if ids[-len(tail) :] == tail else ids)

    def output_text(self, tokens: Sequence[int]) -> tuple[str, bool]:
        """The text of output ids, and whether it ends there.

        The last character may lack bytes; then it is held back. A replacement character that the
        text really ends with is held back too, until something comes behind it.
        """
        is_finished = bool(tokens) and tokens[-1] == self.prompts.end_id
        text = self.prompts.text(tokens)
        for _ in range(LONGEST_CHARACTER - 1):
            if not is_finished:
                text = text.removesuffix(REPLACEMENT)
        return text, is_finished

    @torch.no_grad()
    def rewards_and_cost(
        self, prompts: Sequence[str], outputs: Sequence[Sequence[int]]
    ) -> tuple[Tensor, int]:
        """Reward [N] of outputs in the generator's ids behind prompts in text; tokens read."""
        texts = [self.output_text(tokens) for tokens in outputs]
        places: dict[tuple[str, str, bool], int] = {}
        for prompt, (text, is_finished) in zip(prompts, texts, strict=True):
            if text or is_finished:
                places.setdefault((prompt, text, is_finished), len(places))
        if not places:
            return torch.zeros(len(outputs)), 0
        found, cost = self._read(list(places))
        padded = torch.nn.functional.pad(found, (0, 1))  # the last place stands for no text at all
        index = [
            places.get((prompt, text, is_finished), len(places))
            for prompt, (text, is_finished) in zip(prompts, texts, strict=True)
        ]
        return padded[torch.tensor(index, device=found.device)], cost

    def _read(self, texts: Sequence[tuple[str, str, bool]]) -> tuple[Tensor, int]:
        """Rewards [N] of prompts with outputs, some of like length at a time; tokens read."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at][0]) + len(texts[at][1]))
        found, cost = [], 0
        for first in range(0, len(order), self.batch_size):
            part = [texts[at] for at in order[first : first + self.batch_size]]
            prompts, outputs, is_finished = map(list, zip(*part, strict=True))
            rewards, tokens = self.model.read_texts(prompts, outputs, is_finished)
            found.append(rewards)
            cost += tokens
        back = torch.tensor(order).argsort()
        together = torch.cat(found)
        return together[back.to(together.device)], cost


class RetokenisingScoring(PrefixScoring):
    """N prefixes being written in the generator's ids; `tokens` counts the reward model's own."""

    def __init__(self, owner: Retokenising, prompts: list[str], outputs: list[list[int]]) -> None:
        self._owner = owner
        self._prompts = prompts
        self._outputs = outputs

    def score(self, tokens: Tensor) -> Tensor:
        """Rewards [N, k] of each prefix with one of tokens [N, k] behind it; the prefixes stay."""
        k = tokens.shape[1]
        prompts = [prompt for prompt in self._prompts for _ in range(k)]
        longer = [
            [*output, token]
            for output, row in zip(self._outputs, tokens.tolist(), strict=True)
            for token in row
        ]
        rewards, cost = self._owner.rewards_and_cost(prompts, longer)
        self.calls += 1
        self.tokens += cost
        return rewards.view(tokens.shape).to(tokens.device)

    def advance(self, index: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `index` [N'], repeats allowed, each with its next of tokens [N']."""
        kept = index.tolist()
        self._prompts = [self._prompts[at] for at in kept]
        self._outputs = [
            [*self._outputs[at], token] for at, token in zip(kept, tokens.tolist(), strict=True)
        ]
