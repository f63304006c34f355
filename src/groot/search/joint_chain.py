"""Outputs of a class and labels: the class is drawn first, then a chain of labels that sees it.

A text has one chain for each class. Searches go through the classes from the most probable down
and stop where a class alone is less probable than what was found; sums run over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groot.errors import ShapeError
from groot.search.chain import PADDING, Chains
from groot.search.chain_marginals import SpanMarginals, span_marginals
from groot.search.chain_paths import best_paths, sample_paths

NO_CLASS = -1  # of an output that does not exist


@dataclass(frozen=True, slots=True)
class JointChains:
    """Classes and chains of B texts.

    Args:
        chains: of labels, for a class that adds nothing to their scores.
        class_log_p: [B, C] log-probability of each class.
        in_class: [C, L] added to the score of each label in a text of each class.

    Raises:
        ShapeError: the shapes do not fit each other.
    """

    chains: Chains
    class_log_p: np.ndarray
    in_class: np.ndarray

    def __post_init__(self) -> None:
        n_texts, n_classes = self.class_log_p.shape
        if (n_texts, *self.in_class.shape) != (
            len(self.chains.lengths),
            n_classes,
            self.chains.n_labels,
        ):
            raise ShapeError(
                f"class_log_p {self.class_log_p.shape} and in_class {self.in_class.shape} must be"
                f" [B, C] and [C, L] with B = {len(self.chains.lengths)}, L ="
                f" {self.chains.n_labels}."
            )

    def of_class(self, texts: np.ndarray, classes: np.ndarray) -> Chains:
        """The chains of texts [N], each given its class [N]."""
        chains = self.chains.take(texts)
        return Chains(
            chains.scores + self.in_class[classes][:, None], chains.follows, chains.lengths
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of B texts.

    Args:
        classes: [B, K]; NO_CLASS where a text has fewer legal outputs.
        labels: [B, K, T] label of each word, PADDING behind the last.
        log_p: [B, K] in nats.
    """

    classes: np.ndarray
    labels: np.ndarray
    log_p: np.ndarray


def best_outputs(joint: JointChains, k: int = 1) -> Outputs:
    """The k most probable outputs of each text, best first: proven to be them."""
    n_texts, n_classes = joint.class_log_p.shape
    longest = joint.chains.scores.shape[1]
    order = np.argsort(-joint.class_log_p, axis=1, kind="stable")
    classes = np.full((n_texts, k), NO_CLASS)
    labels = np.full((n_texts, k, longest), PADDING)
    log_p = np.full((n_texts, k), -np.inf)
    for rank in range(n_classes):
        class_ = order[:, rank]
        prior = joint.class_log_p[np.arange(n_texts), class_].astype(np.float64)
        texts = np.flatnonzero(prior > log_p[:, -1])
        if not len(texts):
            break
        paths = best_paths(joint.of_class(texts, class_[texts]), k)
        more = np.full((len(texts), k, longest), PADDING)
        more[:, :, : paths.labels.shape[2]] = paths.labels
        values = np.concatenate([log_p[texts], prior[texts, None] + paths.log_p], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        named = np.repeat(class_[texts, None], k, axis=1)
        named = np.where(paths.log_p == -np.inf, NO_CLASS, named)
        both = np.concatenate([labels[texts], more], axis=1)
        labels[texts] = np.take_along_axis(both, best[:, :, None], axis=1)
        both = np.concatenate([classes[texts], named], axis=1)
        classes[texts] = np.take_along_axis(both, best, axis=1)
        log_p[texts] = np.take_along_axis(values, best, axis=1)
    return Outputs(classes, labels, log_p)


def joint_span_marginals(
    joint: JointChains, tags: Sequence[str], *, at_least: float = 1e-3
) -> SpanMarginals:
    """Every span that is at_least so probable, whatever the class; the arguments of span_marginals.

    The marginals of the classes are exp(class_log_p).
    """
    n_texts, n_classes = joint.class_log_p.shape
    texts = np.repeat(np.arange(n_texts), n_classes)
    classes = np.tile(np.arange(n_classes), n_texts)
    weights = np.exp(joint.class_log_p.astype(np.float64))
    return span_marginals(joint.of_class(texts, classes), tags, at_least=at_least, weights=weights)


def sample_outputs(joint: JointChains, uniforms: np.ndarray) -> Outputs:
    """Exact independent samples of each text's outputs.

    Args:
        uniforms: [B, K, 1 + T] numbers in [0, 1): the first draws the class.
    """
    n_texts, n_samples, n_draws = uniforms.shape
    sums = np.exp(joint.class_log_p.astype(np.float64)).cumsum(axis=1)[:, None]  # [B, 1, C]
    classes = (sums > uniforms[:, :, :1] * sums[:, :, -1:]).argmax(axis=2)  # [B, K]
    texts = np.repeat(np.arange(n_texts), n_samples)
    chains = joint.of_class(texts, classes.reshape(-1))
    drawn, log_p = sample_paths(chains, uniforms[:, :, 1:].reshape(-1, 1, n_draws - 1))
    prior = np.take_along_axis(joint.class_log_p.astype(np.float64), classes, axis=1)
    return Outputs(
        classes,
        drawn.reshape(n_texts, n_samples, -1),
        prior + log_p.reshape(n_texts, n_samples),
    )
