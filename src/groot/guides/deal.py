"""DeAL: lookahead. Each candidate is written on for some tokens, and the outcome is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from groot.errors import ConfigError
from groot.guides.guide import Guide, Prefixes, ScoreTexts
from groot.guides.materials import Materials
from groot.models.alternatives import position_limit
from groot.models.step import StepModel
from groot.reward_models.kinds import REWARD_KINDS


class _Writer(StepModel, Protocol):
    end_id: int


@dataclass(eq=False)
class Deal(Guide):
    """log p + weight * heuristic(prefix + token + what the model would write next).

    The continuation is greedy and ends at the end token. The heuristic may be any callable, so a
    step costs k continuations of `lookahead` tokens, and a pass over the prefix for each.

    Args:
        model: writes the continuations; as a rule the generator.
        heuristic: rewards [N] of N texts so far of N inputs, in token ids.
        max_length: tokens of input and text together that the model has positions for; where they
            run out, less is written on. None: any.
        weight: nats per unit of the heuristic.
        lookahead: tokens behind the candidate, 0 or more.
        n_candidates: most probable tokens that are tried.
        temperature: at which it is meant to be drawn from; 0 is greedy.

    Source: Huang et al., DeAL: Decoding-time Alignment for Large Language Models, 2024.
    """

    name = "deal"
    title = "DeAL"
    needs = "reward model"
    kinds = REWARD_KINDS
    is_costly = True

    model: _Writer
    heuristic: ScoreTexts
    max_length: int | None = None
    _: KW_ONLY
    weight: float = 1.0
    lookahead: int = 4
    n_candidates: int = 10
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.n_candidates < 1 or self.lookahead < 0:
            raise ConfigError(
                f"n_candidates is {self.n_candidates}, which must be 1 or more, and lookahead"
                f" {self.lookahead}, which must be 0 or more."
            )

    @classmethod
    def made_of(cls, materials: Materials, **settings: Any) -> Self:
        """One of a reward model; the writer's own model writes on."""
        model = materials.model
        judge = materials.judge()
        return cls(model, judge.rewards, position_limit(model), **settings)

    def parts(self) -> Mapping[str, Any]:
        """The reward model, where the heuristic is that of one."""
        return {"reward_model": getattr(self.heuristic, "__self__", self.heuristic)}

    @torch.no_grad()
    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> Any:
        """The inputs, encoded once."""
        self.model.train(False)
        return self.model.encode(inputs)

    @torch.no_grad()
    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Prefixes, state: Any
    ) -> tuple[Tensor, Any]:
        """log_p + weight * heuristic of the outcome, [N, k]."""
        n, k = tokens.shape
        rows = prefixes.rows.repeat_interleave(k)
        texts = torch.cat(
            [prefixes.tokens.repeat_interleave(k, dim=0), tokens.reshape(-1, 1)], dim=1
        )
        steps = self.lookahead
        if self.max_length is not None:
            longest = max(map(len, prefixes.inputs)) + texts.shape[1]
            steps = max(min(steps, self.max_length - longest), 0)
        outcomes = self._write_on(state, rows, texts, steps)
        inputs = [prefixes.inputs[row] for row in rows.tolist()]
        values = torch.as_tensor(self.heuristic(inputs, outcomes), dtype=log_p.dtype)
        return log_p + self.weight * values.to(log_p.device).view(n, k), state

    def _write_on(
        self, memory: Any, rows: Tensor, texts: Tensor, steps: int
    ) -> list[tuple[int, ...]]:
        """The texts with their greedy continuations, cut behind the end token."""
        length = texts.shape[1]
        if steps:
            decoding, hidden = self.model.begin(memory, rows, texts)
            for step in range(steps):
                best = self.model.logits(hidden[:, -1]).argmax(1, keepdim=True)
                texts = torch.cat([texts, best], dim=1)
                if step + 1 < steps:
                    hidden = decoding.advance(best)
        return [_cut(row, length, self.model.end_id) for row in texts.tolist()]


def _cut(row: list[int], length: int, end_id: int) -> tuple[int, ...]:
    """A row up to its first end token from its `length`-th token on."""
    for place in range(length - 1, len(row)):
        if row[place] == end_id:
            return tuple(row[: place + 1])
    return tuple(row)
