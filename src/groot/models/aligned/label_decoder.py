"""The label decoder: writes one label for each word, seeing its state and the label before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from groot.errors import ShapeError

NO_LABEL = -1  # in paths, behind a text's last word


class LabelDecoder(nn.Module):
    """p(y_i = b | state i, y_{i-1} = a, class c) is the softmax over b of three scores' sum.

    One is of b by the word's state, one of b behind a, one of b in a text of class c. So with the
    class given the labels of a text are a chain, and a search over it is exact.

    Args:
        size: numbers in a word's state.
        may_follow: [L + 1, L] bool: which label may come behind which; row L is a text's start.
        n_classes: classes of a text, of which one is written before the labels; 0 for none.
        hidden: numbers between a word's state and its label scores.
        dropout: share of the numbers of states, and of those between, that are dropped.

    Raises:
        ShapeError: may_follow has another shape.
    """

    def __init__(
        self,
        size: int,
        may_follow: Tensor,
        n_classes: int = 0,
        *,
        hidden: int = 128,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        if may_follow.shape[0] != may_follow.shape[1] + 1:
            raise ShapeError(f"may_follow {tuple(may_follow.shape)} must be [L + 1, L].")
        self.n_labels, self.n_classes = may_follow.shape[1], n_classes
        self.dropout = nn.Dropout(dropout)
        self.by_word = _two_layers(size, hidden, self.n_labels, dropout)
        self.behind = nn.Parameter(torch.zeros(self.n_labels + 1, self.n_labels))
        self.may_follow: Tensor
        self.register_buffer("may_follow", may_follow.clone(), persistent=False)
        if n_classes:
            self.attention = nn.Linear(size, 1)
            self.by_text = _two_layers(2 * size, hidden, n_classes, dropout)
            self.in_class = nn.Parameter(torch.zeros(n_classes, self.n_labels))

    def scores(self, states: Tensor) -> Tensor:
        """[B, T, L] score of each label by the states [B, T, size] of words."""
        scores: Tensor = self.by_word(self.dropout(states))
        return scores

    def follows(self) -> Tensor:
        """[L + 1, L] score of label b behind label a, -inf where it may not follow."""
        return self.behind.masked_fill(~self.may_follow, -torch.inf)

    def class_log_p(self, states: Tensor, is_word: Tensor) -> Tensor:
        """[B, C] log-probability of each class, by the words that is_word [B, T] marks."""
        weights = self.attention(states).masked_fill(~is_word[..., None], -torch.inf).softmax(1)
        mean = (weights * states.masked_fill(~is_word[..., None], 0.0)).sum(1)
        largest = states.masked_fill(~is_word[..., None], -torch.inf).amax(1)
        scores: Tensor = self.by_text(self.dropout(torch.cat([mean, largest], dim=-1)))
        return scores.log_softmax(-1)

    def path_log_p(self, scores: Tensor, paths: Tensor, classes: Tensor | None = None) -> Tensor:
        """[B, K, T] log p(label | state, label before), 0 behind a text's last word.

        Args:
            scores: [B, T, L] by `scores`.
            paths: [B, K, T] labels; NO_LABEL behind the last word.
            classes: [B, K] the class that was written first; None where there are none.
        """
        is_label = paths != NO_LABEL
        labels = paths.clamp(min=0)
        before = torch.cat([torch.full_like(labels[..., :1], self.n_labels), labels[..., :-1]], -1)
        total = scores[:, None] + self.follows()[before]  # [B, K, T, L]
        if classes is not None:
            total = total + self.in_class[classes][:, :, None]
        taken = total.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
        return taken.masked_fill(~is_label, 0.0)


def _two_layers(size: int, hidden: int, n_scores: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, n_scores)
    )
