"""What the searches share that take one token per slot: the texts, the model, the grammar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from groot.models.step import StepModel
from groot.search.label_tables import LabelTables


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that are searched together and keep step: each slot takes one token.

    Args:
        model: that writes the targets.
        tables: of a grammar that `keeps_step`.
        glue: forced tokens before each slot of the longest text.
        end: the one forced token behind the last slot.
        memory: the texts, encoded, longest first.
        n_slots: of each, descending, at least 1.
    """

    model: StepModel
    tables: LabelTables
    glue: list[tuple[int, ...]]
    end: int
    memory: Any
    n_slots: list[int]

    def __len__(self) -> int:
        return len(self.n_slots)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def lexicon(self) -> Tensor:
        """Every token that a target can hold, ascending."""
        return self.tables.lexicon([*self.glue, (self.end,)])
