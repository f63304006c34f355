"""Label chains, alone and joint with a class, against every output of short texts, written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groot.errors import ShapeError
from groot.search.chain import PADDING, Chains, path_log_p
from groot.search.chain_marginals import SpanMarginals, best_spans, label_marginals, span_marginals
from groot.search.chain_paths import best_paths, sample_paths
from groot.search.joint_chain import (
    NO_CLASS,
    JointChains,
    best_outputs,
    joint_span_marginals,
    sample_outputs,
)
from groot.targets.schemes import WordSpan, illegal_tags, may_follow, spans_of_tags

TAGS = ("O", "B-x", "I-x", "B-y", "I-y")
Output = tuple[int, tuple[int, ...]]  # a class, the labels


@st.composite
def chains(draw: st.DrawFn, max_words: int = 4) -> Chains:
    """Peaked and flat scores, some tied, of one to four texts."""
    lengths = np.array(draw(st.lists(st.integers(1, max_words), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([0.0, 1.0, 8.0]))
    scores = rng.normal(0, spread, (len(lengths), lengths.max(), len(TAGS)))
    follows = rng.normal(0, spread, (len(TAGS) + 1, len(TAGS)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return Chains(scores.astype(dtype), np.where(may_follow(TAGS), follows, -np.inf), lengths)


def log_p_by_definition(some: Chains, text: int, path: tuple[int, ...]) -> float:
    """The sum of the steps' log-softmax, one number at a time."""
    total, before = 0.0, len(TAGS)
    for place, label in enumerate(path):
        step = (some.scores[text, place] + some.follows[before].astype(float)).tolist()
        total += step[label] - max(step)
        total -= math.log(math.fsum(math.exp(value - max(step)) for value in step))
        before = label
    return total


def all_paths(some: Chains, text: int) -> dict[tuple[int, ...], float]:
    """Every legal path of a text with its log_p."""
    paths = itertools.product(range(len(TAGS)), repeat=int(some.lengths[text]))
    legal = (path for path in paths if not illegal_tags([TAGS[label] for label in path], "IOB2"))
    return {path: log_p_by_definition(some, text, path) for path in legal}


@settings(deadline=None, max_examples=60)
@given(chains(), st.integers(1, 12))
def test_best_paths_are_the_best_of_all_paths(some: Chains, k: int) -> None:
    found = best_paths(some, k)
    for text, length in enumerate(some.lengths):
        log_p = all_paths(some, text)
        values = sorted(log_p.values(), reverse=True)[:k]
        np.testing.assert_allclose(found.log_p[text, : len(values)], values, atol=1e-9)
        assert (found.log_p[text, len(values) :] == -np.inf).all()
        paths = [tuple(path) for path in found.labels[text, : len(values), :length].tolist()]
        assert len(set(paths)) == len(values)
        np.testing.assert_allclose([log_p[path] for path in paths], values, atol=1e-9)
        assert (found.labels[text, :, length:] == PADDING).all()


def same_alone(some: Chains, text: int, together: np.ndarray, alone: np.ndarray) -> bool:
    """Whether a text's part of an array [B, .., T or less] has the same bits in a batch of one."""
    length = some.lengths[text]
    part = together[text] if together.ndim < 3 else together[text][:, :length]
    return bool(np.array_equal(part, alone[0]))


@settings(deadline=None, max_examples=40)
@given(chains(max_words=9), st.integers(1, 6), st.integers(0, 2**32))
def test_a_text_gets_the_same_bits_alone_and_in_a_batch(some: Chains, k: int, seed: int) -> None:
    together, passed = best_paths(some, k), label_marginals(some)
    uniforms = np.random.default_rng(seed).random((len(some.lengths), 3, some.scores.shape[1]))
    drawn, drawn_log_p = sample_paths(some, uniforms)
    spans = span_marginals(some, TAGS)
    for text in range(len(some.lengths)):
        one = some.take(np.array([text]))
        alone = best_paths(one, k)
        assert same_alone(some, text, together.labels, alone.labels)
        assert same_alone(some, text, together.log_p, alone.log_p)
        length = some.lengths[text]
        assert np.array_equal(passed[text, :length], label_marginals(one)[0])
        labels, log_p = sample_paths(one, uniforms[text : text + 1, :, :length])
        assert same_alone(some, text, drawn, labels)
        assert np.array_equal(drawn_log_p[text], log_p[0])
        assert spans.of_text(text) == span_marginals(one, TAGS).of_text(0)


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_with_many_labels_those_left_out_are_never_missed(spread: float) -> None:
    """Against Viterbi over all pairs of labels; the labels that lead first lead nowhere likely."""
    n, lengths = 40, np.array([6, 5, 1])
    rng = np.random.default_rng(3)
    scores, follows = rng.normal(0, spread, (3, 6, n)), rng.normal(0, spread, (n + 1, n))
    scores[:, 0, 30:] -= 1.5
    follows[30:n, 35] += 50.0  # from 30 on, 35 is certain
    follows[:20, 10:15] = -np.inf
    some = Chains(scores, follows, lengths)
    best = np.full((3, n + 1), -np.inf)
    best[:, n] = 0.0
    for place in range(6):
        step = some.log_p(slice(None), place, np.tile(np.arange(n + 1), (3, 1)))
        new = np.full_like(best, -np.inf)
        new[:, :n] = (best[:, :, None] + step).max(axis=1)
        best = np.where((lengths > place)[:, None], new, best)
    found = best_paths(some, 3)
    np.testing.assert_allclose(found.log_p[:, 0], best.max(axis=1), rtol=1e-12)
    for text, length in enumerate(lengths):
        one = some.take(np.array([text]))
        scored = path_log_p(one, found.labels[text : text + 1, :, :length])
        np.testing.assert_allclose(scored[0], found.log_p[text], rtol=1e-12)
        assert (np.diff(found.log_p[text]) <= 0).all()


@settings(deadline=None, max_examples=40)
@given(chains())
def test_path_log_p_is_that_of_the_definition(some: Chains) -> None:
    for text in range(len(some.lengths)):
        log_p = all_paths(some, text)
        one = some.take(np.array([text]))
        scored = path_log_p(one, np.array([list(log_p)]))[0]
        np.testing.assert_allclose(scored, list(log_p.values()), atol=1e-9)


def test_an_illegal_path_has_no_probability() -> None:
    some = Chains(np.zeros((1, 2, 5)), np.where(may_follow(TAGS), 0.0, -np.inf), np.array([2]))
    illegal = path_log_p(some, np.array([[[0, 2], [1, 4], [2, 2]]]))
    assert (illegal == -np.inf).all()


def check_spans(found: dict[WordSpan, float], said: dict[WordSpan, float], at_least: float) -> None:
    """Those found are the said ones of so much probability at least, each with its own."""
    for span, p in said.items():
        if abs(p - at_least) > 1e-9:
            assert (span in found) == (p >= at_least)
    for span, p in found.items():
        assert p == pytest.approx(said[span], abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(chains(), st.sampled_from([0.0, 0.05, 0.3]))
def test_marginals_are_sums_over_all_paths(some: Chains, at_least: float) -> None:
    passed = label_marginals(some)
    spans = span_marginals(some, TAGS, at_least=at_least)
    for text, length in enumerate(some.lengths):
        labels = np.zeros((length, len(TAGS)))
        said: dict[WordSpan, float] = {}
        for path, log_p in all_paths(some, text).items():
            labels[np.arange(length), list(path)] += math.exp(log_p)
            for span in spans_of_tags([TAGS[label] for label in path], "IOB2"):
                said[span] = said.get(span, 0.0) + math.exp(log_p)
        np.testing.assert_allclose(passed[text, :length], labels, atol=1e-9)
        assert not passed[text, length:].any()
        np.testing.assert_allclose(passed[text, :length].sum(axis=1), 1.0, rtol=1e-9)
        check_spans(dict(spans.of_text(text)), said, at_least)


@settings(deadline=None, max_examples=60)
@given(chains(), st.floats(0.05, 1.5), st.floats(0.2, 3.0))
def test_best_spans_have_the_highest_expected_linear_reward(
    some: Chains, value: float, beta: float
) -> None:
    spans = span_marginals(some, TAGS, at_least=0.0)
    gains = (1 + beta**2) * spans.probabilities - value
    said = best_spans(spans, gains, len(some.lengths))
    for text in range(len(some.lengths)):
        p = dict(spans.of_text(text))

        def gain(output: list[WordSpan], p: dict[WordSpan, float] = p) -> float:
            return math.fsum((1 + beta**2) * p.get(span, 0.0) - value for span in output)

        tags = ([TAGS[label] for label in path] for path in all_paths(some, text))
        best = max(gain(spans_of_tags(path, "IOB2")) for path in tags)
        assert gain(said[text]) == pytest.approx(best, abs=1e-9)


def test_spans_that_overlap_are_never_said_together() -> None:
    texts, starts, ends = np.zeros(3, int), np.array([0, 1, 2]), np.array([2, 3, 4])
    some = SpanMarginals(texts, starts, ends, np.zeros(3, int), np.ones(3), ("x",))
    assert best_spans(some, np.array([2.0, 3.0, 2.0]), 2) == [[(0, 2, "x"), (2, 4, "x")], []]
    assert best_spans(some, np.array([2.0, 4.5, 2.0]), 1) == [[(1, 3, "x")]]


def test_samples_have_the_frequencies_of_their_probabilities() -> None:
    rng = np.random.default_rng(0)
    follows = np.where(may_follow(TAGS), rng.normal(0, 1, (6, 5)), -np.inf)
    some = Chains(rng.normal(0, 1, (2, 2, 5)), follows, np.array([2, 1]))
    n = 20_000
    labels, log_p = sample_paths(some, rng.random((2, n, 2)))
    for text, length in enumerate(some.lengths):
        expected = all_paths(some, text)
        paths = [tuple(path) for path in labels[text, :, :length].tolist()]
        np.testing.assert_allclose(log_p[text], [expected[path] for path in paths], atol=1e-9)
        for path, value in expected.items():
            p = math.exp(value)
            assert abs(paths.count(path) / n - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-9
    assert (labels[1, :, 1] == PADDING).all()


def test_shapes_and_k_are_checked() -> None:
    scores, follows = np.zeros((2, 3, 5)), np.zeros((6, 5))
    with pytest.raises(ShapeError, match="follows"):
        Chains(scores, np.zeros((5, 5)), np.array([1, 2]))
    with pytest.raises(ShapeError, match="between 1 and 3"):
        Chains(scores, follows, np.array([0, 2]))
    with pytest.raises(ShapeError, match="at least 1"):
        best_paths(Chains(scores, follows, np.array([1, 2])), 0)


@st.composite
def joint_chains(draw: st.DrawFn) -> JointChains:
    some = draw(chains(max_words=3))
    n_classes = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    raw = rng.normal(0, draw(st.sampled_from([0.0, 1.0, 6.0])), (len(some.lengths), n_classes))
    log_p = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
    return JointChains(some, log_p, rng.normal(0, 2.0, (n_classes, len(TAGS))))


def all_outputs(joint: JointChains, text: int) -> dict[Output, float]:
    outputs: dict[Output, float] = {}
    for class_, prior in enumerate(joint.class_log_p[text]):
        scores = joint.chains.scores + joint.in_class[class_]
        given_class = Chains(scores, joint.chains.follows, joint.chains.lengths)
        for path, log_p in all_paths(given_class, text).items():
            outputs[class_, path] = float(prior) + log_p
    return outputs


@settings(deadline=None, max_examples=40)
@given(joint_chains(), st.integers(1, 9))
def test_best_outputs_are_the_best_of_all(joint: JointChains, k: int) -> None:
    found = best_outputs(joint, k)
    for text, length in enumerate(joint.chains.lengths):
        log_p = all_outputs(joint, text)
        values = sorted(log_p.values(), reverse=True)[:k]
        n = len(values)
        np.testing.assert_allclose(found.log_p[text, :n], values, atol=1e-9)
        assert (found.classes[text, n:] == NO_CLASS).all()
        paths = map(tuple, found.labels[text, :n, :length].tolist())
        outputs = list(zip(found.classes[text, :n].tolist(), paths, strict=True))
        assert len(set(outputs)) == n
        np.testing.assert_allclose([log_p[output] for output in outputs], values, atol=1e-9)
        assert (found.labels[text, :, length:] == PADDING).all()


@settings(deadline=None, max_examples=30)
@given(joint_chains(), st.sampled_from([0.0, 0.1]))
def test_joint_span_marginals_are_sums_over_all_outputs(
    joint: JointChains, at_least: float
) -> None:
    spans = joint_span_marginals(joint, TAGS, at_least=at_least)
    for text in range(len(joint.chains.lengths)):
        said: dict[WordSpan, float] = {}
        for (_, path), log_p in all_outputs(joint, text).items():
            for span in spans_of_tags([TAGS[label] for label in path], "IOB2"):
                said[span] = said.get(span, 0.0) + math.exp(log_p)
        check_spans(dict(spans.of_text(text)), said, at_least)


@settings(deadline=None, max_examples=20)
@given(joint_chains(), st.integers(1, 4), st.integers(0, 2**32))
def test_a_text_gets_the_same_joint_bits_alone_and_in_a_batch(
    joint: JointChains, k: int, seed: int
) -> None:
    together, spans = best_outputs(joint, k), joint_span_marginals(joint, TAGS)
    longest = joint.chains.scores.shape[1]
    uniforms = np.random.default_rng(seed).random((len(joint.chains.lengths), 3, 1 + longest))
    drawn = sample_outputs(joint, uniforms)
    for text, length in enumerate(joint.chains.lengths):
        at = np.array([text])
        one = JointChains(joint.chains.take(at), joint.class_log_p[at], joint.in_class)
        alone = best_outputs(one, k)
        assert np.array_equal(together.log_p[text], alone.log_p[0])
        assert np.array_equal(together.classes[text], alone.classes[0])
        assert np.array_equal(together.labels[text, :, :length], alone.labels[0])
        assert spans.of_text(text) == joint_span_marginals(one, TAGS).of_text(0)
        sample = sample_outputs(one, uniforms[at][:, :, : 1 + length])
        assert np.array_equal(drawn.log_p[text], sample.log_p[0])
        assert np.array_equal(drawn.labels[text, :, :length], sample.labels[0])


def test_joint_samples_have_the_frequencies_of_their_probabilities() -> None:
    rng = np.random.default_rng(1)
    some = Chains(rng.normal(0, 1, (1, 1, 5)), np.zeros((6, 5)), np.array([1]))
    joint = JointChains(some, np.log([[0.7, 0.3]]), rng.normal(0, 1, (2, 5)))
    n = 20_000
    drawn = sample_outputs(joint, rng.random((1, n, 2)))
    pairs = list(zip(drawn.classes[0].tolist(), drawn.labels[0, :, 0].tolist(), strict=True))
    for class_ in range(2):
        scores = some.scores[0, 0] + joint.in_class[class_]
        shares = np.exp(scores) / np.exp(scores).sum()
        for label, share in enumerate(shares):
            p = float(share) * [0.7, 0.3][class_]
            rate = pairs.count((class_, label)) / n
            assert abs(rate - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_joint_shapes_are_checked() -> None:
    some = Chains(np.zeros((2, 3, 5)), np.zeros((6, 5)), np.array([1, 3]))
    with pytest.raises(ShapeError, match="in_class"):
        JointChains(some, np.zeros((2, 3)), np.zeros((2, 5)))
