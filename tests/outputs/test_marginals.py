"""The bounds of marginals, proven by brute force over every target of a text."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.outputs.marginals import (
    candidate_probability,
    candidate_shares,
    item_shares,
    joined,
    marginals,
)
from groot.types import Candidate, Span

A, B, C = Span(0, 4, "a"), Span(5, 9, "b"), Span(5, 9, "a")
OUTPUTS = [(), (A,), (B,), (C,), (A, B), (A, C), None]


def scored(output, p):
    return Candidate("", output, math.log(p))


def test_value_worked_by_hand():
    # covered 0.5 + 0.2 + 0.1 = 0.8, so 0.2 is not known of
    found = marginals([scored((A,), 0.5), scored((A, B), 0.2), scored((), 0.1)])
    assert found.covered == pytest.approx(0.8)
    assert found.of[A] == pytest.approx((0.7 / 0.8, 0.7, 0.9))
    assert found.of[B] == pytest.approx((0.2 / 0.8, 0.2, 0.4))
    assert found.probability(C) == 0.0


@given(st.lists(st.floats(0.01, 1), min_size=7, max_size=7), st.sets(st.integers(0, 6)))
def test_whatever_is_seen_the_bounds_hold_the_truth(masses, seen):
    total = sum(masses)
    everything = [scored(o, p / total) for o, p in zip(OUTPUTS, masses, strict=True)]
    truth = marginals(everything)
    assert truth.covered == pytest.approx(1.0)
    found = marginals([everything[i] for i in seen])
    for item, one in found.of.items():
        exact = truth.of[item]
        assert exact.low == pytest.approx(exact.high) == pytest.approx(exact.probability)
        assert one.low - 1e-9 <= exact.low <= one.high + 1e-9
        assert one.low <= one.probability <= one.high
        assert one.high - one.low == pytest.approx(1 - found.covered)


def test_nothing_unscored_and_very_unlikely():
    assert marginals([]).covered == 0.0
    assert marginals([Candidate("", (A,))]).of[A] == (0.0, 0.0, 1.0)
    low = marginals([Candidate("", (A,), -2000.0), Candidate("", (), -2000.0)])
    assert (low.covered, low.of[A]) == (0.0, (0.5, 0.0, 1.0))
    # rounding of 32-bit numbers may make a little more than one of it
    assert marginals([Candidate("", ("buy",), 1e-6)]).covered == 1.0


def test_windows_are_joined():
    first = marginals([scored((A,), 0.9)])
    second = marginals([scored((B,), 0.5), scored((), 0.3)])
    both = joined([first, second])
    assert both.covered == pytest.approx(0.9 * 0.8)
    assert both.of == {A: first.of[A], B: second.of[B]}


def test_probability_of_a_candidate():
    assert candidate_probability(Candidate("", (), log_p=math.log(0.25))) == pytest.approx(0.25)
    assert candidate_probability(Candidate("", (), log_p=1e-7)) == 1.0
    assert candidate_probability(Candidate("", (), log_p=-math.inf)) == 0.0
    assert candidate_probability(Candidate("", ())) is None
    assert candidate_probability(Candidate("", (), log_p=math.nan)) is None


def test_shares_by_hand():
    candidates = [
        Candidate("", (A, B), log_p=math.log(0.4)),
        Candidate("", (A,), log_p=math.log(0.3)),
        Candidate("", None, log_p=math.log(0.1)),  # malformed: keeps its share, says nothing
        Candidate("", (B,)),  # not scored: no share
    ]
    assert candidate_shares(candidates) == pytest.approx([0.5, 0.375, 0.125, 0.0])
    assert item_shares(candidates) == {A: pytest.approx(0.875), B: pytest.approx(0.5)}


def test_shares_of_very_unlikely_candidates_do_not_vanish():
    low = [Candidate("", (A,), log_p=-2000.0), Candidate("", (), log_p=-2000.0)]
    assert item_shares(low) == {A: 0.5}
    assert item_shares([Candidate("", (A,), log_p=-math.inf)]) == {A: 0.0}


def test_what_a_candidate_says_twice_counts_once():
    assert item_shares([scored((A, A), 0.5), scored((), 0.5)]) == {A: pytest.approx(0.5)}


# Every target of a text, by a model


def all_outputs(example, labels):
    """Every way to mark runs of words with labels, without overlap."""
    n = len(example.words)
    runs = [(i, j) for i in range(n) for j in range(i + 1, n + 1)]
    ends = [start + len(w) for start, w in zip(example.word_starts, example.words, strict=True)]
    for count in range(n + 1):
        for some in itertools.combinations(runs, count):
            if all(a[1] <= b[0] for a, b in itertools.pairwise(some)):
                for names in itertools.product(labels, repeat=count):
                    yield tuple(
                        Span(example.word_starts[i], ends[j - 1], name)
                        for (i, j), name in zip(some, names, strict=True)
                    )


@pytest.fixture(scope="module")
def labeler():
    import torch

    from groot.config import load_config
    from groot.recipes.make_writer import make_labeler
    from groot.types import Example
    from groot.writer.writer import example_of

    names = ["width=32", "feed_forward=32", "encoder_layers=1", "vocabulary_size=300"]
    config = load_config(settings=[f"model.{name}" for name in names])
    example = example_of("play nina simone in the kitchen")
    made = make_labeler(
        config,
        [
            Example(
                example.text, example.words, example.word_starts, (Span(5, 9, "x"), Span(0, 4, "y"))
            )
        ],
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():  # no label much likelier than the others
        for weight in made.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return made


@pytest.mark.parametrize("text", ["play", "play nina", "in the kitchen", "play in the kitchen"])
def test_marginals_of_a_model_against_every_target(labeler, text):
    from groot.writer.writer import example_of

    example = example_of(text)
    outputs = list(all_outputs(example, labeler.form.labels))
    (log_p,) = labeler.score([example], [outputs])
    everything = [Candidate("", o, p) for o, p in zip(outputs, log_p, strict=True)]
    truth = marginals(everything)
    assert truth.covered == pytest.approx(1.0, abs=1e-5)  # the targets share probability one
    for k in (2, 8, len(outputs)):
        (found,) = labeler.predict([example], top_k=k, probability_candidates=0)
        assert found.covered == pytest.approx(
            sum(sorted(map(math.exp, log_p), reverse=True)[:k]), abs=1e-5
        )
        for item, one in found.marginals.of.items():
            assert one.low - 1e-5 <= truth.of[item].low <= one.high + 1e-5
            assert found.probabilities[item] == one.probability
        if k == len(outputs):
            for item, exact in truth.of.items():
                assert found.marginals.of[item] == pytest.approx(exact, abs=1e-5)


def test_the_order_of_candidates_changes_nothing(labeler):
    (found,) = labeler.predict([labeler_example()], top_k=16)
    shuffled = random.Random(0).sample(found.candidates, len(found.candidates))
    again = marginals(shuffled)
    assert again.covered == pytest.approx(found.covered)
    for item, one in again.of.items():
        assert one == pytest.approx(found.marginals.of[item])


def labeler_example():
    from groot.writer.writer import example_of

    return example_of("play nina in the kitchen")
