"""The best paths of label chains, proven, and exact samples of them.

A prefix's log-probability never rises as it grows. So a search that keeps the best prefixes, one
list for each last label, and remembers the best that it dropped, has proven its first k paths when
none of them lies below that. Where it has not, it is done again with more of them kept; when all
are kept it is the k-best Viterbi algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groot.errors import ShapeError
from groot.search.chain import PADDING, Chains

WIDTH = 4  # prefixes kept at first, for each path asked for
GROWTH = 4


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths of B texts.

    Args:
        labels: [B, K, T] label of each word, PADDING behind the last.
        log_p: [B, K] in nats, best first; -inf where a text has fewer legal paths.
        widths: [B] prefixes that were kept for each text.
    """

    labels: np.ndarray
    log_p: np.ndarray
    widths: np.ndarray


def best_paths(chains: Chains, k: int = 1) -> Paths:
    """The k most probable paths of each text: proven to be them, whatever the scores.

    >>> chains = Chains(np.zeros((1, 2, 2)), np.log([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]),
    ...                 np.array([2]))
    >>> found = best_paths(chains, k=2)
    >>> found.labels[0].tolist(), np.exp(found.log_p[0]).round(2).tolist()
    ([[0, 0], [1, 0]], [0.72, 0.12])
    """
    if k < 1:
        raise ShapeError(f"k={k}: must be at least 1.")
    n_texts, longest, n_labels = chains.scores.shape
    labels = np.full((n_texts, k, longest), PADDING)
    log_p = np.full((n_texts, k), -np.inf)
    widths = np.zeros(n_texts, dtype=np.int64)
    texts = np.argsort(-chains.lengths, kind="stable")  # longest first
    width, full = WIDTH * k, k * n_labels
    while len(texts):
        width = min(width, full)
        found, values, lost = _search(chains.take(texts), k, width)
        is_proven = (lost == -np.inf) | (values[:, k - 1] >= lost)
        done = texts[is_proven]
        labels[done, :, : found.shape[2]] = found[is_proven]
        log_p[done], widths[done] = values[is_proven], width
        texts, width = texts[~is_proven], width * GROWTH
    return Paths(labels, log_p, widths)


def _search(chains: Chains, k: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Beam search that keeps at most k prefixes of each last label, and `width` of each text.

    Args:
        chains: longest text first.

    Returns:
        paths [B, K, T], their log_p [B, K], and [B] the best log_p of a prefix that was dropped.
    """
    n_texts, longest, n_labels = chains.scores.shape
    before = np.full((n_texts, 1), chains.start)
    log_p, lost = np.zeros((n_texts, 1)), np.full(n_texts, -np.inf)
    final = np.full((n_texts, k), -np.inf)
    steps: list[tuple[np.ndarray, np.ndarray]] = []  # parents and labels [N, W] of each place
    for place in range(longest):
        going = int((chains.lengths > place).sum())
        log_p, before = log_p[:going], before[:going]
        step = chains.log_p(slice(going), place, before)
        parents, flat = _best_of_each_label(log_p[:, :, None] + step, k)
        kept, dropped = _largest(flat, width)
        lost[:going] = np.maximum(lost[:going], dropped)
        parents = np.take_along_axis(parents, kept, axis=1)
        log_p, before = np.take_along_axis(flat, kept, axis=1), kept % n_labels
        steps.append((parents, before))
        ending = slice(int((chains.lengths > place + 1).sum()), going)
        n_paths = min(k, log_p.shape[1])
        final[ending, :n_paths] = log_p[ending, :n_paths]
    return _trace(steps, chains.lengths, k), final, lost


def _best_of_each_label(total: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of prefixes [N, W, L], the k best that end in each label: parents and values [N, k L]."""
    if k == 1:
        parents = total.argmax(axis=1)
        return parents, np.take_along_axis(total, parents[:, None], axis=1)[:, 0]
    parents = np.argsort(-total, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(total, parents, axis=1)
    return parents.reshape(len(total), -1), values.reshape(len(total), -1)


def _largest(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Places [N, width] of the largest of values [N, M], best first, and the next value [N]."""
    n_values = values.shape[1]
    if n_values <= width:
        return np.argsort(-values, axis=1, kind="stable"), np.full(len(values), -np.inf)
    near = np.sort(np.argpartition(-values, width, axis=1)[:, : width + 1], axis=1)
    order = np.argsort(-np.take_along_axis(values, near, axis=1), axis=1, kind="stable")
    ranked = np.take_along_axis(near, order, axis=1)
    return ranked[:, :width], np.take_along_axis(values, ranked[:, width:], axis=1)[:, 0]


def _trace(steps: list[tuple[np.ndarray, np.ndarray]], lengths: np.ndarray, k: int) -> np.ndarray:
    """[B, K, T] the labels of the first k prefixes of each text's last place."""
    paths = np.full((len(lengths), k, len(steps)), PADDING)
    ranks = np.tile(np.arange(k), (len(lengths), 1))
    for place in range(len(steps) - 1, -1, -1):
        parents, labels = steps[place]
        n_texts, width = labels.shape
        at = np.minimum(ranks[:n_texts], width - 1)  # of ranks that a text lacks, log_p is -inf
        paths[:n_texts, :, place] = np.take_along_axis(labels, at, axis=1)
        ranks[:n_texts] = np.take_along_axis(parents, at, axis=1)
    return paths


def sample_paths(chains: Chains, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact independent samples of each text's paths.

    Args:
        uniforms: [B, K, T] numbers in [0, 1), one for each label that is drawn.

    Returns:
        [B, K, T] labels, PADDING behind the last word, and [B, K] their log_p.
    """
    n_texts, n_samples, longest = uniforms.shape
    labels = np.full(uniforms.shape, PADDING)
    log_p = np.zeros((n_texts, n_samples))
    before = np.full((n_texts, n_samples), chains.start)
    for place in range(longest):
        step = chains.log_p(slice(None), place, before)
        sums = np.exp(step).cumsum(axis=2)
        drawn = (sums > uniforms[:, :, place, None] * sums[:, :, -1:]).argmax(axis=2)
        is_inside = (chains.lengths > place)[:, None]
        taken = np.take_along_axis(step, drawn[:, :, None], axis=2)[:, :, 0]
        labels[:, :, place] = np.where(is_inside, drawn, PADDING)
        log_p += np.where(is_inside, taken, 0.0)
        before = drawn
    return labels, log_p
