"""The best paths of label chains, proven, and exact samples of them.

A backward pass tells the best that can still come behind each label (Viterbi, 1967). So a prefix
and the best rest of it are one whole path, different prefixes are different paths, and the k
prefixes that are best with their rest hold the beginnings of the k best paths: a forward pass that
keeps just k prefixes finds exactly these. Where one path is asked for, most texts need less: a
greedy path that has more than half of all probability is the best there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groot.errors import ShapeError
from groot.search.automaton import BROKEN, Automaton, anything
from groot.search.chain import PADDING, Chains

AT_A_TIME = 4_000_000  # numbers that a search with rules holds at each place
DENSE_LABELS = 24  # with more of them it pays to leave out those that cannot come next


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths of B texts.

    Args:
        labels: [B, K, T] label of each word, PADDING behind the last and where there is no path.
        log_p: [B, K] in nats, best first; -inf where a text has fewer legal paths.
    """

    labels: np.ndarray
    log_p: np.ndarray


def best_paths(chains: Chains, k: int = 1, allowed: Automaton | None = None) -> Paths:
    """The k most probable paths of each text: proven to be them, whatever the scores.

    Args:
        allowed: which paths are; None where all are that `follows` does not forbid. Their log_p
            stays what it is among all paths.

    >>> chains = Chains(np.zeros((1, 2, 2)), np.log([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]),
    ...                 np.array([2]))
    >>> found = best_paths(chains, k=2)
    >>> found.labels[0].tolist(), np.exp(found.log_p[0]).round(2).tolist()
    ([[0, 0], [1, 0]], [0.72, 0.12])
    """
    if k < 1:
        raise ShapeError(f"k={k}: must be at least 1.")
    paths = _most_probable(chains, k)
    if allowed is None:
        return paths
    # most texts keep the rules unasked: only the others are searched with them
    broken = np.flatnonzero(~allowed.accepts(paths.labels).all(axis=1))
    per_search = max(1, AT_A_TIME // (allowed.following.size * chains.n_labels))
    for start in range(0, len(broken), per_search):
        texts = broken[start : start + per_search]
        legal = _best_paths(chains.take(texts), k, allowed)
        paths.labels[texts] = PADDING
        paths.labels[texts, :, : legal.labels.shape[2]] = legal.labels
        paths.log_p[texts] = legal.log_p
    return paths


def _most_probable(chains: Chains, k: int) -> Paths:
    """The k best of all paths."""
    if k > 1:
        return _best_paths(chains, k, None)
    labels, log_p = greedy_paths(chains)
    doubtful = np.flatnonzero(log_p <= -np.log(2.0))
    if len(doubtful):
        searched = _best_paths(chains.take(doubtful), k, None)
        labels[doubtful, : searched.labels.shape[2]] = searched.labels[:, 0]
        log_p[doubtful] = searched.log_p[:, 0]
    return Paths(labels[:, None], log_p[:, None])


def greedy_paths(chains: Chains) -> tuple[np.ndarray, np.ndarray]:
    """[B, T] the most probable label of each word behind the one taken before, and [B] log_p."""
    n_texts, longest, _ = chains.scores.shape
    labels, log_p = np.full((n_texts, longest), PADDING), np.zeros(n_texts)
    before = np.full(n_texts, chains.start)
    follows = chains.follows.astype(np.float64)
    texts = np.arange(n_texts)
    for place in range(longest):
        total = chains.scores[:, place] + follows[before]
        before = total.argmax(axis=1)
        total -= total[texts, before, None]
        is_inside = chains.lengths > place
        labels[:, place] = np.where(is_inside, before, PADDING)
        log_p -= np.where(is_inside, np.log(np.exp(total).sum(axis=1)), 0.0)
    return labels, log_p


def _best_paths(chains: Chains, k: int, allowed: Automaton | None) -> Paths:
    """The k best paths by a backward and a forward pass."""
    n_texts, longest, n_labels = chains.scores.shape
    automaton = anything(n_labels) if allowed is None else allowed
    rest = best_rest(chains, automaton)
    before = np.full((n_texts, 1), chains.start)
    states, log_p = np.zeros_like(before), np.zeros((n_texts, 1))
    labels = np.full((n_texts, k, longest), PADDING)
    for place in range(longest):
        is_inside = (chains.lengths > place)[:, None]
        longer = log_p[:, :, None] + chains.log_p(slice(None), place, before)  # [B, W, L]
        promised = longer + _behind(rest[:, place + 1], automaton, states)
        longer[promised == -np.inf] = -np.inf
        ranked = _largest(promised.reshape(n_texts, -1), k)  # [B, W']
        parents, after = np.divmod(ranked, n_labels)
        width = ranked.shape[1]
        kept = np.minimum(np.arange(width), log_p.shape[1] - 1)  # of texts that have ended
        parents = np.where(is_inside, parents, kept)
        grown = np.take_along_axis(longer.reshape(n_texts, -1), ranked, axis=1)
        stayed = np.where(np.arange(width) < log_p.shape[1], log_p[:, kept], -np.inf)
        log_p = np.where(is_inside, grown, stayed)
        before = np.where(is_inside, after, 0)
        states = automaton.following[np.take_along_axis(states, parents, axis=1), before]
        if place:
            past = labels[:, : parents.max(initial=0) + 1, :place]
            labels[:, :width, :place] = np.take_along_axis(past, parents[:, :, None], axis=1)
        labels[:, :width, place] = np.where(is_inside, after, PADDING)
    missing = np.full((n_texts, k - log_p.shape[1]), -np.inf)
    log_p = np.concatenate([log_p, missing], axis=1)
    labels[log_p == -np.inf] = PADDING
    return Paths(labels, log_p)


def _behind(rest: np.ndarray, automaton: Automaton, states: np.ndarray) -> np.ndarray:
    """[B, W, L] the best rest behind each label that is written in states [B, W] or [1, Q].

    Args:
        rest: [B, Q, L + 1] by the state and the label before.
    """
    if automaton.allows_everything:
        return rest[:, :, :-1]
    following = automaton.following[states]  # [B or 1, W, L]
    texts, labels = np.arange(len(rest))[:, None, None], np.arange(following.shape[2])
    behind: np.ndarray = np.where(following == BROKEN, -np.inf, rest[texts, following, labels])
    return behind


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Places [N, k or M] of the k largest of values [N, M], best first, the first of equals too."""
    if k == 1:
        return values.argmax(axis=1)[:, None]
    if k < values.shape[1]:
        bound = -np.partition(-values, k - 1, axis=1)[:, k - 1 : k]
        # those above the bound, then as many as are needed of those that equal it
        values = np.where(values >= bound, values, -np.inf)
    ranked: np.ndarray = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return ranked


def best_rest(chains: Chains, automaton: Automaton) -> np.ndarray:
    """[B, T + 1, Q, L + 1] log_p of the best rest from a place on, by state and label before it."""
    n_texts, longest, n_labels = chains.scores.shape
    n_states = len(automaton.is_final)
    follows = chains.follows.astype(np.float64)
    most, least = follows.max(axis=0), follows.min(axis=0)
    ends = np.where(automaton.is_final, 0.0, -np.inf)[:, None]  # [Q, 1]
    rest = np.zeros((n_texts, longest + 1, n_states, n_labels + 1)) + ends
    for place in range(longest - 1, -1, -1):
        behind = _behind(rest[:, place + 1], automaton, np.arange(n_states)[None])
        ahead = (chains.scores[:, place, None] + behind).reshape(-1, n_labels)  # [B * Q, L]
        if n_labels <= DENSE_LABELS:
            best = (ahead[:, None] + follows).max(axis=2)
        else:
            best = _best_of_few(ahead, follows, most, least)
        best = best.reshape(n_texts, n_states, -1) - chains.log_totals[:, place, None]
        rest[:, place] = np.where((chains.lengths > place)[:, None, None], best, ends)
    return rest


def _best_of_few(
    ahead: np.ndarray, follows: np.ndarray, most: np.ndarray, least: np.ndarray
) -> np.ndarray:
    """[B, L + 1] max over b of ahead[b] + follows[a, b], without the b that no a would choose.

    Args:
        ahead: [B, L].
        follows: [L + 1, L].
        most: [L] the largest of follows over a.
        least: [L] the smallest.
    """
    hoped = ahead + most
    n_hopeful = (hoped >= (ahead + least).max(axis=1, keepdims=True)).sum(axis=1).max()
    few = np.argpartition(-hoped, n_hopeful - 1, axis=1)[:, :n_hopeful]  # [B, M]
    by_label = follows.T[few]  # [B, M, L + 1]
    best: np.ndarray = (np.take_along_axis(ahead, few, axis=1)[:, :, None] + by_label).max(axis=1)
    return best


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
