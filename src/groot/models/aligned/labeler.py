"""Aligned labelers: an encoder of words and a decoder of labels, as one model of whole outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from groot.errors import DataError
from groot.models.aligned.label_decoder import NO_LABEL, LabelDecoder
from groot.targets.schemes import may_follow

if TYPE_CHECKING:
    from groot.models.aligned.pretrained import PretrainedEncoder
    from groot.models.aligned.word_encoder import WordEncoder


class LabelTables(NamedTuple):
    """All that a search needs to know of B texts; NumPy, so that it needs no torch.

    Args:
        scores: [B, T, L] float32, score of each label by its word.
        follows: [L + 1, L] float32, score of label b behind label a; row L is the start of a text;
            -inf where b may not follow.
        lengths: [B] words of each text.
        class_log_p: [B, C] log-probability of each class; [B, 0] where there are none.
        in_class: [C, L] added to scores in a text of each class.
    """

    scores: np.ndarray
    follows: np.ndarray
    lengths: np.ndarray
    class_log_p: np.ndarray
    in_class: np.ndarray


class AlignedLabeler(nn.Module):
    """p(class, labels | words) of texts.

    Args:
        encoder: of words.
        tags: the labels that a word may have, in a tag scheme whose neighbours tell what is legal.
        classes: those of a text, of which one is written before its labels; () for none.
        hidden: numbers between a word's state and its label scores.
        dropout: share of the numbers of states that the decoder drops.
    """

    def __init__(
        self,
        encoder: WordEncoder | PretrainedEncoder,
        tags: Sequence[str],
        classes: Sequence[str] = (),
        *,
        hidden: int = 128,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.encoder, self.tags, self.classes = encoder, tuple(tags), tuple(classes)
        self._label = {tag: label for label, tag in enumerate(self.tags)}
        self._class = {name: index for index, name in enumerate(self.classes)}
        legal = torch.tensor(may_follow(self.tags))
        self.settings = {"hidden": hidden, "dropout": dropout}
        self.decoder = LabelDecoder(
            encoder.size, legal, len(self.classes), hidden=hidden, dropout=dropout
        )

    def paths(self, tags: Sequence[Sequence[str]]) -> Tensor:
        """[B, T] the labels of B rows of tags, NO_LABEL behind the last word.

        Raises:
            DataError: a tag that the labeler does not know.
        """
        paths = torch.full((len(tags), max(map(len, tags))), NO_LABEL)
        for row, of_text in enumerate(tags):
            paths[row, : len(of_text)] = torch.tensor([_find(self._label, tag) for tag in of_text])
        return paths

    def class_ids(self, classes: Sequence[str]) -> Tensor:
        """[B] the classes of B texts.

        Raises:
            DataError: a class that the labeler does not know.
        """
        return torch.tensor([_find(self._class, name) for name in classes])

    def log_p(
        self, texts: Sequence[Sequence[str]], paths: Tensor, classes: Tensor | None = None
    ) -> Tensor:
        """[B, K] log-probability of K outputs of each of B texts, in nats; one encoder pass.

        Args:
            texts: the words of each text.
            paths: [B, K, T] labels of the words, NO_LABEL behind a text's last word.
            classes: [B, K] class of each output; None where the labeler has no classes.
        """
        by_word, by_class = self.log_p_parts(texts, paths, classes)
        return by_word.sum(-1) + by_class

    def log_p_parts(
        self, texts: Sequence[Sequence[str]], paths: Tensor, classes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What `log_p` sums up: [B, K, T] of each label, and [B, K] of the class, 0 without one."""
        states = self.encoder(texts)
        paths = paths.to(states.device)
        by_class = states.new_zeros(paths.shape[:2])
        if classes is not None:
            classes = classes.to(states.device)
            by_class = self.decoder.class_log_p(states, paths[:, 0] != NO_LABEL).gather(1, classes)
        return self.decoder.path_log_p(self.decoder.scores(states), paths, classes), by_class

    @torch.inference_mode()
    def tables(self, texts: Sequence[Sequence[str]]) -> LabelTables:
        """What a search over the outputs of B texts needs; the labeler must be in eval mode."""
        decoder, states = self.decoder, self.encoder(texts)
        lengths = torch.tensor([len(words) for words in texts], device=states.device)
        class_log_p = states.new_zeros((len(texts), 0))
        in_class = states.new_zeros((0, len(self.tags)))
        if self.classes:
            is_word = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
            class_log_p, in_class = decoder.class_log_p(states, is_word), decoder.in_class
        scored = (decoder.scores(states), decoder.follows(), class_log_p, in_class)
        scores, follows, *by_class = (each.detach().float().cpu().numpy() for each in scored)
        return LabelTables(scores, follows, lengths.cpu().numpy(), *by_class)


def _find(table: dict[str, int], name: str) -> int:
    if name not in table:
        raise DataError(f"{name!r} is none of the labeler's labels: {', '.join(table)}")
    return table[name]
