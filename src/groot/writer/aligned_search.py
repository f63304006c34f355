"""What an aligned labeler says of texts, from its tables: top k and probabilities, both exact."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groot.models.aligned.labeler import LabelTables
from groot.outputs.marginals import Marginal, Marginals
from groot.search.chain import PADDING, Chains
from groot.search.chain_marginals import SpanMarginals, span_marginals
from groot.search.chain_paths import best_paths
from groot.search.found import Found
from groot.search.joint_chain import JointChains, best_outputs
from groot.targets.schemes import WordSpan, spans_of_tags
from groot.types import Example, Span
from groot.writer.aligned_spelling import Spelling

AT_LEAST = 1e-3  # less probable spans have no marginal, unless a searched candidate says them
NEARLY_NONE = 1e-9  # of what is less probable, no more than that is told


@dataclass(frozen=True, slots=True)
class ExactText:
    """What was found in one text of one window.

    Args:
        found: the top k.
        marginals: probabilities of its spans or classes; covered is 1. Empty unless asked for.
    """

    found: Found
    marginals: Marginals


def exact_search(
    spelling: Spelling,
    tables: LabelTables,
    examples: Sequence[Example],
    *,
    k: int,
    with_marginals: bool,
) -> list[ExactText]:
    """The k best outputs of each text, and the probability of each span or class.

    Args:
        tables: of the texts; one without words has one row that nothing is written for.
    """
    chains = Chains(tables.scores, tables.follows, tables.lengths)
    if spelling.classes:
        return _classes(spelling, chains, tables, k=k)
    found = best_paths(chains, k)
    paths = [
        [
            tuple(labels[labels != PADDING].tolist())
            for labels, log_p in zip(*of_text, strict=True)
            if log_p > -math.inf
        ]
        for of_text in zip(found.labels, found.log_p, strict=True)
    ]
    marginals = [Marginals(1.0, {}) for _ in examples]
    if with_marginals:
        marginals = _span_marginals(spelling, chains, examples, paths)
    texts = []
    for example, of_text, log_p, known in zip(examples, paths, found.log_p, marginals, strict=True):
        if not example.words:
            texts.append(ExactText(Found(((),), (0.0,), True, k), Marginals(1.0, {})))
            continue
        values = tuple(log_p[: len(of_text)].tolist())
        spelled = tuple(spelling.path(labels) for labels in of_text)
        texts.append(ExactText(Found(spelled, values, True, k), known))
    return texts


def _classes(spelling: Spelling, chains: Chains, tables: LabelTables, *, k: int) -> list[ExactText]:
    """The k most probable classes of each text, and the probability of each class."""
    joint = JointChains(chains, tables.class_log_p, tables.in_class)
    found = best_outputs(joint, min(k, len(spelling.classes)))
    texts = []
    probabilities = np.exp(tables.class_log_p.astype(np.float64)).tolist()
    for classes, log_p, by_class in zip(found.classes, found.log_p, probabilities, strict=True):
        paths = tuple(spelling.path([index]) for index in classes.tolist())
        named = zip(spelling.classes, by_class, strict=True)
        known = Marginals(1.0, {name: exactly(p) for name, p in named})
        texts.append(ExactText(Found(paths, tuple(log_p.tolist()), True, k), known))
    return texts


def _span_marginals(
    spelling: Spelling,
    chains: Chains,
    examples: Sequence[Example],
    paths: Sequence[Sequence[tuple[int, ...]]],
) -> list[Marginals]:
    """Of each text the spans that are probable, or that a candidate says.

    Args:
        paths: the candidates of each text.
    """
    every = span_marginals(chains, spelling.tags, at_least=NEARLY_NONE)
    said = [
        {
            span
            for path in of_text
            for span in spans_of_tags([spelling.tags[label] for label in path], "IOB2")
        }
        for of_text in paths
    ]
    kept = _worth_telling(every, said)
    label_of = dict(zip(every.names, spelling.form.labels, strict=True))
    marginals = []
    for text, example in enumerate(examples):
        unlikely = dict.fromkeys(said[text], Marginal(0.0, 0.0, NEARLY_NONE))
        told = {span: exactly(p) for span, p in kept.of_text(text)}
        of_spans = {**unlikely, **told} if example.words else {}
        marginals.append(
            Marginals(
                1.0,
                {
                    span_of(example, span, label_of[span[2]]): marginal
                    for span, marginal in of_spans.items()
                },
            )
        )
    return marginals


def _worth_telling(every: SpanMarginals, said: Sequence[set[WordSpan]]) -> SpanMarginals:
    """The spans that are probable, or that are said of their text."""
    place = {name: index for index, name in enumerate(every.names)}
    rows = [
        (text, start, end, place[name])
        for text, of_text in enumerate(said)
        for start, end, name in of_text
    ]
    columns = np.stack([every.texts, every.starts, every.ends, every.labels])  # [4, N]
    sizes = columns.max(axis=1, initial=0) + 1
    wanted = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    sizes = np.maximum(sizes, wanted.max(axis=1, initial=0) + 1)
    is_said = np.isin(
        np.ravel_multi_index(tuple(columns), tuple(sizes)),
        np.ravel_multi_index(tuple(wanted), tuple(sizes)),
    )
    kept = is_said | (every.probabilities >= AT_LEAST)
    return dataclasses.replace(
        every,
        texts=every.texts[kept],
        starts=every.starts[kept],
        ends=every.ends[kept],
        labels=every.labels[kept],
        probabilities=every.probabilities[kept],
    )


def exactly(probability: float) -> Marginal:
    """A probability that is known."""
    p = min(1.0, probability)  # sums of probabilities round
    return Marginal(p, p, p)


def span_of(example: Example, span: WordSpan, label: str) -> Span:
    """A stretch of words as a span of the text."""
    first, behind, _ = span
    start = example.word_starts[first]
    end = example.word_starts[behind - 1] + len(example.words[behind - 1])
    return Span(start, end, label, example.text[start:end])
