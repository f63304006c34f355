"""The tables of groot train and groot evaluate, as words."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from groot.cli.tables import measurement_tables, paired_table, results_table
from groot.evaluation.comparison import compare
from groot.evaluation.measure import measure
from groot.types import Candidate, Example, Span

A, B = Span(0, 4, "artist"), Span(5, 9, "album")


def measured(*said):
    examples = [Example("nina blue", spans=(A,), id=str(number)) for number in range(len(said))]
    candidates = [[Candidate("", (span,), -0.1, reward=float(span == A))] for span in said]
    return measure(examples, candidates, k=1, reward="f1")


BEFORE, AFTER = measured(A, B, B, A), measured(A, A, B, A)


def words(*tables):
    console = Console(file=io.StringIO(), width=200)
    for table in tables:
        console.print(table)
    return " ".join(console.file.getvalue().split())


@pytest.fixture
def results():
    return {
        "split": "dev",
        "k": 1,
        "reward": "f1",
        "fit": BEFORE.summary(n_resamples=20),
        "optimised": AFTER.summary(n_resamples=20),
        "paired": compare(BEFORE, AFTER, n_resamples=20),
    }


def test_a_set_that_chose_the_weights_is_named_and_not_tested(results):
    assert "dev, which chose the weights, reward f1" in words(results_table(results))
    shown = words(paired_table(results))
    assert "optimised - fitted, on dev, which chose the weights: not tested" in shown
    assert "F1 0.250" in shown
    assert "p-value" not in shown
    assert "[" not in shown
    tested = words(paired_table({**results, "split": "test"}))
    assert "optimised - fitted, paired" in tested
    assert "p-value" in tested


def test_duplicates_are_shown_where_there_are_some(results):
    assert "stand in train" not in words(results_table(results))
    marked = dataclasses.replace(AFTER, is_duplicate=np.array([True, False, False, False]))
    results["optimised"] = marked.summary(n_resamples=0)
    shown = words(results_table(results))
    assert "texts that stand in train too - 1" in shown
    assert "F1 without them - 0.667" in shown


def test_the_calibration_error_stands_beside_that_of_chance(results):
    chance = results["optimised"]["calibration_error_of_chance"]
    told = f"{chance['mean']:.3f}, up to {chance['high']:.3f}"
    assert told in words(results_table(results))
    assert f"of chance {told}" in words(*measurement_tables(results["optimised"], title="run"))
