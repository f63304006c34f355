"""Chains of labels: what an aligned labeler says of a text whose labels see only the one before.

Let `p(y_i = b | h_i, y_{i-1} = a)` be the softmax over b of `scores[i, b] + follows[a, b]`, where
`follows` is -inf where the tag scheme forbids b after a. Then a text's output distribution is a
Markov chain that differs from place to place, and the top k, marginals, samples and expected
rewards are sums or maxima over its paths: all are exact, in time linear in the text's length.

Everything here is NumPy, without torch, and each text's numbers are computed by operations that do
not depend on the other texts of the batch: alone or together, they are the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from groot.errors import ShapeError

PADDING = -1  # the label behind a text's last word, in arrays of paths


@dataclass(frozen=True)
class Chains:
    """The chains of B texts of at most T words over L labels.

    Args:
        scores: [B, T, L] score of each label by its word alone, finite; what stands behind a
            text's last word is of no account.
        follows: [L + 1, L] added where label b comes behind label a; row L is the start of a text;
            -inf where b may not follow, and in no row everywhere.
        lengths: [B] words of each text, at least 1.

    Raises:
        ShapeError: the shapes do not fit each other, or a text has no word.
    """

    scores: np.ndarray
    follows: np.ndarray
    lengths: np.ndarray

    def __post_init__(self) -> None:
        n_texts, longest, n_labels = self.scores.shape
        if self.follows.shape != (n_labels + 1, n_labels) or self.lengths.shape != (n_texts,):
            raise ShapeError(
                f"scores {self.scores.shape}, follows {self.follows.shape} and lengths"
                f" {self.lengths.shape} must be [B, T, L], [L + 1, L] and [B]."
            )
        if n_texts and not 1 <= self.lengths.min() <= self.lengths.max() <= longest:
            raise ShapeError(f"lengths must lie between 1 and {longest}, the words of scores.")

    @property
    def n_labels(self) -> int:
        return self.scores.shape[2]

    @property
    def start(self) -> int:
        """The row of `follows` before the first word."""
        return self.n_labels

    def take(self, texts: np.ndarray) -> Chains:
        """The chains of some texts [N], cut to the longest of them."""
        lengths = self.lengths[texts]
        longest = int(lengths.max()) if len(lengths) else 0
        return Chains(self.scores[texts, :longest], self.follows, lengths)

    @cached_property
    def emitted(self) -> np.ndarray:
        """[B, T, L] exp(scores), scaled so that the largest of each word is 1."""
        scores = self.scores.astype(np.float64)
        emitted: np.ndarray = np.exp(scores - scores.max(axis=2, keepdims=True))
        return emitted

    @cached_property
    def followed(self) -> np.ndarray:
        """[L + 1, L] exp(follows)."""
        followed: np.ndarray = np.exp(self.follows.astype(np.float64))
        return followed

    @cached_property
    def totals(self) -> np.ndarray:
        """[B, T, L + 1] sum of exp(scores + follows) behind each label, scaled as `emitted`."""
        return one_by_one(self.emitted, np.ascontiguousarray(self.followed.T))

    @cached_property
    def log_totals(self) -> np.ndarray:
        """[B, T, L + 1] log of the sum of exp(scores + follows) behind each label."""
        log_totals: np.ndarray = np.log(self.totals) + self.scores.max(axis=2, keepdims=True)
        return log_totals

    def log_p(self, texts: slice, place: int, before: np.ndarray) -> np.ndarray:
        """[N, W, L] log p(label at place | label before it), in nats.

        Args:
            texts: the N texts asked for; all have this place.
            place: of the word.
            before: [N, W] the label before it, or `start`.
        """
        total = self.scores[texts, place, None, :] + self.follows[before].astype(np.float64)
        total -= np.take_along_axis(self.log_totals[texts, place], before, axis=1)[:, :, None]
        return total


def one_by_one(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """[..., M] rows [..., L] times matrix [L, M], each row by itself.

    A product of all rows at once would be summed in another order for another number of rows.
    """
    product: np.ndarray = np.matmul(rows[..., None, :], matrix)[..., 0, :]
    return product


def path_log_p(chains: Chains, paths: np.ndarray) -> np.ndarray:
    """[B, K] log-probability of whole paths [B, K, T], in nats; -inf where one is illegal."""
    n_texts, n_paths, longest = paths.shape
    total = np.zeros((n_texts, n_paths))
    before = np.full((n_texts, n_paths), chains.start)
    for place in range(longest):
        is_inside = (chains.lengths > place)[:, None]
        labels = np.where(is_inside, paths[:, :, place], 0)
        step = chains.log_p(slice(None), place, before)
        taken = np.take_along_axis(step, labels[:, :, None], axis=2)[:, :, 0]
        total += np.where(is_inside, taken, 0.0)
        before = labels
    return total
