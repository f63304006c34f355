"""What a measurement says beside its numbers; the numbers by hand are in test_measure."""

import dataclasses

import numpy as np
import pytest

from groot.evaluation.corpus_metrics import MicroF
from groot.evaluation.duplicates import are_duplicates
from groot.evaluation.measure import measure
from groot.types import Candidate, Example, Span

A, B = Span(0, 4, "artist"), Span(5, 9, "album")
TEXTS = ("nina blue", "nina soul", "miles blue", "miles soul")


@pytest.fixture
def measurement():
    """Four texts; the first two are right, the others are not."""
    examples = [Example(text, spans=(A,), id=text) for text in TEXTS]
    said = [A, A, B, B]
    candidates = [[Candidate("", (span,), -0.1, reward=float(span == A))] for span in said]
    return measure(examples, candidates, k=1, metric=MicroF(1), reward="f1")


def test_numbers_without_the_texts_that_training_has_seen(measurement):
    is_duplicate = are_duplicates(TEXTS, ["Nina  Blue", "another one"])
    assert is_duplicate.tolist() == [True, False, False, False]
    marked = dataclasses.replace(measurement, is_duplicate=is_duplicate)
    found = marked.summary(n_resamples=0)
    assert found["f1"] == 0.5  # the numbers themselves are of all texts
    third = pytest.approx(1 / 3)
    assert found["duplicates"] == {
        "texts": 1,
        "without": {
            "n_examples": 3,
            "precision": third,
            "recall": third,
            "f1": third,
            "metric": third,
            "exact": third,
            "reward_rank_1": third,
        },
    }


def test_all_or_none_are_duplicates(measurement):
    every = dataclasses.replace(measurement, is_duplicate=np.ones(4, dtype=bool)).duplicates()
    assert every["texts"] == 4
    assert every["without"]["n_examples"] == 0
    assert every["without"]["f1"] is None
    none = dataclasses.replace(measurement, is_duplicate=np.zeros(4, dtype=bool)).duplicates()
    assert (none["texts"], none["without"]["f1"]) == (0, 0.5)
    assert measurement.duplicates() is None


def test_the_reward_is_named(measurement):
    assert measurement.summary(n_resamples=0)["reward_name"] == "f1"
    nameless = dataclasses.replace(measurement, reward="")
    assert nameless.summary(n_resamples=0)["reward_name"] is None
