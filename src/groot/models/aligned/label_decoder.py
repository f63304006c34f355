"""The label decoder: writes one label for each word, seeing its state and the label before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from groot.errors import ShapeError
from groot.models.dropout import dropout

NO_LABEL = -1  # in paths, behind a text's last word
MANY_ROWS = 16  # a product of fewer rows with a matrix is summed in another order


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
        self.by_word = _Scores(size, hidden, self.n_labels, dropout)
        self.behind = nn.Parameter(torch.zeros(self.n_labels + 1, self.n_labels))
        self.may_follow: Tensor
        self.register_buffer("may_follow", may_follow.clone(), persistent=False)
        if n_classes:
            self.attention = nn.Parameter(torch.zeros(size))
            self.by_text = _Scores(2 * size, hidden, n_classes, dropout)
            self.in_class = nn.Parameter(torch.zeros(n_classes, self.n_labels))

    def scores(self, states: Tensor) -> Tensor:
        """[B, T, L] score of each label by the states [B, T, size] of words."""
        scores: Tensor = self.by_word(states.flatten(0, 1))
        return scores.view(*states.shape[:2], self.n_labels)

    def follows(self) -> Tensor:
        """[L + 1, L] score of label b behind label a, -inf where it may not follow."""
        return self.behind.masked_fill(~self.may_follow, -torch.inf)

    def class_log_p(self, states: Tensor, is_word: Tensor) -> Tensor:
        """[B, C] log-probability of each class, by the words that is_word [B, T] marks."""
        heard = (states * self.attention).sum(-1).masked_fill(~is_word, -torch.inf)  # [B, T]
        heard = (heard - heard.amax(1, keepdim=True)).exp()[..., None]
        # cumsum adds word by word, so that padding behind the last word changes no bit
        mean = (heard * states).cumsum(1)[:, -1] / heard.cumsum(1)[:, -1]
        largest = states.masked_fill(~is_word[..., None], -torch.inf).amax(1)
        scores: Tensor = self.by_text(torch.cat([mean, largest], dim=-1))
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


class _Scores(nn.Module):
    """Scores [N, M] of rows [N, size] by two layers, dropout before each.

    In eval mode a row's scores do not depend, by a bit, on how many others there are.
    """

    def __init__(self, size: int, hidden: int, n_scores: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, hidden), nn.Linear(hidden, n_scores)
        self.dropout = dropout

    def forward(self, rows: Tensor) -> Tensor:
        n_rows = len(rows)
        if not self.training and n_rows < MANY_ROWS:
            rows = torch.cat([rows, rows.new_zeros((MANY_ROWS - n_rows, rows.shape[1]))])
        rows = dropout(rows, self.dropout, is_training=self.training)
        hidden = dropout(gelu(self.first(rows)), self.dropout, is_training=self.training)
        scores: Tensor = self.second(hidden)[:n_rows]
        return scores
