"""Automata that read the labels of a text, and say which rows of labels are allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BROKEN = -1  # the state from which nothing leads back


@dataclass(frozen=True, slots=True)
class Automaton:
    """A deterministic automaton of Q states over L labels; it begins in state 0.

    Args:
        following: [Q, L] state behind each label, BROKEN where the label is not allowed.
        is_final: [Q] bool, whether a text may end in a state.
    """

    following: np.ndarray
    is_final: np.ndarray

    @property
    def allows_everything(self) -> bool:
        """Whether it has one state only, and no label is forbidden there."""
        return len(self.is_final) == 1 and not (self.following == BROKEN).any()

    def accepts(self, labels: np.ndarray) -> np.ndarray:
        """[...] bool: which rows of labels [..., T], padded by negative numbers, are allowed."""
        states = np.zeros(labels.shape[:-1], dtype=np.int64)
        for place in range(labels.shape[-1]):
            label = labels[..., place]
            behind = np.where(states == BROKEN, BROKEN, self.following[states, label])
            states = np.where(label < 0, states, behind)
        accepted: np.ndarray = self.is_final[states] & (states != BROKEN)
        return accepted


def anything(n_labels: int) -> Automaton:
    """The automaton that allows every row of labels."""
    return Automaton(np.zeros((1, n_labels), dtype=np.int64), np.ones(1, dtype=bool))
