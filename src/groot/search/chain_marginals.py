"""Exact probabilities of labels and spans of label chains, and the best output by expected reward.

Since each step of a chain is normalised, all continuations of a prefix have probability one
together: a forward pass alone gives every marginal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from groot.search.chain import Chains, one_by_one
from groot.targets.schemes import WordSpan, split_tag


@dataclass(frozen=True, slots=True)
class SpanMarginals:
    """N spans of a batch and their probabilities, by text, then start, then end, then label.

    Args:
        texts: [N] index of each span's text.
        starts: [N] its first word.
        ends: [N] one behind its last word.
        labels: [N] index into `names`.
        probabilities: [N] that a path says exactly this span.
        names: the labels.
    """

    texts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    names: tuple[str, ...]

    def of_text(self, text: int) -> list[tuple[WordSpan, float]]:
        """The spans of one text with their probabilities."""
        own = slice(*np.searchsorted(self.texts, [text, text + 1]))
        columns = (self.starts[own], self.ends[own], self.labels[own], self.probabilities[own])
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [((start, end, self.names[label]), p) for start, end, label, p in rows]


def label_marginals(chains: Chains) -> np.ndarray:
    """[B, T, L] probability of each label at each place; 0 behind a text's last word.

    At each place of a text they sum to 1, the mass of all paths.
    """
    n_texts, longest, n_labels = chains.scores.shape
    marginals = np.zeros((n_texts, longest, n_labels))
    before = np.zeros((n_texts, n_labels + 1))
    before[:, chains.start] = 1.0
    for place in range(longest):
        reached = one_by_one(before / chains.totals[:, place], chains.followed)
        reached *= chains.emitted[:, place]
        marginals[:, place] = np.where((chains.lengths > place)[:, None], reached, 0.0)
        before[:, :-1], before[:, -1] = marginals[:, place], 0.0
    return marginals


def _step(chains: Chains, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[B, T, N] probability of label after[n] at each place if before[n] stands before it.

    0 where after[n] is -1.
    """
    taken = chains.emitted[:, :, after] * (chains.followed[before, after] * (after >= 0))
    probability: np.ndarray = taken / chains.totals[:, :, before]
    return probability


def span_marginals(
    chains: Chains,
    tags: Sequence[str],
    *,
    at_least: float = 1e-3,
    weights: np.ndarray | None = None,
) -> SpanMarginals:
    """Every span whose probability is at_least so much, with that probability.

    Args:
        chains: of B texts; or of B * C, the C chains of a text one behind the other.
        tags: the L labels as IOB2 tags: a span is a B and all I of its label that follow.
        at_least: spans below it are left out; 0 gives all spans that have any probability.
        weights: [B, C] probability of each of a text's chains; None where each has but one.

    Source: the forward algorithm; p(span) = p(B here) * product of p(I | before) * p(no further I).
    """
    shares = np.ones((len(chains.lengths), 1)) if weights is None else weights
    names, begins, insides = _span_tags(tags)
    longest = chains.scores.shape[1]
    still_open = label_marginals(chains)[
        :, :, begins
    ]  # [B, T, X] a span starts here and has reached place
    from_begin = _shifted(_step(chains, begins, insides))
    from_inside = _shifted(_step(chains, insides, insides))
    goes_on = from_begin  # [B, T, X] at the place of the span's last word
    last = chains.lengths[:, None] - 1 - np.arange(longest)  # [B, T] words behind each place
    rows: list[tuple[np.ndarray, ...]] = []
    for width in range(1, longest + 1):  # still_open is by start, goes_on by last word
        n_starts = longest - width + 1
        ahead = np.where(last[:, width - 1 :, None] > 0, goes_on[:, width - 1 :], 0.0)
        ended = still_open[:, :n_starts] * (1.0 - ahead)
        probability = _mixed(ended, shares)
        text, start, label = np.nonzero((probability >= at_least) & (probability > 0))
        rows.append((text, start, start + width, label, probability[text, start, label]))
        still_open = still_open[:, :n_starts] * ahead
        if not (_mixed(still_open, shares) >= max(at_least, np.finfo(float).tiny)).any():
            break
        goes_on = from_inside
    text, start, end, label, p = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.lexsort((label, end, start, text))
    return SpanMarginals(text[order], start[order], end[order], label[order], p[order], names)


def _mixed(by_chain: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """[B, ...] the sum of numbers [B * C, ...] of chains, each times its share [B, C]."""
    n_texts, n_chains = shares.shape
    grouped = by_chain.reshape(n_texts, n_chains, *by_chain.shape[1:])
    mixed = np.zeros((n_texts, *by_chain.shape[1:]))
    for chain in range(n_chains):  # one after another: the same sums for any number of texts
        mixed += shares[:, chain, None, None] * grouped[:, chain]
    return mixed


def _span_tags(tags: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Labels of the spans, and the places of each one's B and I tag; -1 where there is no I."""
    place = {tag: index for index, tag in enumerate(tags)}
    parts = {tag: split_tag(tag) for tag in tags}
    begun = [tag for tag, part in parts.items() if part is not None and part[0] == "B"]
    names = tuple(label for tag in begun if (part := parts[tag]) for label in part[1:])
    inside = [place.get("I" + tag[1:], -1) for tag in begun]
    return names, np.array([place[tag] for tag in begun], dtype=int), np.array(inside, dtype=int)


def _shifted(by_place: np.ndarray) -> np.ndarray:
    """Numbers of the next place, 0 behind the last."""
    moved = np.zeros_like(by_place)
    moved[:, :-1] = by_place[:, 1:]
    return moved


def best_spans(marginals: SpanMarginals, gains: np.ndarray, n_texts: int) -> list[list[WordSpan]]:
    """For each text the spans, none overlapping, with the highest sum of gains.

    A reward that is linear in the spans said has an expectation that is linear in them too, so
    this is the best output in expectation. For micro F_b at a value M (Dinkelbach, 1967) the gain
    of a span is (1 + b^2) * probability - M.

    Args:
        gains: [N] of each span; those of no gain are never said.
        n_texts: texts of the batch.
    """
    outputs: list[list[WordSpan]] = []
    edges = np.searchsorted(marginals.texts, np.arange(n_texts + 1)).tolist()
    for first, end in pairwise(edges):
        worthy = [index for index in range(first, end) if gains[index] > 0]
        worthy.sort(key=lambda index: marginals.ends[index])
        spans = [(int(marginals.starts[i]), int(marginals.ends[i])) for i in worthy]
        chosen = _heaviest(spans, [float(gains[i]) for i in worthy])
        outputs.append(
            [(*spans[at], marginals.names[marginals.labels[worthy[at]]]) for at in chosen]
        )
    return outputs


def _heaviest(spans: Sequence[tuple[int, int]], weights: Sequence[float]) -> list[int]:
    """Which of spans, in order of their ends, to take: weighted interval scheduling."""
    ends = [end for _, end in spans]
    best, is_taken, free = [0.0], list[bool](), list[int]()
    for at, ((start, _), weight) in enumerate(zip(spans, weights, strict=True)):
        free.append(int(np.searchsorted(ends[:at], start, side="right")))  # spans that end by start
        is_taken.append(best[free[at]] + weight > best[at])
        best.append(max(best[at], best[free[at]] + weight))
    chosen, at = list[int](), len(spans) - 1
    while at >= 0:
        if is_taken[at]:
            chosen.append(at)
        at = free[at] - 1 if is_taken[at] else at - 1
    return chosen[::-1]
